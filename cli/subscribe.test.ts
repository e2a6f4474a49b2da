// What reads a journal as a whole notices where a replica answers with a part of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadOptions } from '../client/index.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn, micros } from '../protocol/types.ts';
import type { JournalRecord, ReadAnswer } from '../transport/public.ts';
import { pages, recordsThrough } from './subscribe.ts';

const { signal } = new AbortController();

const record = (at: number): JournalRecord => ({
  lsn: lsn(at),
  timestampMicros: micros(at),
  data: Buffer.from('x'),
});

/** What replicas answer, one read after another: records, where they end, what is committed. */
function replicas(
  ...answers: readonly (readonly [readonly number[], number, number] | 'cut off')[]
) {
  const asked: (boolean | undefined)[] = [];
  let turn = 0;
  return {
    asked,
    async read({ linearizable }: ReadOptions = {}): Promise<ReadAnswer> {
      asked.push(linearizable);
      const answer = answers[turn++];
      if (answer === undefined) assert.fail('it asks once more than it should');
      if (answer === 'cut off') throw new JournalError('UNAVAILABLE', 'nobody vouches for it');
      const [records, next, committed] = answer;
      const positions = { nextLsn: lsn(next), committedLsn: lsn(committed) };
      return { records: records.map(record), ...positions, lineage: 1 };
    },
  };
}

async function lsnsOf(records: AsyncIterable<JournalRecord>): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const one of records) found.push(one.lsn);
  return found;
}

test('a whole journal is read although a replica lags, as the chain vouches for it', async () => {
  const journal = replicas([[1, 2], 3, 4], [[], 3, 2], [[3, 4], 5, 4]);
  assert.deepEqual(await lsnsOf(recordsThrough({ signal }, journal, lsn(1), lsn(4))), [1, 2, 3, 4]);
  assert.deepEqual(journal.asked, [true, false, true]);
});

test('where it does not vouch, no part passes for the whole', async () => {
  const cut = () => replicas([[1, 2], 3, 4], [[], 3, 2], 'cut off', [[], 3, 2]);
  await assert.rejects(lsnsOf(recordsThrough({ signal }, cut(), lsn(1), lsn(4))), /vouches/);
  // For eyes what there is is good enough: `read` prints it.
  const range = { from: lsn(1), through: lsn(4), limit: 4, proof: 'wanted' } as const;
  assert.deepEqual(await lsnsOf(pages({ signal }, cut(), range)), [1, 2]);
});

test('an answer that ends too early is a failure, and an empty range none', async () => {
  const short = replicas([[1, 2], 5, 4]);
  const read = lsnsOf(recordsThrough({ signal }, short, lsn(1), lsn(4)));
  await assert.rejects(read, /through LSN 4, and they ended at LSN 2/);
  assert.deepEqual(await lsnsOf(recordsThrough({ signal }, replicas(), lsn(5), lsn(4))), []);
});
