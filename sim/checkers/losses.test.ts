// A forced loss excuses what it gave up, and nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkers } from './all.ts';
import { cursor, trim } from './byhand.ts';
import { cursors } from './cursors.ts';
import type { AppendOperation, FinalLog, Operation } from './history.ts';
import { type Loss, withoutLosses } from './losses.ts';

const J = 'orders';
const dateOf = (lsn: number): number => 1_000_000 + lsn * 10;

const append = (data: string, lsn: number, called: number): AppendOperation => ({
  kind: 'append',
  process: 'w',
  journal: J,
  called,
  returned: called + 5,
  records: [{ data }],
  keyOperation: 'tag',
  condition: {},
  answer: { kind: 'appended', firstLsn: lsn, lastLsn: lsn, timestamp: dateOf(lsn) },
});

const read = (texts: readonly string[], called: number): Operation => ({
  kind: 'read',
  process: 'r',
  journal: J,
  called,
  returned: called + 5,
  from: 1,
  linearizable: true,
  answer: {
    kind: 'records',
    records: texts.map((data, at) => ({ lsn: at + 1, data, timestamp: dateOf(at + 1) })),
    nextLsn: texts.length + 1,
  },
});

const disk = (texts: readonly string[]): FinalLog => ({
  member: 'r1',
  journal: J,
  baseLsn: 0,
  trimmedLsn: 0,
  committedLsn: texts.length,
  batches: texts.map((data, at) => ({
    firstLsn: at + 1,
    lastLsn: at + 1,
    epoch: at < 2 ? 1 : 1_048_577,
    digest: data,
    records: [{ lsn: at + 1, data, timestamp: dateOf(at + 1) }],
    keyOperation: 'tag' as const,
  })),
});

/** Three records were acknowledged; the log goes on with two of them, and gets another third. */
const before = [append('a', 1, 10), append('b', 2, 20), append('c', 3, 30)];
const after = [append('d', 3, 100), append('e', 4, 110)];
const loss: Loss = { journal: J, keptLsn: 2, at: 50 };

function complaints(
  operations: readonly Operation[],
  texts: readonly string[],
  losses: readonly Loss[],
): string[] {
  const history = withoutLosses({ operations, finals: [disk(texts)] }, losses);
  return checkers.flatMap(({ check }) => check(history).wrong);
}

test('what was above the end of the copy is given up', () => {
  const operations = [...before, read(['a', 'b', 'c'], 40), ...after];
  assert.deepEqual(complaints(operations, ['a', 'b', 'd', 'e'], [loss]), []);
  assert.notDeepEqual(complaints(operations, ['a', 'b', 'd', 'e'], []), [], 'nobody forced a loss');
});

test('what was at or below it is not', () => {
  const wrong = complaints([...before, ...after], ['a', 'x', 'd', 'e'], [loss]);
  assert.ok(wrong.some((sentence) => sentence.includes('"b"')));
});

test('nor what was acknowledged since', () => {
  const wrong = complaints([...before, ...after], ['a', 'b', 'd'], [loss]);
  assert.ok(wrong.some((sentence) => sentence.includes('"e"')));
});

test('nor does what was given up come back to a reader', () => {
  const operations = [...before, ...after, read(['a', 'b', 'c'], 120)];
  assert.notDeepEqual(complaints(operations, ['a', 'b', 'd', 'e'], [loss]), []);
});

test('a cursor that was set before may be gone, one that was set since is not', () => {
  const operations = [cursor([10, 15], 1), trim([100, 105], 2)];
  const lost = withoutLosses({ operations, finals: [] }, [loss]);
  assert.deepEqual(cursors.check(lost).wrong, []);
  const since = { operations: [cursor([60, 65], 1), trim([100, 105], 2)], finals: [] };
  assert.equal(cursors.check(withoutLosses(since, [loss])).wrong.length, 1);
});
