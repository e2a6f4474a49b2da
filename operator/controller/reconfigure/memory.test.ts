// What a controller remembers of a journal from one configuration to the next.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../../../protocol/configuration.ts';
import { micros } from '../../../protocol/types.ts';
import { chainOf as chain, memberOf } from '../../../test/configurations.ts';
import { cutOff, freshMemory, turnPage } from './memory.ts';

const [a, b, c] = [memberOf('a'), memberOf('b'), memberOf('c')];

/** When it is remembered that the chain was reordered, after `next` followed `before` at 7 µs. */
function reorderedAt(before: Configuration | null, next: Configuration): number {
  const memory = freshMemory(micros(0));
  turnPage(memory, next, before, micros(7));
  return memory.reorderedAt;
}

// Else a stall that another order did not end leads to yet another order, which may well be the
// first one again, and the member that is cut off never goes.
test('another order of the same members is remembered, by whoever decided it', () => {
  assert.equal(reorderedAt(chain(1, a, b, c), chain(2, a, c, b)), 7);
  assert.equal(reorderedAt(chain(1, a, b), chain(2, b, a)), 7);
});

test('the same order, other members and a first sight are no other order', () => {
  assert.equal(reorderedAt(chain(1, a, b, c), chain(2, a, b, c)), 0);
  assert.equal(reorderedAt(chain(1, a, b, c), chain(2, a, c)), 0);
  assert.equal(reorderedAt(chain(1, a, b), chain(2, a, b, c)), 0);
  assert.equal(reorderedAt(chain(1, a, b, c), chain(2, a, c, memberOf('b', 2))), 0);
  assert.equal(reorderedAt(null, chain(2, a, c, b)), 0);
});

test('the next configurations do not make it forget', () => {
  const memory = freshMemory(micros(0));
  turnPage(memory, chain(2, b, a), chain(1, a, b), micros(7));
  turnPage(memory, chain(3, b, a, c), chain(2, b, a), micros(9));
  assert.equal(memory.reorderedAt, 7);
});

// Else another controller than the one that put it out lets it in again at once.
test('who goes out while appends wait is cut off where it works, by whoever decided it', () => {
  const memory = freshMemory(micros(0));
  const out = (now: number, works: boolean): readonly string[] =>
    cutOff(memory, chain(1, a, b, c), chain(2, a, b), () => works, micros(now)).map(({ id }) => id);
  assert.deepEqual(out(500_000, true), [], 'no stall was seen');
  memory.stalledAt = micros(400_000);
  assert.deepEqual(out(500_000, true), ['c']);
  assert.deepEqual(out(500_000, false), [], 'it is dead, not cut off');
  assert.deepEqual(out(2_400_000, true), [], 'that was long ago');
});
