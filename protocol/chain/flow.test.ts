// What a member does with news that no chain of this epoch should send: it asks, and cuts nothing.

import { deepStrictEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type Configuration, DEFAULT_SETTINGS, type Member } from '../configuration.ts';
import {
  type BatchHeader,
  epoch,
  FIRST_LSN,
  journalId,
  lsn,
  memberId,
  micros,
  storeId,
  zone,
} from '../types.ts';
import { step } from './machine.ts';
import type { ChainBody, ChainEffect } from './messages.ts';
import { type ChainState, openChain, report } from './state.ts';

const JOURNAL = journalId('7'.repeat(32));
const member = (at: number): Member => ({
  store: storeId(String(at).padStart(32, '0')),
  incarnation: 1,
  id: memberId(`m${at}`),
  zone: zone(`z${at}`),
  address: `m${at}:1`,
});

const configuration = (number: number, ...serving: readonly Member[]): Configuration => ({
  journal: JOURNAL,
  name: 'flow',
  settings: DEFAULT_SETTINGS,
  lineage: 1,
  epoch: epoch(number),
  mode: 'chain',
  firstLsn: FIRST_LSN,
  serving,
  joining: null,
  deleted: false,
});

const batch = (at: number, number: number): { header: BatchHeader; bytes: Uint8Array } => ({
  header: {
    journal: JOURNAL,
    firstLsn: lsn(at),
    count: 1,
    epoch: epoch(number),
    timestamp: micros(at),
    kind: 'data',
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    keys: [],
    control: null,
    bodyCrc: at,
    bodyBytes: 1,
  },
  bytes: new Uint8Array(0),
});

const [first, second] = [member(1), member(2)];

function open(): ChainState {
  const { store, incarnation } = second;
  const shape = { baseLsn: lsn(0), baseEpoch: epoch(0), endLsn: lsn(0), runs: [] };
  const start = { journal: JOURNAL, me: { store, incarnation }, record: null, shape };
  return openChain({ ...start, tables: null, settings: DEFAULT_SETTINGS });
}

/** The second member of a pair that adopted epoch `number`. */
function adopted(number: number): ChainState {
  const state = open();
  step(state, { kind: 'configure', configuration: configuration(number, first, second) });
  step(state, { kind: 'saved', save: 1 });
  ok(state.live);
  return state;
}

function replicate(
  state: ChainState,
  number: number,
  body: Omit<Extract<ChainBody, { kind: 'replicate' }>, 'kind' | 'barrier'>,
): ChainEffect[] {
  const { store, incarnation } = first;
  const from = { store, incarnation };
  const whole = { kind: 'replicate', barrier: 0, ...body } as const;
  const message = { journal: JOURNAL, lineage: 1, epoch: epoch(number), from, body: whole };
  return step(state, { kind: 'message', message });
}

const start = { startLsn: lsn(0), previousLsn: lsn(0), previousEpoch: epoch(0) };

test('what is committed is not cut: the epoch is over, and the controllers are asked', () => {
  const state = adopted(1);
  const batches = [batch(1, 1), batch(2, 1)];
  replicate(state, 1, { ...start, batches, committedLsn: lsn(2) });
  deepStrictEqual([state.committedLsn, state.shape.endLsn], [2, 2]);
  step(state, { kind: 'configure', configuration: configuration(3, first, second) });
  step(state, { kind: 'saved', save: 2 });
  const effects = replicate(state, 3, { ...start, batches: [batch(1, 3)], committedLsn: lsn(0) });
  ok(effects.some(({ kind }) => kind === 'inquire'));
  ok(!effects.some(({ kind }) => kind === 'truncate'));
  deepStrictEqual([state.committedLsn, state.shape.endLsn], [2, 2]);
});

// Else the start of the epoch is never acknowledged, and reads hang until somebody appends.
test('a sync that ends while a cut waits for it counts as far as the log is kept', () => {
  const state = adopted(1);
  const batches = [batch(1, 1), batch(2, 1), batch(3, 1)];
  replicate(state, 1, { ...start, batches, committedLsn: lsn(0) });
  step(state, { kind: 'synced', durableLsn: lsn(1) });
  step(state, { kind: 'configure', configuration: configuration(2, first, second) });
  step(state, { kind: 'saved', save: 2 });
  const two = { startLsn: lsn(2), previousLsn: lsn(2), previousEpoch: epoch(1) };
  const effects = replicate(state, 2, { ...two, batches: [], committedLsn: lsn(0) });
  ok(effects.some(({ kind }) => kind === 'truncate'));
  step(state, { kind: 'synced', durableLsn: lsn(3) });
  step(state, { kind: 'saved', save: 3 });
  deepStrictEqual([state.cutting, state.durableLsn, state.shape.endLsn], [0, 2, 2]);
});

test('a configuration that comes after a newer one is no news, for a learner too', () => {
  const state = open();
  step(state, { kind: 'learn', configuration: configuration(7, first) });
  const batches = [batch(1, 7)];
  const previous = { previousLsn: lsn(0), previousEpoch: epoch(0) };
  step(state, { kind: 'learned', ...previous, batches, committedLsn: lsn(1) });
  const late = configuration(5, second, first);
  const effects = step(state, { kind: 'configure', configuration: late });
  deepStrictEqual(
    effects.map(({ kind }) => kind),
    [],
  );
  deepStrictEqual([state.record, state.known?.epoch, state.shape.endLsn], [null, 7, 1]);
});

test('a member takes no more for committed than it shares with its predecessor', () => {
  const state = adopted(1);
  replicate(state, 1, { ...start, batches: [batch(1, 1)], committedLsn: lsn(2) });
  deepStrictEqual([state.committedLsn, state.shape.endLsn], [1, 1]);
  const next = { startLsn: lsn(0), previousLsn: lsn(1), previousEpoch: epoch(1) };
  replicate(state, 1, { ...next, batches: [batch(2, 1)], committedLsn: lsn(2) });
  deepStrictEqual([state.committedLsn, state.shape.endLsn], [2, 2]);
});

// Else a head that did not get the processor puts out a member that answered in time.
test('an append that the head itself slept through has not waited for the others', () => {
  const state = open();
  step(state, { kind: 'configure', configuration: configuration(1, second, first) });
  step(state, { kind: 'saved', save: 1 });
  const tick = (millis: number): number => {
    step(state, { kind: 'tick', now: micros(millis * 1_000), wall: micros(1) });
    return report(state).waitingMicros / 1_000;
  };
  tick(1_000_000);
  step(state, { kind: 'request', request: 1, body: { kind: 'readIndex' } });
  const waited = [1_000_050, 1_000_100, 1_000_600, 1_000_650].map(tick);
  deepStrictEqual(waited, [50, 100, 100, 150]);
});
