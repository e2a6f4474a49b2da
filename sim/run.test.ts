// Whole clusters in small: a run passes, passes again with the same trace, and can fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './run.ts';

const SMALL = { events: 3_000, budget: 'available', faults: null } as const;

test('a run passes, and leaves the same trace twice', async () => {
  const first = await run({ ...SMALL, seed: '1' });
  assert.equal(first.failure, null, JSON.stringify(first.failure));
  assert.ok(first.acknowledged > 20, `${first.acknowledged} appends were acknowledged`);
  assert.ok((first.checked.durability ?? 0) > 20, 'hardly anything was looked at');
  const second = await run({ ...SMALL, seed: '1' });
  assert.equal(second.hash, first.hash);
  const other = await run({ ...SMALL, seed: '2' });
  assert.notEqual(other.hash, first.hash);
});

test('disks that lie about their syncs are found out', async () => {
  const { failure } = await run({ ...SMALL, seed: '3', faults: ['drift'], lyingDisks: true });
  assert.equal(failure?.by, 'durability', JSON.stringify(failure));
});
