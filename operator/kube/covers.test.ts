// What is drift and what is not: quantities in other words are none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference } from './covers.ts';

test('quantities that mean the same are no drift, others are', () => {
  for (const [wanted, found] of [
    ['.5', '500m'],
    ['1e3', '1k'],
    ['2E9', 2_000_000_000],
    ['1.5Gi', '1536Mi'],
    ['1E', '1000P'],
    ['25e-1', '2500m'],
  ] as const) {
    const at = (cpu: string | number) => ({ limits: { cpu } });
    assert.equal(difference(at(wanted), at(found)), null, `${wanted} is ${found}`);
  }
  assert.equal(difference({ cpu: '1e3' }, { cpu: '1e4' }), 'cpu');
  assert.equal(difference({ cpu: '1e' }, { cpu: '1' }), 'cpu');
});
