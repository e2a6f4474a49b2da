// Runs in a pod of a user: writers and subscribers on one journal, and what they saw as lines.
//
// A line is an operation of sim/checkers/history.ts, a record that a subscriber was given, or a
// beat of this process. When the file `stop` appears, the writers end, the subscribers reach the
// end, the whole journal is read once, and `done` is written. The clock is the kernel's monotonic
// one, which all pods of a machine share.

import { appendFileSync, existsSync, renameSync, writeFileSync } from 'node:fs';
import { hrtime } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, JournalError } from '../../../client/index.ts';
import type { Refused, SeenRecord } from '../../../sim/checkers/history.ts';

const {
  SDK = '',
  OUT = '',
  ENDPOINTS = '',
  TLS = '',
  JOURNAL = '',
  WRITERS = '4',
  SUBSCRIBERS = '2',
  PAUSE_MILLIS = '10',
} = process.env;

const DELETE_MILLIS = 5_000;
const TIMEOUT_MILLIS = 120_000;
const CAUGHT_UP_MILLIS_MAX = 60_000;
const FLUSH_MILLIS = 50;

const sdk: typeof import('../../../client/index.ts') = await import(SDK);
const text = new TextDecoder();
const stopped = new AbortController();
const reading = new AbortController();
const lines: string[] = [];
const reached = new Map<string, number>();

const nowMicros = (): number => Number(hrtime.bigint() / 1_000n);
const write = (line: unknown): void => void lines.push(JSON.stringify(line));

function flush(): void {
  if (lines.length > 0) appendFileSync(`${OUT}/history`, `${lines.splice(0).join('\n')}\n`);
}

function connect(): Client {
  const tls = { ca: `${TLS}/ca.crt`, cert: `${TLS}/tls.crt`, key: `${TLS}/tls.key` };
  return sdk.connect({
    endpoints: ENDPOINTS.split(','),
    timeoutMillis: TIMEOUT_MILLIS,
    ...(TLS === '' ? {} : { tls }),
  });
}

const isJournalError = (error: unknown): error is JournalError => error instanceof sdk.JournalError;

function refused(error: unknown): Refused {
  if (!isJournalError(error)) throw error;
  return { kind: 'refused', code: error.code, outcome: error.outcome };
}

async function append(process: string): Promise<void> {
  await using client = connect();
  const journal = client.journal(JOURNAL);
  for (let number = 0; !stopped.signal.aborted; number += 1) {
    const records = [{ data: `${process} ${number}` }];
    const base = { kind: 'append', process, journal: JOURNAL, called: nowMicros(), records };
    const about = { ...base, keyOperation: 'tag', condition: {} };
    try {
      const { firstLsn, lastLsn, timestampMicros } = await journal.append(records);
      const answer = { kind: 'appended', firstLsn, lastLsn, timestamp: timestampMicros };
      write({ ...about, returned: nowMicros(), answer });
    } catch (error) {
      const answer = refused(error);
      const returned = answer.outcome === 'unknown' ? null : nowMicros();
      write({ ...about, returned, answer });
    }
    await sleep(Number(PAUSE_MILLIS));
  }
}

async function subscribe(process: string): Promise<void> {
  await using client = connect();
  const { signal } = reading;
  const base = { kind: 'subscribe', process, journal: JOURNAL, from: 1, records: [], ended: null };
  write({ ...base, called: nowMicros(), returned: null });
  try {
    for await (const one of client.journal(JOURNAL).subscribe({ from: 1, signal })) {
      reached.set(process, one.lsn);
      write({ kind: 'delivered', process, record: seen(one) });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function seen(one: {
  readonly lsn: number;
  readonly timestampMicros: number;
  readonly key?: string | undefined;
  readonly data: Uint8Array;
}): SeenRecord {
  const { lsn, timestampMicros, key, data } = one;
  return { lsn, timestamp: timestampMicros, key, data: text.decode(data) };
}

async function readAll(client: Client): Promise<number> {
  const journal = client.journal(JOURNAL);
  const { tailLsn } = await journal.tail();
  const called = nowMicros();
  const records: SeenRecord[] = [];
  for await (const one of journal.subscribe({ from: 1, untilEnd: true })) records.push(seen(one));
  const nextLsn = (records.at(-1)?.lsn ?? 0) + 1;
  const about = { kind: 'read', process: 'last reader', journal: JOURNAL, called, from: 1 };
  const answer = { kind: 'records', records, nextLsn };
  write({ ...about, returned: nowMicros(), linearizable: true, answer });
  return tailLsn;
}

async function caughtUp(tailLsn: number): Promise<void> {
  const end = performance.now() + CAUGHT_UP_MILLIS_MAX;
  while ([...reached.values()].some((lsn) => lsn < tailLsn)) {
    if (performance.now() > end) throw new Error(`a subscriber did not reach LSN ${tailLsn}`);
    await sleep(FLUSH_MILLIS);
  }
}

async function main(): Promise<void> {
  // It knows the journal from the start: where no controller is left a newcomer finds none.
  await using client = connect();
  await client.createJournal(JOURNAL, { ifAbsent: true });
  await client.journal(JOURNAL).tail();
  const numbers = (count: string): number[] => [...Array(Number(count)).keys()];
  const writers = numbers(WRITERS).map((at) => append(`writer ${at}`));
  const readers = numbers(SUBSCRIBERS).map((at) => subscribe(`subscriber ${at}`));
  const failing = Promise.all([...writers, ...readers]);
  const watch = async (): Promise<void> => {
    while (!existsSync(`${OUT}/stop`)) {
      // Fewer of them than time went by: this pod was not given the processor.
      write({ kind: 'beat', at: nowMicros() });
      flush();
      await sleep(FLUSH_MILLIS);
    }
  };
  await Promise.race([watch(), failing]);
  stopped.abort();
  await Promise.all(writers);
  await caughtUp(await readAll(client));
  reading.abort();
  await failing;
  // What nobody needs must not weigh on the cases that follow; without controllers it stays.
  await client.deleteJournal(JOURNAL, { timeoutMillis: DELETE_MILLIS }).catch(() => {});
}

/** In one step, so that who waits for it never sees half. */
function finish(outcome: string): void {
  flush();
  writeFileSync(`${OUT}/done.made`, outcome);
  renameSync(`${OUT}/done.made`, `${OUT}/done`);
}

try {
  await main();
  finish('');
} catch (error) {
  finish(error instanceof Error ? `${error.stack}` : String(error));
}
// The pod stays until it is deleted, so that nothing is done twice.
setInterval(() => {}, 3_600_000);
