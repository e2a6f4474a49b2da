// How an append is planned from its flags: what is atomic, what is skipped, what is fenced.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lsn } from '../protocol/types.ts';
import { planOf } from './append.ts';

test('a condition makes stdin one atomic batch, the fence of lead does not', () => {
  assert.equal(planOf({ expectTail: lsn(0) }, undefined).atomic, true);
  assert.equal(planOf({ expectKey: { key: 'k', lsn: lsn(0) } }, undefined).atomic, true);
  assert.equal(planOf({ fence: { key: 'k', lsn: lsn(3) } }, undefined).atomic, true);
  const led = planOf({}, 'worker=41');
  assert.equal(led.atomic, false);
  assert.deepEqual(led.conditions, { fence: { key: 'worker', token: 41 } });
  assert.equal(planOf({}, '').conditions.fence, undefined);
});

test('a fence on the command line wins over that of the environment', () => {
  const { conditions } = planOf({ fence: { key: 'k', lsn: lsn(3) } }, 'worker=41');
  assert.deepEqual(conditions, { fence: { key: 'k', token: 3 } });
});

test('a fence in the environment that is none is refused by name', () => {
  assert.throws(() => planOf({}, 'worker'), /JOURNAL_FENCE is "worker", allowed is KEY=TOKEN/);
});

test('a chosen key cuts by the input, a drawn one by what has arrived', () => {
  const chosen = planOf({ idempotencyKey: 'job-7' }, undefined);
  assert.deepEqual([chosen.id, chosen.chosen, chosen.skip, chosen.open], ['job-7', true, 0, 0]);
  const drawn = planOf({}, undefined);
  assert.match(drawn.id, /^auto-[0-9a-f]{16}$/);
  assert.equal(drawn.chosen, false);
  assert.notEqual(planOf({}, undefined).id, drawn.id);
});

test('the key that a stopped append prints says where to go on', () => {
  const key = 'auto-0123456789abcdef@4000+812';
  const { id, chosen, skip, open } = planOf({ idempotencyKey: key }, undefined);
  assert.deepEqual([id, chosen, skip, open], ['auto-0123456789abcdef', false, 4_000, 812]);
  const writer = '00000000000fa00123456789abcdef01';
  const numbered = planOf({ idempotencyKey: `auto-${writer}.17@4000+812` }, undefined);
  assert.deepEqual(numbered, {
    ...planOf({ idempotencyKey: key }, undefined),
    // Batches after the one in question have names of their own, the same in each such run.
    id: 'auto-23456789abcdef01',
    sentAs: { writer, sequence: 17 },
  });
  // Whoever chose what only looks like one meant a name.
  assert.equal(planOf({ idempotencyKey: `auto-${writer}@1+2` }, undefined).chosen, true);
});
