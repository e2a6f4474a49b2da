// The invariants over all processes see what no process can see alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openChain } from '../../protocol/chain/state.ts';
import { type Configuration, DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import type { RegisterState } from '../../protocol/paxos/messages.ts';
import { epoch, journalId, lsn, memberId, storeId, zone } from '../../protocol/types.ts';
import { type Actor, World } from '../world.ts';
import { Together } from './together.ts';

const JOURNAL = journalId('a'.repeat(32));

const memberOf = (id: string) => ({
  store: storeId(id.repeat(32)),
  incarnation: 1,
  id: memberId(id),
  zone: zone(id),
  address: `${id}:1`,
});

const CONFIGURATION: Configuration = {
  journal: JOURNAL,
  name: 'orders',
  settings: DEFAULT_SETTINGS,
  lineage: 1,
  epoch: epoch(2),
  mode: 'chain',
  firstLsn: lsn(1),
  serving: [memberOf('a'), memberOf('b')],
  joining: null,
  deleted: false,
};

/** A member with entries 1 to `end` of `entryEpoch`, all of them committed as far as it knows. */
function member(id: string, end: number, entryEpoch: number) {
  const state = openChain({
    journal: JOURNAL,
    me: memberOf(id),
    record: {
      epoch: epoch(2),
      configuration: CONFIGURATION,
      markLsn: lsn(0),
      elderLsn: lsn(0),
      retired: false,
    },
    shape: {
      baseLsn: lsn(0),
      baseEpoch: epoch(0),
      endLsn: lsn(end),
      runs: end === 0 ? [] : [{ epoch: epoch(entryEpoch), firstLsn: lsn(1) }],
    },
    tables: null,
    settings: DEFAULT_SETTINGS,
  });
  state.committedLsn = lsn(end);
  return state;
}

const two = (): readonly [World, Actor, Actor] => {
  const world = new World('together');
  return [world, world.birth('a'), world.birth('b')];
};

test('two members that agree', () => {
  const together = new Together();
  const [, one, other] = two();
  together.turned(one, member('a', 5, 1));
  together.turned(other, member('b', 5, 1));
  assert.equal(together.counts.chain, 2);
});

test('two members with another entry at one committed position', () => {
  const together = new Together();
  const [, one, other] = two();
  together.turned(one, member('a', 5, 1));
  assert.throws(
    () => together.turned(other, member('b', 5, 2)),
    /one entry per committed position/,
  );
});

test('a serving member without what is committed, until it is dead', () => {
  const together = new Together();
  const [world, one, other] = two();
  together.turned(one, member('a', 5, 1));
  assert.throws(
    () => together.turned(other, member('b', 4, 1)),
    /what is committed is on every serving member/,
  );
  world.kill(other);
  together.turned(one, member('a', 5, 1));
});

test('a log of a lineage that was given up, with a base above the log that goes on', () => {
  const together = new Together();
  const [, one, other] = two();
  const elder = member('c', 5, 1);
  const { shape, record } = elder;
  assert.ok(record);
  elder.shape = { ...shape, baseLsn: lsn(5), baseEpoch: epoch(1), runs: [] };
  elder.durableLsn = lsn(5);
  elder.record = { ...record, retired: true, elderLsn: lsn(5) };
  together.turned(one, elder);
  together.turned(other, member('a', 3, 1));
  // What it goes on to commit is of the lineage that it is in.
  elder.committedLsn = lsn(6);
  assert.throws(() => together.turned(one, elder), /what is committed is on every serving member/);
});

test('two acceptors with two values of one ballot', () => {
  const together = new Together();
  const [, one, other] = two();
  const set = { id: 'set', version: 1, seats: [] };
  const view = (value: string) => {
    const ballot = { round: 3, proposer: 'p' };
    const register: RegisterState = { promised: ballot, accepted: ballot, value };
    return { versions: [{ record: { set }, registers: new Map([['key', register]]) }] };
  };
  together.stepped(one, 'key', view('x'));
  assert.throws(() => together.stepped(other, 'key', view('y')), /one value a ballot/);
});
