// A name and the journal that has it, whoever else asks for it at the same moment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SETTINGS } from '../../../protocol/configuration.ts';
import { FIRST_LSN, journalId } from '../../../protocol/types.ts';
import { decodeName, encode, naming } from './records.ts';

const idOf = (digit: string) => journalId(digit.repeat(32));
const wish = (digit: string) => ({
  name: 'orders',
  journal: idOf(digit),
  settings: DEFAULT_SETTINGS,
  firstLsn: FIRST_LSN,
});

test('of two that make a journal of one name at once the second finds the first', () => {
  const first = naming(wish('1'))(null);
  assert.deepEqual(decodeName(first), { ...wish('1'), deleted: false, revision: 1 });
  assert.equal(naming(wish('2'))(first), first);
  assert.equal(naming(wish('1'))(first), first, 'asked for once more it is the same');
});

test('the name of a deleted journal is free, and its record goes on', () => {
  const gone = encode({ ...wish('1'), deleted: true, revision: 2 });
  const next = naming(wish('2'))(gone);
  assert.deepEqual(decodeName(next), { ...wish('2'), deleted: false, revision: 3 });
});
