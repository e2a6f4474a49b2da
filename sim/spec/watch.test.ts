// The replays beside a simulated cluster let pass what the machines do, and can fail.

import { doesNotThrow, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { turn } from '../../protocol/chain/machine.ts';
import { type ChainEffect, type ChainInput, NO_CONDITION } from '../../protocol/chain/messages.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { type ChainState, openChain } from '../../protocol/chain/state.ts';
import { type Configuration, DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import type { AcceptorView } from '../../protocol/paxos/invariants.ts';
import { NO_BALLOT, type RegisterState } from '../../protocol/paxos/messages.ts';
import {
  epoch,
  FIRST_LSN,
  journalId,
  lsn,
  memberId,
  micros,
  storeId,
  zone,
} from '../../protocol/types.ts';
import { SpecViolation } from './chain.ts';
import { ChainWatch } from './chain-watch.ts';
import { RegisterWatch } from './register-watch.ts';

const named = (action: string) => (error: unknown) =>
  error instanceof SpecViolation && error.action.startsWith(action);

const STORE = storeId('a'.repeat(32));
const CONFIGURATION: Configuration = {
  journal: journalId('1'.repeat(32)),
  name: 'watched',
  settings: { ...DEFAULT_SETTINGS, minReplicas: 1 },
  lineage: 1,
  epoch: epoch(1),
  mode: 'chain',
  firstLsn: FIRST_LSN,
  serving: [{ store: STORE, incarnation: 1, id: memberId('m'), zone: zone('a'), address: 'm:1' }],
  joining: null,
  deleted: false,
};

const APPEND: ChainInput = {
  kind: 'request',
  request: 1,
  body: {
    kind: 'append',
    count: 1,
    bodyCrc: 7,
    bodyBytes: 1,
    keys: [],
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    condition: NO_CONDITION,
  },
};

/** A journal of one member, whose disk the test plays. */
class One {
  readonly watch = new ChainWatch();
  readonly process = {};
  readonly state: ChainState = openChain({
    journal: CONFIGURATION.journal,
    me: { store: STORE, incarnation: 1 },
    record: null,
    shape: EMPTY_SHAPE,
    tables: null,
    settings: CONFIGURATION.settings,
  });

  constructor() {
    this.watch.turned(this.process, { state: this.state, inputs: [], effects: [], durableLsn: 0 });
  }

  take(input: ChainInput, durableLsn: number): void {
    const { state } = this;
    const tick: ChainInput = { kind: 'tick', now: micros(1), wall: micros(1) };
    const effects = turn(state, [tick, input]);
    this.watch.turned(this.process, { state, inputs: [input], effects, durableLsn });
  }

  /** Adopts its first epoch and appends one record. */
  begin(): this {
    this.take({ kind: 'configure', configuration: CONFIGURATION }, 0);
    this.take({ kind: 'saved', save: 1 }, 0);
    this.take(APPEND, 0);
    return this;
  }
}

test('what a machine does is in the model', () => {
  const one = new One().begin();
  one.take({ kind: 'synced', durableLsn: lsn(1) }, 1);
  const { taken } = one.watch.counts();
  for (const action of ['Adopt', 'Append_', 'FsyncAck', 'Commit']) ok(taken.has(action), action);
});

test('a sync that is told before the disk has it is refused by the name of the action', () => {
  const one = new One().begin();
  throws(() => one.take({ kind: 'synced', durableLsn: lsn(1) }, 0), named('Commit'));
});

test('an acknowledgement that is passed on and was never said is refused', () => {
  const one = new One().begin();
  const entries = [{ store: storeId('b'.repeat(32)), durableLsn: lsn(1), barrier: 0 }];
  const [to] = CONFIGURATION.serving;
  ok(to !== undefined);
  const effects: ChainEffect[] = [{ kind: 'send', to, body: { kind: 'ack', entries } }];
  const { state, process } = one;
  const turned = { state, inputs: [], effects, durableLsn: 0 };
  throws(() => one.watch.turned(process, turned), named('FsyncAck'));
});

test('an epoch that is decided twice is refused', () => {
  const one = new One().begin();
  const stranger = { ...CONFIGURATION.serving[0], store: storeId('b'.repeat(32)) };
  // cast: the configuration has a member to copy.
  const serving = [stranger] as Configuration['serving'];
  const again: ChainInput = { kind: 'configure', configuration: { ...CONFIGURATION, serving } };
  throws(() => one.take(again, 0), named('Reconfig'));
});

test('an epoch that is acted in before its record is saved is refused', () => {
  const one = new One();
  one.take({ kind: 'configure', configuration: CONFIGURATION }, 0);
  one.state.live = true;
  throws(() => one.take(APPEND, 0), named('A'));
});

test('a volume that holds what nobody wrote is refused', () => {
  const one = new One().begin();
  const shape = { ...EMPTY_SHAPE, endLsn: lsn(5), runs: [{ epoch: epoch(1), firstLsn: lsn(1) }] };
  const { journal, settings } = CONFIGURATION;
  const me = { store: STORE, incarnation: 2 };
  const state = openChain({ journal, me, record: one.state.record, shape, tables: null, settings });
  const turned = { state, inputs: [], effects: [], durableLsn: 5 };
  throws(() => one.watch.turned({}, turned), named('Crash'));
});

const seats = ['x', 'y', 'z'].map((id) => ({ id, store: id, address: `${id}:1` }));
const ballot = (round: number) => ({ round, proposer: 'p' });
const value = (at: number): string => JSON.stringify({ lineage: 1, epoch: at });

const acceptor = (state: Partial<RegisterState>): AcceptorView => {
  const register = { promised: NO_BALLOT, accepted: NO_BALLOT, value: null, ...state };
  const record = { set: { id: 's', version: 1, seats } };
  return { versions: [{ record, registers: new Map([['journal/1', register]]) }] };
};

class Acceptors {
  readonly watch = new RegisterWatch();
  readonly process = { number: 2 };

  step(name: string, state: Partial<RegisterState>, process = this.process): void {
    this.watch.stepped(name, process, 'journal/1', acceptor(state));
  }

  /** It has said so to whoever asked: that it voted, and so promised as well. */
  tell(name: string, accepted: RegisterState['accepted'], process = this.process): void {
    this.watch.answered(name, process, 'journal/1', { promised: accepted, accepted });
  }

  /** It has promised so to whoever asked, and voted in no ballot yet. */
  promise(name: string, promised: RegisterState['promised']): void {
    this.step(name, { promised });
    this.watch.answered(name, this.process, 'journal/1', { promised, accepted: NO_BALLOT });
  }

  /** Two of three decide epoch 1 under ballot 1. */
  decided(): this {
    const accepted = { promised: ballot(1), accepted: ballot(1), value: value(1) };
    for (const name of ['x', 'y']) this.step(name, { promised: ballot(1) });
    for (const name of ['x', 'y']) this.step(name, accepted);
    for (const name of ['x', 'y']) this.tell(name, ballot(1));
    return this;
  }
}

test('what acceptors do is in the model of the register', () => {
  const { watch } = new Acceptors().decided();
  for (const action of ['Promise', 'Propose', 'Accept', 'Choose_']) {
    ok(watch.taken.has(action), action);
  }
});

test('a value that is proposed without a majority of promises is refused', () => {
  const acceptors = new Acceptors();
  acceptors.step('x', { promised: ballot(1) });
  const accepted = { promised: ballot(1), accepted: ballot(1), value: value(1) };
  throws(() => acceptors.step('x', accepted), named('Propose'));
});

test('a value that overwrites what was accepted, and a vote below a promise, are refused', () => {
  const over = new Acceptors().decided();
  const before = { accepted: ballot(1), value: value(1) };
  for (const name of ['x', 'y']) over.step(name, { promised: ballot(2), ...before });
  const other = { promised: ballot(2), accepted: ballot(2), value: value(7) };
  throws(() => over.step('x', other), named('Propose'));

  const low = new Acceptors().decided();
  low.step('z', { promised: ballot(3) });
  throws(() => low.step('z', { promised: ballot(3), ...before }), named('Accept'));
});

test('a vote that was never answered may be gone after a start, and counts for nothing', () => {
  const acceptors = new Acceptors();
  const accepted = { promised: ballot(1), accepted: ballot(1), value: value(1) };
  for (const name of ['x', 'y']) acceptors.step(name, { promised: ballot(1) });
  for (const name of ['x', 'y']) acceptors.step(name, accepted);
  acceptors.tell('x', ballot(1));
  ok(!acceptors.watch.taken.has('Choose_'));
  const again = { number: 3 };
  doesNotThrow(() => acceptors.step('y', { promised: ballot(1) }, again));
  doesNotThrow(() => acceptors.step('y', accepted, again));
  acceptors.tell('y', ballot(1), again);
  ok(acceptors.watch.taken.has('Choose_'));
});

test('an acceptor whose disk was lost and that votes all the same is refused', () => {
  const acceptors = new Acceptors().decided();
  acceptors.watch.lost('z');
  throws(() => acceptors.tell('z', ballot(1)), named('Crash'));
  doesNotThrow(() => acceptors.tell('x', ballot(1)));
});

test('an acceptor that forgets at a start what it accepted is refused', () => {
  const acceptors = new Acceptors().decided();
  throws(() => acceptors.step('x', { promised: ballot(2) }, { number: 3 }), named('Crash'));
  const kept = { promised: ballot(2), accepted: ballot(1), value: value(1) };
  doesNotThrow(() => acceptors.step('y', kept, { number: 3 }));
});

test('of two processes on the disk of an acceptor the later one counts', () => {
  const acceptors = new Acceptors().decided();
  const later = { number: 3 };
  const kept = { promised: ballot(2), accepted: ballot(1), value: value(1) };
  acceptors.step('x', kept, later);
  acceptors.step('x', { ...kept, promised: ballot(3) }, later);
  acceptors.tell('x', ballot(1), later);
  doesNotThrow(() => acceptors.step('x', { promised: ballot(1) }));
  throws(() => acceptors.step('x', { promised: ballot(3) }, { number: 4 }), named('Crash'));
});

test('the earlier of two processes may be the last to be asked', () => {
  const acceptors = new Acceptors().decided();
  doesNotThrow(() => acceptors.step('x', { promised: ballot(2) }, { number: 1 }));
});

test('an acceptor that forgets at a start what it promised is refused', () => {
  const acceptors = new Acceptors();
  for (const name of ['x', 'y']) acceptors.promise(name, ballot(2));
  throws(() => acceptors.step('x', { promised: ballot(1) }, { number: 3 }), named('Crash'));
  doesNotThrow(() => acceptors.step('y', { promised: ballot(2) }, { number: 3 }));
  // What nobody was told of may be gone.
  acceptors.step('z', { promised: ballot(2) });
  doesNotThrow(() => acceptors.step('z', { promised: ballot(1) }, { number: 3 }));
});
