// Proposals that come from outside: what no decision of ours would make is refused as well.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainReport } from '../../../protocol/chain/messages.ts';
import type { Configuration, Member } from '../../../protocol/configuration.ts';
import { epoch, lsn, micros } from '../../../protocol/types.ts';
import { chainOf, memberOf } from '../../../test/configurations.ts';
import { caughtUp, type SuccessionEvidence, whyNot } from './succession.ts';

const [a, b] = [memberOf('a'), memberOf('b')];
const joined = { ...chainOf(5, a), joining: b };
const promoted = chainOf(6, a, b);
const nothing: SuccessionEvidence = { joinerCaughtUp: false, aboveFloor: new Map() };

/** The head's, which has heard of everything that b needs. */
const REPORT: ChainReport = {
  journal: joined.journal,
  lineage: 1,
  epoch: joined.epoch,
  role: 'head',
  live: true,
  synced: true,
  wedged: false,
  damaged: false,
  tooOld: false,
  endLsn: lsn(10),
  endEpoch: joined.epoch,
  durableLsn: lsn(10),
  committedLsn: lsn(10),
  baseLsn: lsn(0),
  startLsn: lsn(8),
  waitingMicros: micros(0),
  acked: [{ store: b.store, durableLsn: lsn(8), barrier: 0 }],
  floor: null,
};

test('a joining member serves only once it has caught up', () => {
  assert.equal(whyNot(joined, promoted, { ...nothing, joinerCaughtUp: true }), null);
  assert.match(whyNot(joined, promoted, nothing) ?? '', /b has not caught up, it cannot serve/);
});

test('what the head heard of a joining member in another epoch or lineage is no proof', () => {
  assert.equal(caughtUp(joined, REPORT), true);
  for (const at of [4, 6]) assert.equal(caughtUp(joined, { ...REPORT, epoch: epoch(at) }), false);
  assert.equal(caughtUp(joined, { ...REPORT, lineage: 2 }), false);
  assert.equal(caughtUp(joined, { ...REPORT, live: false }), false);
  const behind = [{ store: b.store, durableLsn: lsn(7), barrier: 0 }];
  assert.equal(caughtUp(joined, { ...REPORT, acked: behind }), false);
  assert.equal(caughtUp(joined, { ...REPORT, acked: [] }), false, 'unknown is no');
});

test('a configuration that no rule leads to does not follow', () => {
  const latest = chainOf(5, a, b);
  const refused = (next: Partial<Configuration>, evidence = nothing): string =>
    whyNot(latest, { ...chainOf(6, a, b), ...next }, evidence) ?? '';
  assert.equal(refused({}), '');
  assert.match(refused({ epoch: epoch(7) }), /epoch 6 is the next/);
  assert.match(refused({ epoch: epoch(5) }), /epoch 6 is the next/);
  assert.match(refused({ lineage: 2 }), /lineage 1 is not changed/);
  assert.match(refused({ firstLsn: lsn(9) }), /first position never changes/);
  assert.match(refused({ name: 'other' }), /another journal/);
  assert.match(refused({ serving: [] }), /at least one member/);
  assert.match(refused({ serving: [a], joining: memberOf('a', 2) }), /named twice/);
});

test('a restarted member serves alone, in a start that is known to be above its floor', () => {
  const latest = chainOf(5, a, b);
  const again = memberOf('a', 2);
  const cold = { ...nothing, aboveFloor: new Map([[a.store, 2]]) };
  const told = (...serving: readonly Member[]): string =>
    whyNot(latest, chainOf(6, ...serving), cold) ?? '';
  assert.equal(told(again), '');
  assert.match(told(again, b), /a does not serve in epoch 5/);
  assert.match(told(memberOf('a', 3)), /not known to be above its floor/);
  assert.match(told(memberOf('b', 2)), /not known to be above its floor/);
  assert.match(told(memberOf('c')), /c does not serve in epoch 5/);
});
