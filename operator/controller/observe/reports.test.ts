// Since when a member rests: what its chain goes by where appends wait and nobody is silent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainReport } from '../../../protocol/chain/messages.ts';
import { epoch, journalId, lsn, micros } from '../../../protocol/types.ts';
import { heard } from './reports.ts';

const report = (change: Partial<ChainReport>): ChainReport => ({
  journal: journalId('a'.repeat(32)),
  lineage: 1,
  epoch: epoch(3),
  role: 'tail',
  live: true,
  synced: true,
  wedged: false,
  damaged: false,
  tooOld: false,
  endLsn: lsn(10),
  endEpoch: epoch(3),
  durableLsn: lsn(10),
  committedLsn: lsn(10),
  baseLsn: lsn(0),
  startLsn: lsn(0),
  waitingMicros: micros(0),
  acked: [],
  floor: null,
  ...change,
});
const rested = heard(undefined, report({}), micros(1_000));
const restAt = (next: ChainReport) => heard(rested, next, micros(5_000)).restAt;

test('a member rests since it was first heard with all that it got on disk', () => {
  assert.equal(rested.restAt, 1_000);
  assert.equal(restAt(report({ committedLsn: lsn(9) })), 1_000);
});

test('it does not rest while something is on its way to the disk', () => {
  assert.equal(restAt(report({ endLsn: lsn(12) })), null);
});

test('what it got since then begins its rest anew', () => {
  assert.equal(restAt(report({ endLsn: lsn(12), durableLsn: lsn(12) })), 5_000);
});

test('its rest in an older epoch says nothing of the one that has just begun', () => {
  assert.equal(restAt(report({ epoch: epoch(4) })), 5_000);
  assert.equal(restAt(report({ epoch: epoch(4), live: false })), null);
});
