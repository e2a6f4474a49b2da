// What readers are shown while the log moves on under them, and what they cost once they have left.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeClock } from '../../io/node.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  after,
  type Batch,
  type BatchHeader,
  journalId,
  type Lsn,
  lsn,
  micros,
  NO_LSN,
} from '../../protocol/types.ts';
import { batchAfter } from '../../test/log/batches.ts';
import type { Repair } from '../copy/repair.ts';
import type { Host } from '../drive/host.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import type { Asker } from './ask.ts';
import { readRecords } from './data.ts';
import type { Directory } from './directory.ts';
import { Reader } from './reader.ts';
import { Subscriptions } from './subscribe.ts';

const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, millis));

/** A batch of a control entry: of records nothing else is needed here than where they are. */
const batchAt = (at: number): Batch => ({
  // cast: readers look at no more of it.
  header: { kind: 'control', firstLsn: lsn(at), count: 1 } as unknown as BatchHeader,
  bytes: new Uint8Array(),
});

class Journal {
  readonly name = 'orders';
  readonly firstLsn = lsn(1);
  readonly readable = true;
  committedLsn = lsn(1_000_000);
  lineage = 1;
  reads = 0;
  readonly bell = {
    ring: () => {},
    wait: (_clock: unknown, _left: number): Promise<void> => pause(10),
  };
  readonly log = {
    read: async (from: number) => {
      this.reads += 1;
      await pause(2);
      return [batchAt(from), batchAt(from + 1)];
    },
    /** It has an entry more than is committed. */
    end: () => after(this.committedLsn, 1),
    get endLsn(): Lsn {
      return this.end();
    },
  };

  // cast: readers ask no more of a host than this.
  get host(): Host {
    return this as unknown as Host;
  }
}

/** A chain that proves at once what the journal says. */
const chainOf = (journal: Journal): Asker =>
  // cast: readers ask no more of a chain than this.
  ({
    ask: async () => {
      await pause(2);
      return { committedLsn: journal.committedLsn };
    },
    committed: async () => {},
  }) as unknown as Asker;

function readerOf(journal: Journal): Reader {
  const repair = { mending: <Result>(task: () => Promise<Result>) => task() };
  // cast: nothing is damaged here.
  return new Reader(chainOf(journal), repair as unknown as Repair);
}

test('who asks for the last records and leaves is counted for no longer', async () => {
  const journal = new Journal();
  const leave = new AbortController();
  const asked = readerOf(journal).start(
    journal.host,
    { kind: 'last', count: 900_000 },
    leave.signal,
  );
  while (journal.reads < 5) await pause(1);
  leave.abort();
  await assert.rejects(asked, { code: 'CANCELLED' });
  const { reads } = journal;
  await pause(20);
  assert.equal(journal.reads, reads);
});

test('of all records nothing is counted', async () => {
  const journal = new Journal();
  const from = { kind: 'last', count: 2_000_000 } as const;
  const { signal } = new AbortController();
  assert.equal(await readerOf(journal).start(journal.host, from, signal), 1);
  assert.equal(journal.reads, 0);
});

test('what was not committed when it was read is not shown, whatever is by then', async () => {
  const journal = new Journal();
  journal.committedLsn = lsn(1);
  const reading = readerOf(journal).read(journal.host, lsn(1), 10, 1_000);
  // Cut, replaced and committed while the disk reads.
  journal.committedLsn = lsn(2);
  let again = 0;
  journal.log.read = async (from) => {
    again += 1;
    return [batchAt(from)];
  };
  const { nextLsn } = await reading;
  assert.deepEqual([nextLsn, again], [3, 1], 'what is there now was read');
});

test('a read over a change of lineage is refused', async () => {
  const journal = new Journal();
  journal.committedLsn = lsn(2);
  const { host } = journal;
  const parts = { asker: chainOf(journal), reader: readerOf(journal) };
  // cast: a read asks no more of them than this.
  const directory = { host: async () => host } as unknown as Directory;
  const metrics = { moved: () => {} } as unknown as ReplicaMetrics;
  const request = { journal: 'orders', limit: 2, bytesMax: 0, linearizable: false } as const;
  const read = () =>
    readRecords(
      { ...parts, directory, metrics },
      { ...request, from: { kind: 'lsn', lsn: lsn(1) } },
      new AbortController().signal,
    );
  assert.equal((await read()).lineage, 1);
  const reading = read();
  await pause(0);
  journal.lineage = 2;
  await assert.rejects(reading, { code: 'UNAVAILABLE' });
});

test('a linearizable read waits until this replica has what the chain proves', async () => {
  const journal = new Journal();
  journal.committedLsn = lsn(2);
  let caughtUp = (): void => {};
  // cast: a read asks no more of a chain than this.
  const asker = {
    ask: async () => ({ committedLsn: lsn(4) }),
    committed: () =>
      new Promise<void>((resolve) => {
        caughtUp = resolve;
      }),
  } as unknown as Asker;
  const { host } = journal;
  const parts = { asker, reader: readerOf(journal) };
  // cast: a read asks no more of them than this.
  const directory = { host: async () => host } as unknown as Directory;
  const metrics = { moved: () => {} } as unknown as ReplicaMetrics;
  const request = { journal: 'orders', limit: 9, bytesMax: 0, linearizable: true } as const;
  const from = { kind: 'lsn', lsn: lsn(1) } as const;
  const { signal } = new AbortController();
  const reading = readRecords({ ...parts, directory, metrics }, { ...request, from }, signal);
  await pause(20);
  assert.equal(journal.reads, 0, 'it has not caught up');
  journal.committedLsn = lsn(4);
  caughtUp();
  const { nextLsn, committedLsn } = await reading;
  assert.deepEqual([nextLsn, committedLsn], [5, 4]);
});

test('many who subscribe at once are bounded as those who come one by one', async () => {
  const journal = new Journal();
  // cast: nothing is delivered.
  const metrics = {} as ReplicaMetrics;
  const parts = { clock: nodeClock, asker: chainOf(journal), reader: readerOf(journal), metrics };
  const subscriptions = new Subscriptions({ ...parts, subscriptionsMax: 3 });
  const leave = new AbortController();
  const from = { kind: 'next' } as const;
  const all = Array.from({ length: 10 }, () =>
    subscriptions
      .follow(journal.host, { journal: 'orders', from, lineage: 0 }, leave.signal)
      [Symbol.asyncIterator](),
  );
  const answers = await Promise.allSettled(all.map((one) => one.next()));
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 3);
  leave.abort();
  await Promise.all(all.map((one) => one.return?.()));
  assert.deepEqual(subscriptions.gauge(journal.host), { subscriptions: 0, lag: 0 });
});

/** One subscription of a journal with four entries, on a clock that moves as it waits. */
function followed(journal: Journal, ask: () => Promise<unknown>) {
  journal.committedLsn = lsn(4);
  let now = 0;
  const clock = { ...nodeClock, now: () => micros(now) };
  journal.bell.wait = async (_clock: unknown, left: number) => {
    now += left;
    await pause(0);
  };
  // cast: nothing else is asked of either.
  const asker = { ask, committed: async () => {} } as unknown as Asker;
  const metrics = { moved: () => {} } as unknown as ReplicaMetrics;
  const parts = { clock, asker, reader: readerOf(journal), metrics, subscriptionsMax: 1 };
  const from = { kind: 'first' } as const;
  const { signal } = new AbortController();
  return new Subscriptions(parts)
    .follow(journal.host, { journal: 'orders', from, lineage: 0 }, signal)
    [Symbol.asyncIterator]();
}

test('a subscription shows nothing that another lineage may have replaced', async () => {
  const journal = new Journal();
  // A record of what was read is on its way out when the lineage is found to be another.
  const empty = { journal: journalId('f'.repeat(32)), endLsn: NO_LSN, endCrc: 0 };
  const { batch } = batchAfter(empty, 4);
  journal.log.read = async () => {
    journal.lineage = 2;
    return [batch];
  };
  const answers = followed(journal, async () => ({ committedLsn: lsn(4) }));
  await answers.next();
  await assert.rejects(answers.next(), { code: 'LINEAGE_CHANGED' });
});

test('who hears of nothing new for a while asks the chain whether that is so', async () => {
  const journal = new Journal();
  let asked = 0;
  const answers = followed(journal, async () => {
    asked += 1;
    throw new JournalError('UNAVAILABLE', 'it is cut off');
  });
  await assert.rejects(
    async () => {
      for (let turn = 0; turn < 50; turn += 1) await answers.next();
    },
    { code: 'UNAVAILABLE' },
  );
  assert.equal(asked, 1);
});
