// Loops that read, follow, trim, keep cursors, and make and drop journals.

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
        answer: { kind: 'records', records, nextLsn: answer.nextLsn },
        limit,
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

/** Drops a prefix now and then, at a record or inside a batch. */
export async function trimLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  while (await worker.turn()) {
    await worker.pause(500_000, 8_000_000);
    try {
      const { tailLsn } = await journal.tail({ timeoutMillis: 5_000 });
      const through = Math.max(1, tailLsn - worker.dice.between(0, 60));
      const force = worker.dice.chance(0.5);
      if (tailLsn === 0) continue;
      const { name: process } = worker;
      const pending = worker.recorder.trim({ process, journal: journal.name, through });
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

export async function cursorLoop(worker: Worker): Promise<void> {
  const journal = worker.anyJournal();
  const name = `cursor-${worker.dice.below(3)}`;
  let position = 0;
  while (await worker.turn()) {
    try {
      const deleted = worker.dice.chance(0.1);
      const { tailLsn } = await journal.tail({ timeoutMillis: 5_000 });
      position = Math.max(position, tailLsn - 20);
      await journal.setCursor(name, deleted ? null : Math.max(0, position), {
        timeoutMillis: 5_000,
      });
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
