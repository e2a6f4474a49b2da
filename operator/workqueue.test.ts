// The work queue keeps client-go's promises.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRandom } from '../io/node.ts';
import { micros } from '../protocol/types.ts';
import { handClock } from '../test/hand-clock.ts';
import { WorkQueue } from './workqueue.ts';

test('a key that is added twice is taken once', async () => {
  const queue = new WorkQueue(handClock().clock, nodeRandom('s'));
  queue.add('a');
  queue.add('a');
  queue.add('b');
  assert.equal(queue.length, 2);
  assert.equal(await queue.take(), 'a');
  assert.equal(await queue.take(), 'b');
});

test('a key is never worked on twice at once, and is not lost either', async () => {
  const queue = new WorkQueue(handClock().clock, nodeRandom('s'));
  queue.add('a');
  assert.equal(await queue.take(), 'a');
  queue.add('a');
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(queue.length, 1);
  assert.equal(await queue.take(), 'a');
  queue.done('a');
  assert.equal(queue.length, 0);
});

test('of several delays the shortest counts', () => {
  const { clock, forward } = handClock();
  const queue = new WorkQueue(clock, nodeRandom('s'));
  queue.addAfter('a', micros(5_000));
  queue.addAfter('a', micros(1_000));
  queue.addAfter('a', micros(9_000));
  forward(1_000);
  assert.equal(queue.length, 1);
  forward(20_000);
  assert.equal(queue.length, 1);
});

test('failures are put off exponentially up to a bound, each key by itself', () => {
  const options = { backoffMin: micros(1_000), backoffMax: micros(16_000) };
  const { clock } = handClock();
  const delays = (key: string, queue: WorkQueue): number[] =>
    Array.from({ length: 8 }, () => queue.addFailed(key));
  const queue = new WorkQueue(clock, nodeRandom('s'), options);
  for (const [index, delay] of delays('a', queue).entries()) {
    const bound = Math.min(16_000, 1_000 * 2 ** index);
    assert.ok(delay >= bound / 2 && delay <= bound, `${index}: ${delay}`);
  }
  assert.ok(queue.addFailed('b') <= 1_000);
  queue.forget('a');
  assert.ok(queue.addFailed('a') <= 1_000);
});

test('a closed queue lets everybody go', async () => {
  const queue = new WorkQueue(handClock().clock, nodeRandom('s'));
  const waiting = queue.take();
  queue.close();
  assert.equal(await waiting, null);
  queue.add('a');
  assert.equal(await queue.take(), null);
});
