// Writers and readers beside the faults, and the history of what they saw.
//
// Some append plainly: the time between their acknowledgements is the pause that is measured. The
// others are the loops of the simulator's clients (sim/workload/), here over real connections: they
// compare and append, lead, repeat what has a chosen key, ask for tails and read.

import { type Client, type Journal, JournalError } from '../../client/index.ts';
import { nodeClock } from '../../io/node.ts';
import { checkers } from '../../sim/checkers/all.ts';
import { cursors } from '../../sim/checkers/cursors.ts';
import type { History, SeenRecord } from '../../sim/checkers/history.ts';
import { trims } from '../../sim/checkers/trims.ts';
import { Dice } from '../../sim/random.ts';
import { Recorder, seen } from '../../sim/recorder.ts';
import {
  compareKeyLoop,
  compareTailLoop,
  leadLoop,
  onceLoop,
} from '../../sim/workload/appending.ts';
import { readLoop } from '../../sim/workload/reading.ts';
import { type Task, Worker } from '../../sim/workload/worker.ts';
import type { Cluster } from './cluster.ts';
import { pause } from './cluster.ts';
import { finalsOf } from './finals.ts';

export interface LoadOptions {
  /** Of plain appends. */
  readonly writers: number;
  readonly subscribers: number;
  /** Between two appends of one writer; 0 for as fast as they are acknowledged. */
  readonly pauseMillis?: number;
  /** What the other clients draw: the same text, the same draws. */
  readonly seed?: string;
  /** The others: all of `LOOPS`, or about half, where several clusters share a machine. */
  readonly others?: 'all' | 'few';
}

const FEW = [compareTailLoop, compareKeyLoop, onceLoop, leadLoop, leadLoop, readLoop] as const;
/** What runs beside the writers; of leaders three, for two keys, so that two want the same one. */
const LOOPS = [...FEW, compareTailLoop, compareKeyLoop, onceLoop, leadLoop, readLoop] as const;

/** Of a whole chain: who waits for a lease or an answer has it long before. */
const END_MILLIS_MAX = 60_000;
const CAUGHT_UP_MILLIS_MAX = 30_000;
const REACHED_MICROS_MAX = 60_000_000;

/** All that clients did on one journal until `end`, everything they saw written down. */
export class Load implements AsyncDisposable {
  readonly #recorder = new Recorder({
    get now() {
      return nodeClock.now();
    },
  });
  readonly #clients: Client[] = [];
  readonly #stopped = new AbortController();
  readonly #reading = new AbortController();
  readonly #workers: Promise<void>[] = [];
  readonly #readers: Promise<void>[] = [];
  readonly #journal: string;
  #lastAcknowledged: number = nodeClock.now();
  #longestGap = 0;
  #appended = 0;

  private constructor(journal: string) {
    this.#journal = journal;
  }

  static start(cluster: Cluster, journal: string, options: LoadOptions): Load {
    const { writers, subscribers, pauseMillis = 0, others = 'all' } = options;
    const { seed = String(Math.random()) } = options;
    const load = new Load(journal);
    const connected = (): Client => {
      const client = cluster.connect();
      load.#clients.push(client);
      return client;
    };
    for (let at = 0; at < subscribers; at += 1) {
      load.#readers.push(load.#subscribe(connected(), `subscriber ${at}`));
    }
    for (let at = 0; at < writers; at += 1) {
      load.#workers.push(load.#write(connected(), `writer ${at}`, pauseMillis));
    }
    for (const [at, loop] of (others === 'all' ? LOOPS : FEW).entries()) {
      const name = `${loop.name} ${at}`;
      const worker = load.#worker(connected(), name, new Dice(`${seed}/${journal}/${at}`));
      load.#workers.push(loop(worker).catch((error) => load.#surprised(error, name)));
    }
    return load;
  }

  /** Plain appends that were acknowledged. */
  get appended(): number {
    return this.#appended;
  }

  /** Waits until there are so many, or so long that there will not be. */
  async reaches(appended: number): Promise<void> {
    const until = nodeClock.now() + REACHED_MICROS_MAX;
    while (this.#appended < appended && nodeClock.now() < until) await pause(100);
  }

  /** Waits until somebody has led, or so long that nobody will. */
  async leads(): Promise<void> {
    const until = nodeClock.now() + REACHED_MICROS_MAX;
    const led = (): boolean => this.#recorder.operations.some(({ kind }) => kind === 'led');
    while (!led() && nodeClock.now() < until) await pause(100);
  }

  /** Forgets the gaps so far: from here on counts. */
  mark(): void {
    this.#lastAcknowledged = nodeClock.now();
    this.#longestGap = 0;
  }

  /** The longest time without any acknowledgement of a plain append since `mark`, milliseconds. */
  get longestGapMillis(): number {
    return Math.max(this.#longestGap, nodeClock.now() - this.#lastAcknowledged) / 1_000;
  }

  /**
   * On a chain that is whole: ends the writers, lets the subscribers reach the end, reads the whole
   * journal once more, and each member by itself, and judges all of that.
   */
  async end(cluster: Cluster): Promise<Judged> {
    const history = await this.#history(cluster);
    const finals = await finalsOf(cluster, this.#journal);
    const { looked, wrong } = judge({ ...history, finals });
    if (finals.length < cluster.members) {
      wrong.push(`${this.#journal}: only ${finals.length} members could be read at the end`);
    }
    return { looked, wrong: [...wrong, ...this.#recorder.surprises] };
  }

  /** Leaves off where it is; no effect after `end`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    this.#reading.abort();
    await Promise.all(this.#clients.splice(0).map((client) => client.close()));
    await within(END_MILLIS_MAX, [...this.#workers, ...this.#readers], 'did not leave off');
  }

  async #history(cluster: Cluster): Promise<History> {
    this.#stopped.abort();
    await within(END_MILLIS_MAX, this.#workers, 'did not end what it began');
    await using client = cluster.connect();
    const { tailLsn } = await client.journal(this.#journal).tail();
    await this.#caughtUp(tailLsn);
    await this[Symbol.asyncDispose]();
    await this.#readAll(client);
    return { operations: this.#recorder.operations, finals: [] };
  }

  async #caughtUp(tailLsn: number): Promise<void> {
    const end = performance.now() + CAUGHT_UP_MILLIS_MAX;
    const behind = (): boolean =>
      this.#recorder.operations.some(
        (one) => one.kind === 'subscribe' && (one.records.at(-1)?.lsn ?? 0) < tailLsn,
      );
    while (behind()) {
      if (performance.now() > end) {
        const surprises = this.#recorder.surprises.join('\n');
        throw new Error(`a subscriber did not reach LSN ${tailLsn}\n${surprises}`);
      }
      await pause(20);
    }
  }

  #worker(client: Client, name: string, dice: Dice): Worker {
    const task: Task = {
      recorder: this.#recorder,
      endpoints: () => [],
      journals: [this.#journal],
      over: () => this.#stopped.signal.aborted,
      mix: {},
      omitted: new Set(),
    };
    // The clients' clock is the one that the history is told in.
    const clock = { trueDelay: (delay: number) => delay };
    return new Worker({ task, seams: { clock: nodeClock }, clock, name, client, dice }, 0);
  }

  async #write(client: Client, process: string, pauseMillis: number): Promise<void> {
    const journal = client.journal(this.#journal);
    for (let number = 0; !this.#stopped.signal.aborted; number += 1) {
      const records = [{ data: `${process} ${number}` }];
      const base = { process, journal: this.#journal, records } as const;
      const pending = this.#recorder.append({ ...base, keyOperation: 'tag', condition: {} });
      try {
        const { firstLsn, lastLsn, timestampMicros } = await journal.append(records);
        pending.appended(firstLsn, lastLsn, timestampMicros);
        this.#acknowledged(nodeClock.now());
      } catch (error) {
        pending.refused(error);
      }
      if (pauseMillis > 0) await pause(pauseMillis);
    }
  }

  #acknowledged(now: number): void {
    this.#longestGap = Math.max(this.#longestGap, now - this.#lastAcknowledged);
    this.#lastAcknowledged = now;
    this.#appended += 1;
  }

  async #subscribe(client: Client, process: string): Promise<void> {
    const records: SeenRecord[] = [];
    const base = { kind: 'subscribe', process, journal: this.#journal, from: 1 } as const;
    const called = this.#recorder.now;
    this.#recorder.add({ ...base, called, returned: null, records, ended: null });
    const { signal } = this.#reading;
    try {
      for await (const record of client.journal(this.#journal).subscribe({ from: 1, signal })) {
        records.push(seen(record));
      }
    } catch (error) {
      if (!signal.aborted) this.#surprised(error, process);
    }
  }

  /** Nobody is refused so that it ends, unless this load is given up. */
  #surprised(error: unknown, who: string): void {
    if (this.#reading.signal.aborted && error instanceof JournalError) return;
    this.#recorder.surprises.push(`${who} ended with ${String(error)}`);
  }

  async #readAll(client: Client): Promise<void> {
    const records: SeenRecord[] = [];
    const called = this.#recorder.now;
    const from = 1;
    const journal = client.journal(this.#journal);
    let nextLsn = 1;
    for await (const record of journal.subscribe({ from, untilEnd: true })) {
      records.push(seen(record));
      nextLsn = record.lsn + 1;
    }
    const answer = { kind: 'records', records, nextLsn } as const;
    const about = { kind: 'read', process: 'last reader', journal: this.#journal } as const;
    const returned = this.#recorder.now;
    this.#recorder.add({ ...about, called, returned, from, linearizable: true, answer });
  }
}

async function within(millis: number, work: readonly Promise<void>[], what: string): Promise<void> {
  const late = AbortSignal.timeout(millis);
  const lateness = new Promise<never>((_, reject) => {
    late.addEventListener('abort', () => reject(new Error(`a client ${what} in ${millis} ms`)));
  });
  await Promise.race([Promise.all(work), lateness]);
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

/** How much each checker looked at, by its name. */
export type Looked = Readonly<Record<string, number>>;

export interface Judged {
  readonly wrong: string[];
  readonly looked: Looked;
}

/** Everything that the checkers complain of; one that looked at nothing is a complaint as well. */
export function judge(history: History): Judged {
  const wrong: string[] = [];
  const looked: Record<string, number> = {};
  for (const checker of checkers) {
    // Nobody trims here, so that no cursor holds anything.
    if (checker === cursors || checker === trims) continue;
    const verdict = checker.check(history);
    looked[checker.name] = verdict.checked;
    if (verdict.checked === 0) wrong.push(`${checker.name}: it looked at nothing`);
    wrong.push(...verdict.wrong.map((complaint) => `${checker.name}: ${complaint}`));
  }
  return { wrong, looked };
}

export const sumOf = (looked: Looked): number =>
  Object.values(looked).reduce((sum, count) => sum + count, 0);

/** Counts of both together. */
export function together(one: Looked, other: Looked): Looked {
  const sums: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

/** In words: `order 12, conditions 3`. */
export const lookedAt = (looked: Looked): string =>
  Object.entries(looked)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
