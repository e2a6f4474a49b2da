// Loops that read, follow, trim, keep cursors, and make and drop journals.

import type { Journal } from '../../client/journal.ts';
import type { SeenRecord } from '../checkers/history.ts';
import { seen } from '../recorder.ts';
import type { Worker } from './worker.ts';

export async function readLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  let nextLsn = 1;
  while (await worker.turn()) {
    const called = worker.now;
    const linearizable = worker.dice.chance(0.4);
    const from = worker.dice.chance(0.7) ? nextLsn : worker.dice.between(1, nextLsn);
    const limit = worker.dice.between(1, 200);
    const about = { kind: 'read', process: worker.name, journal: journal.name } as const;
    try {
      const answer = await journal.read({ from, limit, linearizable, timeoutMillis: 5_000 });
      const records = answer.records.map(seen);
      nextLsn = Math.max(nextLsn, answer.nextLsn);
      worker.recorder.add({
        ...about,
        called,
        returned: worker.now,
        from,
        linearizable,
        limit,
        answer: { kind: 'records', records, nextLsn: answer.nextLsn },
      });
    } catch (error) {
      const refused = worker.recorder.refusal(error, `${worker.name} read`);
      if (refused.code === 'TRIMMED') nextLsn = Math.max(nextLsn, refused.firstLsn ?? 1);
    }
    await worker.pause(5_000, 500_000);
  }
}

/** Follows for a while, leaves, and comes back from where it was or from elsewhere. */
export async function subscribeLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  let last = 0;
  while (await worker.turn()) {
    const from = worker.dice.pick<'first' | 'next' | number>(['first', 'next', last + 1, last + 1]);
    const records: SeenRecord[] = [];
    const leave = new AbortController();
    const about = { kind: 'subscribe', process: worker.name, journal: journal.name } as const;
    const called = worker.now;
    const at = worker.recorder.operations.length;
    const start = typeof from === 'number' ? from : null;
    worker.recorder.add({ ...about, called, returned: null, from: start, records, ended: null });
    const stop = worker.pause(200_000, 20_000_000).then(() => leave.abort());
    const slow = worker.dice.chance(0.2);
    let ended = null;
    try {
      for await (const record of journal.subscribe({ from, signal: leave.signal })) {
        records.push(seen(record));
        last = Math.max(last, record.lsn);
        if (slow) await worker.pause(1_000, 100_000);
        if (worker.task.over() && worker.dice.chance(0.02)) break;
      }
    } catch (error) {
      ended = worker.recorder.refusal(error, `${worker.name} subscribe`);
      if (ended.code === 'TRIMMED') last = Math.max(last, (ended.firstLsn ?? 1) - 1);
    }
    const returned = worker.now;
    worker.recorder.operations[at] = { ...about, called, returned, from: start, records, ended };
    await stop;
    await worker.pause(10_000, 1_000_000);
  }
}

/**
 * Drops a prefix now and then, at a record or inside a batch; most of the time it has consumed
 * something itself, and says so by a cursor.
 */
export async function trimLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  const name = cursorName(worker);
  while (await worker.turn()) {
    await worker.pause(300_000, 5_000_000);
    try {
      const { tailLsn } = await journal.tail({ timeoutMillis: 5_000 });
      if (tailLsn === 0) continue;
      if (worker.dice.chance(0.7)) await move(worker, journal, name, Math.max(0, tailLsn - 20));
      const force = worker.dice.chance(0.4);
      const near = !force && worker.dice.chance(0.6);
      const through = near ? await aboutTheLowest(worker, journal, tailLsn) : some(worker, tailLsn);
      const { name: process } = worker;
      const pending = worker.recorder.trim({ process, journal: journal.name, through, force });
      try {
        pending.trimmed(await journal.trim(through, { force, timeoutMillis: 5_000 }));
      } catch (error) {
        pending.refused(error);
      }
    } catch (error) {
      worker.recorder.refusal(error, `${worker.name} tail`);
    }
  }
}

const some = (worker: Worker, tailLsn: number): number =>
  Math.max(1, tailLsn - worker.dice.between(0, 60));

/** As far as all cursors have come, or one further; anywhere where there are none. */
async function aboutTheLowest(worker: Worker, journal: Journal, tailLsn: number): Promise<number> {
  const cursors = await journal.cursors({ timeoutMillis: 5_000 });
  if (cursors.length === 0) return some(worker, tailLsn);
  const lowest = Math.min(...cursors.map(({ lsn }) => lsn));
  return Math.max(1, Math.min(tailLsn, lowest + worker.dice.below(2)));
}

const DELETED = 'cursor-0';
const cursorName = (worker: Worker): string => `cursor-${worker.dice.below(3)}`;

/** Only one of the names is ever deleted: a deletion that comes twice excuses any trim. */
export async function cursorLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  const name = cursorName(worker);
  let position = 0;
  while (await worker.turn()) {
    try {
      const deleted = name === DELETED && worker.dice.chance(0.2);
      const { tailLsn } = await journal.tail({ timeoutMillis: 5_000 });
      position = Math.max(position, tailLsn - 20);
      await move(worker, journal, name, deleted ? null : position);
      const cursors = await journal.cursors({ timeoutMillis: 5_000 });
      const own = cursors.find((cursor) => cursor.name === name);
      if (own !== undefined && !Number.isSafeInteger(own.lsn)) {
        worker.recorder.surprises.push(`cursor ${name} is at ${own.lsn}`);
      }
    } catch (error) {
      worker.recorder.refusal(error, `${worker.name} cursor`);
    }
    await worker.pause(300_000, 4_000_000);
  }
}

async function move(
  worker: Worker,
  journal: Journal,
  name: string,
  lsn: number | null,
): Promise<void> {
  const pending = worker.recorder.cursor({
    process: worker.name,
    journal: journal.name,
    name,
    lsn,
  });
  try {
    await journal.setCursor(name, lsn, { timeoutMillis: 5_000 });
    pending.moved();
  } catch (error) {
    pending.refused(error);
  }
}

/** Makes a journal of its own, appends to it, reads it back, and drops it. */
export async function journalLoop(worker: Worker): Promise<void> {
  while (await worker.turn()) {
    await worker.pause(500_000, 5_000_000);
    const name = `own-${worker.unique().replace(/[^a-z0-9]/g, '-')}`;
    try {
      await worker.client.createJournal(name, { ifAbsent: true });
      const journal = worker.client.journal(name);
      const { firstLsn } = await journal.append('first');
      if (firstLsn !== 1) worker.recorder.surprises.push(`${name} began at ${firstLsn}`);
      const { records } = await journal.read({ from: 'first', linearizable: true });
      if (records.length !== 1) {
        worker.recorder.surprises.push(`${name} has ${records.length} records after one append`);
      }
      if (worker.dice.chance(0.7)) await worker.client.deleteJournal(name);
    } catch (error) {
      worker.recorder.refusal(error, `${worker.name} journal`);
    }
  }
}
