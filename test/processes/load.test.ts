// A load is judged by checkers that have looked at something, each of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '../../sim/checkers/history.ts';
import { LEASE_KEY_PREFIX } from '../../sim/recorder.ts';
import { claimsOf } from './finals.ts';
import { judge, lookedAt, together } from './load.ts';

const BASE = { process: 'w', journal: 'orders' } as const;

const plain: readonly Operation[] = [1, 2, 3].map((lsn) => ({
  ...BASE,
  kind: 'append',
  called: 10 * lsn,
  returned: 10 * lsn + 5,
  records: [{ data: `record ${lsn}` }],
  keyOperation: 'tag',
  condition: {},
  answer: { kind: 'appended', firstLsn: lsn, lastLsn: lsn, timestamp: 1_000 * lsn },
}));

test('checkers that looked at nothing are complaints, however much the others looked at', () => {
  const { wrong, looked } = judge({ operations: plain, finals: [] });
  assert.deepEqual(wrong, [
    'durability: it looked at nothing',
    'conditions: it looked at nothing',
    'subscriptions: it looked at nothing',
    'leases: it looked at nothing',
  ]);
  assert.ok((looked.order ?? 0) > 0);
  assert.equal(looked.conditions, 0);
});

test('counts of several histories are summed by checker', () => {
  const looked = together({ order: 2, leases: 0 }, { order: 3, conditions: 1 });
  assert.equal(lookedAt(looked), 'order 5, leases 0, conditions 1');
});

test('claims are told from renewals by the nonce of each campaign', () => {
  const isClaim = claimsOf();
  const lease = (key: string, nonce: string): boolean =>
    isClaim({
      key: `${LEASE_KEY_PREFIX}${key}`,
      data: Buffer.from(JSON.stringify({ node: 'n', leaseMillis: 1_000, nonce })),
    });
  assert.equal(lease('0', 'a'), true);
  assert.equal(lease('0', 'a'), false, 'a renewal');
  assert.equal(lease('1', 'b'), true, 'another key');
  assert.equal(lease('0', 'a'), false, 'a renewal or release after it');
  assert.equal(lease('0', 'b'), true, 'the next leader');
  const tagged = { key: `${LEASE_KEY_PREFIX}0`, data: Buffer.from('leadLoop 3') };
  assert.equal(isClaim(tagged), false, 'what the leader tags with its own key');
  assert.equal(lease('0', 'b'), false, 'a renewal after it');
  assert.equal(isClaim({ key: 'k1', data: Buffer.from('no lease') }), false);
  assert.equal(isClaim({ data: Buffer.from('no key') }), false);
});
