// The wait for a late controller grows, has an end, and is the usual one again when it is quick.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIMING } from '../config.ts';
import { Patience, STRETCH_MAX } from './patience.ts';

test('who is late gets more time, up to a bound, and less again when it is quick', () => {
  const patience = new Patience();
  assert.equal(patience.of('b'), 1);
  const waited = Array.from({ length: 6 }, () => {
    patience.late('b');
    return patience.of('b');
  });
  assert.deepEqual(waited, [2, 4, 8, 8, 8, 8]);
  assert.equal(patience.most, STRETCH_MAX);
  assert.equal(patience.of('c'), 1, 'the others are waited for as usual');
  // One that answers just in time keeps its time.
  patience.answered('b', TIMING.acceptor * STRETCH_MAX);
  assert.equal(patience.of('b'), STRETCH_MAX);
  const quick = Array.from({ length: 4 }, () => {
    patience.answered('b', 2_000);
    return patience.of('b');
  });
  assert.deepEqual(quick, [4, 2, 1, 1]);
  assert.equal(patience.most, 1);
});

test('a quick answer alone gives nobody more time', () => {
  const patience = new Patience();
  patience.answered('b', TIMING.acceptor - 1);
  assert.equal(patience.of('b'), 1);
  patience.late('b');
  patience.retain(['a', 'c']);
  assert.equal(patience.of('b'), 1);
});
