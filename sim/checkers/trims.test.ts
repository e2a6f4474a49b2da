// What a trim that was answered must have done, in wrong histories and in right ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, final, read, record, refused, tail, trim } from './byhand.ts';
import type { FinalLog, Operation, ReadOperation } from './history.ts';
import { type Loss, withoutLosses } from './losses.ts';
import { trims } from './trims.ts';

const [a, b, c] = [record(1, 'a'), record(2, 'b'), record(3, 'c')];
const APPENDS = [append('a', [0, 1], 1), append('b', [2, 3], 2), append('c', [4, 5], 3)];
const TRIM = trim([10, 12], 2);
const MAYBE = trim([10, 12], 2, { answer: refused('UNAVAILABLE', { outcome: 'unknown' }) });

type Case = readonly [operations: readonly Operation[], finals?: readonly FinalLog[]];

const disk = (member: string, trimmedLsn: number): FinalLog =>
  final(member, [a, b, c], { trimmedLsn });

/** Of a member that may not have heard of the trim. */
function plain(operation: Operation): Operation {
  // cast: `read` makes reads only.
  return { ...(operation as ReadOperation), linearizable: false };
}

const complaints = ([operations, finals = []]: Case, losses: readonly Loss[] = []) =>
  trims.check(withoutLosses({ operations: [...APPENDS, ...operations], finals }, losses)).wrong;

const WRONG: Readonly<Record<string, Case>> = {
  'no log says in the end that it was trimmed': [[TRIM], [disk('x', 0), disk('y', 0)]],
  'one log of two does not': [[TRIM], [disk('x', 2), disk('y', 0)]],
  'a log has an earlier trim alone': [[trim([6, 7], 1), TRIM], [disk('x', 1)]],
  'a read that began later shows what it took': [[TRIM, read([13, 14], 1, 4, [a, b, c])]],
  'a read shows a part of it': [[TRIM, read([13, 14], 2, 4, [b, c])]],
  'a tail that was asked for later names an earlier position': [[TRIM, tail([13, 14], 3, 1)]],
  'a later trim names an earlier position': [
    [TRIM, trim([13, 14], 1, { answer: { kind: 'trimmed', firstLsn: 2 } })],
  ],
  'its own answer does': [[trim([10, 12], 2, { answer: { kind: 'trimmed', firstLsn: 2 } })]],
};

for (const [what, wrong] of Object.entries(WRONG)) {
  test(`found: ${what}`, () => assert.equal(complaints(wrong).length > 0, true));
}

const RIGHT: Readonly<Record<string, Case>> = {
  'it took effect': [
    [TRIM, read([13, 14], 3, 4, [c]), tail([13, 14], 3, 3)],
    [disk('x', 2), disk('y', 2)],
  ],
  'another went further': [[TRIM, tail([13, 14], 3, 4)], [disk('x', 3)]],
  'the read began before the answer': [[TRIM, read([11, 14], 1, 4, [a, b, c])]],
  'the read is of a member that may be behind': [[TRIM, plain(read([13, 14], 1, 4, [a, b, c]))]],
  'nobody was told that it was done': [[MAYBE, tail([13, 14], 3, 1)], [disk('x', 0)]],
  'nobody wrote down what is left': [[TRIM, tail([13, 14], 3)]],
};

test('what is right is not complained of', () => {
  for (const [why, right] of Object.entries(RIGHT)) assert.deepEqual(complaints(right), [], why);
});

test('a forced loss may give a trim up that was asked for before, and none since', () => {
  const lost: Case = [[TRIM], [disk('x', 0)]];
  assert.deepEqual(complaints(lost, [{ journal: 'orders', keptLsn: 3, at: 50 }]), []);
  assert.equal(complaints(lost, [{ journal: 'orders', keptLsn: 3, at: 8 }]).length, 1);
});
