// What is asked again until it is done, and what ends the asking.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalError } from '../protocol/errors.ts';
import { insist } from './insist.ts';

/** The tries it takes of a call that fails once with this. */
async function tries(crowded: boolean, error: Error): Promise<number> {
  let count = 0;
  const task = async (): Promise<number> => {
    count += 1;
    if (count === 1) throw error;
    return count;
  };
  return insist(task, { crowded, pause: async () => undefined });
}

const evicted = new JournalError('STALE_WRITER', 'evicted', {}, 'unknown');

test('where writers are few, one that was evicted begins anew', async () => {
  // Seed 132943430 of 9e33418: three writers are remembered, and a slow link took the answer.
  assert.equal(await tries(true, evicted), 2);
  await assert.rejects(tries(false, evicted), { code: 'STALE_WRITER' });
  await assert.rejects(tries(true, new JournalError('STALE_WRITER', 'no', {}, 'none')));
});

test('what may be asked again is asked again, and nothing else is', async () => {
  assert.equal(await tries(false, new JournalError('UNAVAILABLE', 'not now')), 2);
  assert.equal(await tries(false, new JournalError('ALREADY_EXISTS', 'as asked before')), 2);
  await assert.rejects(tries(true, new JournalError('LIMIT_EXCEEDED', 'for good')));
  await assert.rejects(tries(true, new TypeError('a fault of ours')), TypeError);
});
