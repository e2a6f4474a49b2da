// The numbers of the failure detector, each at its edge.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Micros, micros, storeId } from '../../../protocol/types.ts';
import type { VerdictKind } from '../register/wire.ts';
import {
  type Damping,
  inQuarantine,
  noteBadDisk,
  noteCutOff,
  noteRemoval,
  noteSyncs,
  returnsAt,
} from './damping.ts';
import { agreed, clockError, detect, type Evidence } from './detector.ts';

const ms = (count: number): Micros => micros(count * 1_000);
const A = storeId('a'.repeat(32));
const B = storeId('b'.repeat(32));
const C = storeId('c'.repeat(32));
const NOW = ms(10_000);

const well = (store: Evidence['store']): Evidence => ({
  store,
  lastPong: NOW,
  syncAge: ms(0),
  lastSync: ms(9_900),
  syncPeak: ms(10),
  syncMedian: ms(2),
  failed: false,
});

const verdict = (first: Partial<Evidence>, ...others: Evidence[]): VerdictKind | undefined =>
  detect([{ ...well(A), ...first }, ...others], NOW).get(A);

test('a member is silent after 400 ms without a pong', () => {
  assert.equal(verdict({ lastPong: ms(9_601) }, well(B)), 'fine');
  assert.equal(verdict({ lastPong: ms(9_600) }, well(B)), 'silent');
});

test('a disk hangs when a sync takes 500 ms while another member syncs', () => {
  assert.equal(verdict({ syncAge: ms(499) }, well(B)), 'fine');
  assert.equal(verdict({ syncAge: ms(500) }, well(B)), 'stuck');
});

test('a disk that all share makes all slow: it hangs where another one is twice as fast', () => {
  const slowly = [well(B), well(C)].map((one) => ({ ...one, syncPeak: ms(400) }));
  assert.equal(verdict({ syncAge: ms(799) }, ...slowly), 'fine');
  assert.equal(verdict({ syncAge: ms(800) }, ...slowly), 'stuck');
  const slower = slowly.map((one) => ({ ...one, syncPeak: ms(1_500) }));
  assert.equal(verdict({ syncAge: ms(1_999) }, ...slower), 'fine');
  assert.equal(verdict({ syncAge: ms(2_000) }, ...slower), 'stuck', 'long enough for all');
  const [first = well(B)] = slowly;
  assert.equal(verdict({ syncAge: ms(500) }, first, well(C)), 'stuck', 'C is fast');
});

test('a sync that nobody else completed either is nobody’s fault', () => {
  const idle = { ...well(B), lastSync: ms(9_400) };
  assert.equal(verdict({ syncAge: ms(550) }, idle), 'fine', 'B last synced before A began');
  assert.equal(verdict({ syncAge: ms(550) }), 'fine', 'A is alone');
  assert.equal(verdict({ syncAge: ms(650) }, idle), 'stuck');
});

test('slow is 50 ms and twenty times the others', () => {
  const others = [well(B), well(C)];
  assert.equal(verdict({ syncMedian: ms(49) }, ...others), 'fine');
  assert.equal(verdict({ syncMedian: ms(50) }, ...others), 'slow');
  const slower = others.map((one) => ({ ...one, syncMedian: ms(3) }));
  assert.equal(verdict({ syncMedian: ms(59) }, ...slower), 'fine');
  assert.equal(verdict({ syncMedian: ms(60) }, ...slower), 'slow');
  const quiet = others.map((one) => ({ ...one, syncMedian: ms(0) }));
  assert.equal(verdict({ syncMedian: ms(900) }, ...quiet), 'fine', 'nobody to compare with');
});

test('a volume that gave up is failed at once', () => {
  assert.equal(verdict({ failed: true }), 'failed');
});

test('only a majority of controllers decides', () => {
  const says = (kind: VerdictKind) => new Map([[A, kind]]);
  assert.equal(agreed([says('silent')], 3).get(A), undefined, 'one of three');
  assert.equal(agreed([says('silent'), says('fine')], 3).get(A), undefined);
  assert.equal(agreed([says('silent'), says('silent')], 3).get(A), 'silent');
  assert.equal(agreed([says('silent'), says('slow')], 3).get(A), 'slow', 'the milder of two');
  assert.equal(agreed([says('stuck')], 1).get(A), 'stuck', 'a group of one');
  assert.equal(agreed([says('stuck'), says('stuck')], 5).get(A), undefined, 'two of five');
});

test('a clock is judged by the median of the controllers', () => {
  assert.equal(clockError(300_000, [0, 0, 0]), 300_000);
  assert.equal(clockError(300_000, [0, 290_000, 310_000]), 10_000, 'it is we who are off');
});

test('a member comes back at once twice, then after 1, 2, 4, 8 and at most 10 s', () => {
  const damping: Damping = new Map();
  const waits: number[] = [];
  for (let at = 0; at < 8; at += 1) {
    const now = ms(20_000 + at * 10);
    noteRemoval(damping, A, now);
    waits.push(Math.max(0, returnsAt(damping, A, now) - now) / 1_000);
  }
  assert.deepEqual(waits, [0, 0, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  assert.equal(returnsAt(damping, B, NOW), 0);
  assert.equal(returnsAt(damping, A, ms(60_000)), 0, 'what is older than 30 s is forgotten');
});

test('a member that others did not reach waits 3 s, or as long as for its removals', () => {
  const damping: Damping = new Map();
  noteRemoval(damping, A, ms(20_000));
  noteCutOff(damping, A, ms(20_000));
  assert.equal(returnsAt(damping, A, ms(20_001)), ms(23_000));
  assert.equal(returnsAt(damping, B, ms(20_001)), 0);
  for (let at = 0; at < 5; at += 1) noteRemoval(damping, A, ms(20_002));
  assert.equal(returnsAt(damping, A, ms(20_003)), ms(28_002));
  noteBadDisk(damping, A);
  assert.equal(returnsAt(damping, A, ms(52_000)), ms(23_000), 'a bad disk does not forget it');
});

test('a bad disk shows a whole second of good syncs first', () => {
  const damping: Damping = new Map();
  noteSyncs(damping, A, true, ms(0));
  assert.equal(inQuarantine(damping, A), false);
  noteBadDisk(damping, A);
  noteSyncs(damping, A, true, ms(100));
  noteSyncs(damping, A, true, ms(1_099));
  assert.equal(inQuarantine(damping, A), true);
  noteSyncs(damping, A, false, ms(1_100));
  noteSyncs(damping, A, true, ms(1_200));
  noteSyncs(damping, A, true, ms(2_199));
  assert.equal(inQuarantine(damping, A), true, 'a bad one begins the second anew');
  noteSyncs(damping, A, true, ms(2_200));
  assert.equal(inQuarantine(damping, A), false);
});
