// Each reconfiguration is told in words, once, and only the last ones are kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { micros } from '../../protocol/types.ts';
import { type ChainView, Changes, describeChange } from './changes.ts';

const place = (id: string, store = id) => ({ id, store });

const view = (epoch: number, ids: string, more: Partial<ChainView> = {}): ChainView => ({
  journal: 'j',
  name: 'orders',
  lineage: 1,
  epoch,
  serving: ids.split(' ').map((id) => place(id)),
  joining: null,
  deleted: false,
  ...more,
});

test('who left, who came, who is head', () => {
  const whole = view(1, 'a b c');
  const cases: readonly (readonly [ChainView | null, ChainView, string])[] = [
    [null, whole, 'made: a → b → c'],
    [null, view(7, 'a b'), 'first heard of: a → b'],
    [whole, view(2, 'b c'), 'a left; b is head: b → c'],
    [whole, view(2, 'a c'), 'b left: a → c'],
    [view(2, 'b c'), view(3, 'b c', { joining: place('a') }), 'a joins: b → c → a'],
    [view(3, 'b c', { joining: place('a') }), view(4, 'b c a'), 'a caught up: b → c → a'],
    [whole, view(2, 'b a c'), 'b is head: b → a → c'],
    [whole, view(2, 'a b c'), 'formed anew: a → b → c'],
    [whole, { ...view(9, 'c'), lineage: 2 }, 'lineage raised to 2; a left; b left; c is head: c'],
    [whole, view(2, 'a', { serving: [], deleted: true }), 'the journal was deleted'],
    // The same label on another volume is another member.
    [
      view(1, 'a b'),
      view(2, 'a', { serving: [place('a'), place('b', 'new')] }),
      'b left; b came in',
    ],
  ];
  for (const [before, after, text] of cases) {
    assert.match(describeChange(before, after), new RegExp(`^${text}`));
  }
});

test('what is heard twice or late is told once', () => {
  const changes = new Changes();
  for (const epoch of [1, 2, 2, 1, 3]) changes.heard(micros(epoch), view(epoch, 'a b'));
  assert.deepEqual(
    changes.last(10).map(({ epoch }) => epoch),
    [3, 2, 1],
  );
});

test('what was there before somebody looked is no change', () => {
  const changes = new Changes();
  changes.heard(micros(1), view(5, 'a b c'), true);
  assert.deepEqual(changes.last(10), []);
  changes.heard(micros(2), view(6, 'b c'));
  assert.deepEqual(
    changes.last(10).map(({ text }) => text),
    ['a left; b is head: b → c'],
  );
});

test('at most 200 are kept', () => {
  const changes = new Changes();
  for (let epoch = 1; epoch <= 500; epoch += 1) changes.heard(micros(epoch), view(epoch, 'a'));
  assert.equal(changes.last(1_000).length, 200);
  assert.equal(changes.last(1)[0]?.epoch, 500);
});
