// Writers and subscribers beside the faults, and the history of what they saw.

import { type Client, type Journal, JournalError } from '../../client/index.ts';
import { checkers } from '../../sim/checkers/all.ts';
import type { History, Operation, Refused, SeenRecord } from '../../sim/checkers/history.ts';
import type { Cluster } from './cluster.ts';
import { pause } from './cluster.ts';

const nowMicros = (): number => Math.round(performance.now() * 1_000);
const text = new TextDecoder();

export interface LoadOptions {
  readonly writers: number;
  readonly subscribers: number;
  /** Between two appends of one writer; 0 for as fast as they are acknowledged. */
  readonly pauseMillis?: number;
}

/** Appends and subscriptions on one journal until `stop`, everything they see written down. */
export class Load {
  readonly operations: Operation[] = [];
  readonly #clients: Client[] = [];
  readonly #stopped = new AbortController();
  readonly #reading = new AbortController();
  readonly #writers: Promise<void>[] = [];
  readonly #readers: Promise<void>[] = [];
  readonly #journal: string;
  #lastAcknowledged = nowMicros();
  #longestGap = 0;
  #highest = 0;
  #appended = 0;

  private constructor(journal: string) {
    this.#journal = journal;
  }

  static start(cluster: Cluster, journal: string, options: LoadOptions): Load {
    const load = new Load(journal);
    for (let at = 0; at < options.subscribers; at += 1) {
      const client = cluster.connect();
      load.#clients.push(client);
      load.#readers.push(load.#subscribe(client, `subscriber ${at}`));
    }
    for (let at = 0; at < options.writers; at += 1) {
      const client = cluster.connect();
      load.#clients.push(client);
      load.#writers.push(load.#write(client, `writer ${at}`, options.pauseMillis ?? 0));
    }
    return load;
  }

  get appended(): number {
    return this.#appended;
  }

  get highestLsn(): number {
    return this.#highest;
  }

  /** Forgets the gaps so far: from here on counts. */
  mark(): void {
    this.#lastAcknowledged = nowMicros();
    this.#longestGap = 0;
  }

  /** The longest time without any acknowledgement since `mark`, milliseconds. */
  get longestGapMillis(): number {
    return Math.max(this.#longestGap, nowMicros() - this.#lastAcknowledged) / 1_000;
  }

  /** Ends the writers, lets the subscribers reach the end, adds a read of the whole journal. */
  async stop(cluster: Cluster): Promise<History> {
    this.#stopped.abort();
    await Promise.all(this.#writers);
    await using client = cluster.connect();
    const { tailLsn } = await client.journal(this.#journal).tail();
    await this.#caughtUp(tailLsn);
    this.#reading.abort();
    await Promise.all(this.#readers);
    for (const one of this.#clients) await one.close();
    await this.#readAll(client);
    return { operations: this.operations, finals: [] };
  }

  async #caughtUp(tailLsn: number): Promise<void> {
    const end = performance.now() + 30_000;
    const behind = (): boolean =>
      this.operations.some(
        (one) => one.kind === 'subscribe' && (one.records.at(-1)?.lsn ?? 0) < tailLsn,
      );
    while (behind()) {
      if (performance.now() > end) throw new Error(`a subscriber did not reach LSN ${tailLsn}`);
      await pause(20);
    }
  }

  async #write(client: Client, process: string, pauseMillis: number): Promise<void> {
    const journal = client.journal(this.#journal);
    for (let number = 0; !this.#stopped.signal.aborted; number += 1) {
      const records = [{ data: `${process} ${number}` }];
      const called = nowMicros();
      const base = { kind: 'append', process, journal: this.#journal, called, records } as const;
      const about = { ...base, keyOperation: 'tag', condition: {} } as const;
      try {
        const { firstLsn, lastLsn, timestampMicros } = await journal.append(records);
        const returned = nowMicros();
        this.#acknowledged(returned, lastLsn);
        const answer = { kind: 'appended', firstLsn, lastLsn, timestamp: timestampMicros } as const;
        this.operations.push({ ...about, returned, answer });
      } catch (error) {
        const answer = refused(error);
        const returned = answer.outcome === 'unknown' ? null : nowMicros();
        this.operations.push({ ...about, returned, answer });
      }
      if (pauseMillis > 0) await pause(pauseMillis);
    }
  }

  #acknowledged(now: number, lastLsn: number): void {
    this.#longestGap = Math.max(this.#longestGap, now - this.#lastAcknowledged);
    this.#lastAcknowledged = now;
    this.#highest = Math.max(this.#highest, lastLsn);
    this.#appended += 1;
  }

  async #subscribe(client: Client, process: string): Promise<void> {
    const records: SeenRecord[] = [];
    const base = { kind: 'subscribe', process, journal: this.#journal, from: 1 } as const;
    this.operations.push({ ...base, called: nowMicros(), returned: null, records, ended: null });
    const { signal } = this.#reading;
    try {
      for await (const record of client.journal(this.#journal).subscribe({ from: 1, signal })) {
        const { lsn, timestampMicros, key, data } = record;
        records.push({ lsn, timestamp: timestampMicros, key, data: text.decode(data) });
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #readAll(client: Client): Promise<void> {
    const records: SeenRecord[] = [];
    const called = nowMicros();
    const from = 1;
    const journal = client.journal(this.#journal);
    let nextLsn = 1;
    for await (const record of journal.subscribe({ from, untilEnd: true })) {
      const { lsn, timestampMicros, key, data } = record;
      records.push({ lsn, timestamp: timestampMicros, key, data: text.decode(data) });
      nextLsn = lsn + 1;
    }
    const answer = { kind: 'records', records, nextLsn } as const;
    const about = { kind: 'read', process: 'last reader', journal: this.#journal } as const;
    const returned = nowMicros();
    this.operations.push({ ...about, called, returned, from, linearizable: true, answer });
  }
}

const FULL_WRITERS = 64;
const FULL_RECORD = { data: Buffer.alloc(1_024, 'x') };
const FULL_BATCH = [FULL_RECORD, FULL_RECORD, FULL_RECORD, FULL_RECORD];

/** As fast as it goes until `over`: batches of four records of 1 KiB from 64 writers. */
export async function fullLoad(
  journal: Journal,
  over: AbortSignal,
): Promise<{ readonly records: number; readonly failed: number }> {
  let records = 0;
  let failed = 0;
  const write = async (): Promise<void> => {
    while (!over.aborted) {
      await journal.append(FULL_BATCH).then(
        () => {
          records += FULL_BATCH.length;
        },
        () => {
          failed += 1;
        },
      );
    }
  };
  await Promise.all(Array.from({ length: FULL_WRITERS }, write));
  return { records, failed };
}

function refused(error: unknown): Refused {
  if (!(error instanceof JournalError)) throw error;
  return { kind: 'refused', code: error.code, outcome: error.outcome };
}

/** Everything that the checkers complain of, and how much they looked at. */
export function judge(history: History): { readonly wrong: string[]; readonly checked: number } {
  const wrong: string[] = [];
  let checked = 0;
  for (const checker of checkers) {
    const verdict = checker.check(history);
    checked += verdict.checked;
    wrong.push(...verdict.wrong.map((complaint) => `${checker.name}: ${complaint}`));
  }
  return { wrong, checked };
}
