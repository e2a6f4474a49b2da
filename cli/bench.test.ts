// What a measurement counts: acknowledged appends, and failures that it did not cause by itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Appended } from '../client/index.ts';
import { JournalError } from '../protocol/errors.ts';
import { epoch, lsn, micros } from '../protocol/types.ts';
import { measure } from './bench.ts';

const FLAGS = { journal: 'orders', size: 8, records: 2, outstanding: 16, seconds: 3_600 };

const acknowledged: Appended = {
  firstLsn: lsn(1),
  lastLsn: lsn(2),
  timestampMicros: micros(1),
  epoch: epoch(1),
  duplicate: false,
};

/** Acknowledges ten appends; those after them wait until the signal cuts them off. */
function target(signal: AbortSignal, waiting: () => void) {
  let left = 10;
  const append = (): Promise<Appended> => {
    left -= 1;
    if (left >= 0) return Promise.resolve(acknowledged);
    waiting();
    return new Promise((_, reject) => {
      const cut = (): void => reject(new JournalError('CANCELLED', 'cut off', {}, 'unknown'));
      signal.addEventListener('abort', cut, { once: true });
    });
  };
  const positions = { tailLsn: lsn(0), endLsn: lsn(0), firstLsn: lsn(1), lineage: 1 };
  return { signal, client: { journal: () => ({ append, tail: async () => positions }) } };
}

test('what was under way when a measurement is interrupted has not failed', async () => {
  const controller = new AbortController();
  const at = target(controller.signal, () => setImmediate(() => controller.abort()));
  const { appends, records, failed } = await measure(at, FLAGS);
  assert.deepEqual({ appends, records, failed }, { appends: 10, records: 20, failed: 0 });
});

test('what is refused for good is tried once by each that is outstanding', async () => {
  let tried = 0;
  const refusal = new JournalError('INVALID_ARGUMENT', 'record 0 of data is 2 B, allowed is 1 B');
  const append = (): Promise<Appended> => {
    tried += 1;
    return Promise.reject(refusal);
  };
  const at = target(new AbortController().signal, () => undefined);
  const client = { journal: () => ({ ...at.client.journal(), append }) };
  await assert.rejects(measure({ ...at, client }, FLAGS), refusal);
  assert.equal(tried, FLAGS.outstanding);
});
