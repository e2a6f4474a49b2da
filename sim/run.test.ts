// Whole clusters in small: a run passes, passes again with the same trace, and can fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIXED_SEEDS } from '../test/tiers.ts';
import { FAULT_NAMES } from './faults/kinds.ts';
import { parsePlan } from './plan.ts';
import { kindsOf, run } from './run.ts';

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

test('the seeds that every run of the tests repeats draw each kind of fault twice at least', () => {
  const plan = parsePlan(FIXED_SEEDS, () => assert.fail('the first seed is not given'));
  assert.ok(plan?.kind === 'many' && Number.isFinite(plan.count));
  const drawn = new Map(FAULT_NAMES.map((name) => [name, 0]));
  for (let at = 0; at < plan.count; at += 1) {
    const seed = plan.seeds.next().value ?? assert.fail('too few seeds');
    for (const name of kindsOf({ ...plan.options, seed })) {
      drawn.set(name, (drawn.get(name) ?? 0) + 1);
    }
  }
  const rare = [...drawn].filter(([, count]) => count < 2);
  assert.deepEqual(rare, []);
});
