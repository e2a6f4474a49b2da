// Where a trim may go although a cursor was set below it: what is found is in checkers.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, cursor, final, record, refused, trim } from './byhand.ts';
import { cursors } from './cursors.ts';
import { durability } from './durability.ts';
import type { Operation } from './history.ts';

const MAYBE = refused('UNAVAILABLE', { outcome: 'unknown' });
const LONG = 100_000_000;

test('a trim may go where some order of what was asked of cursors lets it', () => {
  const lawful: Readonly<Record<string, readonly Operation[]>> = {
    'the cursor has come that far': [cursor([0, 1], 5), trim([2, 3], 5)],
    'it is moved on meanwhile': [cursor([0, 1], 1), cursor([2, 4], 5), trim([3, 6], 5)],
    'it is deleted meanwhile': [cursor([0, 1], 1), trim([3, 6], 5), cursor([4, 9], null)],
    'it may be deleted by then': [
      cursor([0, 1], 1),
      cursor([2, 3], null, MAYBE),
      trim([LONG, LONG + 1], 5),
    ],
    'a move without an answer may come late': [
      cursor([0, null], 5, MAYBE),
      cursor([2, 3], 1),
      trim([LONG, LONG + 1], 5),
    ],
    'one that was answered may come twice': [cursor([0, 1], 5), cursor([2, 3], 1), trim([4, 5], 5)],
    'the cursor is set meanwhile': [cursor([0, 3], 1), trim([2, 4], 5)],
    'the cursor may not be there': [cursor([0, 1], 1, MAYBE), trim([2, 3], 5)],
    'the move was refused': [cursor([0, 1], 1, refused('OUT_OF_RANGE')), trim([2, 3], 5)],
    'it is forced': [cursor([0, 1], 1), trim([2, 3], 5, { force: true })],
    'nobody knows that it went': [cursor([0, 1], 1), trim([2, 3], 5, { answer: MAYBE })],
  };
  for (const [why, operations] of Object.entries(lawful)) {
    assert.deepEqual(cursors.check({ operations, finals: [] }).wrong, [], why);
  }
});

test('a trim that was held may take effect after all, once the cursor let it go', () => {
  const held = trim([4, 5], 1, { answer: refused('CURSOR_HOLDS') });
  const records = [record(1, 'a'), record(2, 'b')];
  const finals = [final('x', records, { trimmedLsn: 1 })];
  const judge = (operations: readonly Operation[]): readonly string[] => {
    const appends = [append('a', [0, 1], 1), append('b', [0, 1], 2)];
    return durability.check({ operations: [...appends, ...operations], finals }).wrong;
  };
  const [low, on] = [cursor([2, 3], 0), cursor([6, 7], 1)];
  assert.deepEqual(judge([low, held, on]), []);
  assert.deepEqual(judge([low, held, cursor([6, 7], null)]), []);
  assert.equal(judge([low, held]).length, 1);
  assert.equal(judge([low, held, cursor([LONG, LONG + 1], 1)]).length, 1);
});
