// Who is shown as a learner: those that are to become members, and nobody that merely copies on;
// and which replicas are shown: those that somebody misses where they do not answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SETTINGS, type Member } from '../../protocol/configuration.ts';
import { epoch, journalId, lsn, memberId, storeId, zone } from '../../protocol/types.ts';
import { isShown, isToJoin } from './status.ts';

const storeOf = (digit: string) => storeId(digit.repeat(32));

const memberOf = (digit: string): Member => ({
  store: storeOf(digit),
  incarnation: 1,
  id: memberId(`replica-${digit}`),
  zone: zone('a'),
  address: 'a:1',
});

const chain = (...digits: readonly string[]) => ({
  journal: journalId('f'.repeat(32)),
  name: 'orders',
  lineage: 1,
  epoch: epoch(5),
  mode: 'chain' as const,
  serving: digits.map(memberOf),
  joining: null,
  firstLsn: lsn(1),
  settings: { ...DEFAULT_SETTINGS, replicationFactor: 3 },
  deleted: false,
});

const spare = { store: storeOf('4'), leaving: null };

test('a learner is shown while the chain lacks a member', () => {
  assert.ok(isToJoin(chain('1', '2'), spare, spare.store));
});

test('one whose place was taken meanwhile is not shown: nobody need wait for it', () => {
  assert.ok(!isToJoin(chain('1', '2', '3'), spare, spare.store));
  const joining = { ...chain('1', '2'), joining: memberOf('3') };
  assert.ok(!isToJoin(joining, spare, spare.store));
});

test('one that is to leave, or whose label went to another store, never joins', () => {
  assert.ok(!isToJoin(chain('1', '2'), { ...spare, leaving: { by: null } }, spare.store));
  assert.ok(!isToJoin(chain('1', '2'), spare, storeOf('5')));
  assert.ok(!isToJoin(chain('1', '2'), undefined, spare.store));
});

test('a member that has left is missed by nobody once it ended', () => {
  const { store } = spare;
  const leaving = { store, leaving: { by: 'replica-5' } };
  const silent = { heard: false, configurations: [chain('1', '2', '3')] };
  assert.ok(isShown(store, spare, silent));
  assert.ok(!isShown(store, leaving, silent));
  assert.ok(isShown(store, leaving, { ...silent, heard: true }));
  const inside = chain('1', '2', '4');
  assert.ok(isShown(store, leaving, { heard: false, configurations: [inside] }));
  const deleted = { ...inside, deleted: true };
  assert.ok(!isShown(store, leaving, { heard: false, configurations: [deleted] }));
});

test('a store whose label went to another one is shown while a journal names it', () => {
  const other = { store: storeOf('5'), leaving: null };
  const configurations = [chain('1', '2', '4')];
  assert.ok(isShown(spare.store, other, { heard: true, configurations }));
  assert.ok(!isShown(spare.store, other, { heard: true, configurations: [] }));
});
