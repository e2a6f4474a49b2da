// The acceptor: promises, accepts and seals, each durable before it is answered.
//
// One acceptor serves the registers of one set at a time. It keeps every set that it was ever a
// member of: a sealed one answers nothing but its dump and the name of its successor, for ever, so
// that anybody can carry on where a proposer died (AcceptorSet.tla: dropdump, anonseal).
//
// The state changes at once and in order; an answer is held back until every save that was issued
// before it is on the disk (ConfigRegister.tla: amnesia is what happens otherwise). A save that
// failed is not told to the machine: its driver stops answering for good.
//
// Left out, and why: deleting a key (a hazard of CASPaxos: what was deleted may come back from a
// minority, so values become tombstones instead); a bound on the number of old sets (each costs
// one dump, and a set is replaced by a person).

import { invariant } from '../errors.ts';
import type { Step } from '../machine.ts';
import { checkStep } from './invariants.ts';
import {
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  compareBallots,
  type Dump,
  EMPTY_REGISTER,
  type RegisterState,
  type SetName,
  sameSet,
} from './messages.ts';

/** What an acceptor remembers of one set. */
export interface SetRecord {
  readonly set: AcceptorSet;
  readonly mode: 'serving' | 'sealed';
  /** Decided to follow `set`; not null iff sealed. */
  readonly next: AcceptorSet | null;
}

interface Version {
  record: SetRecord;
  readonly registers: Map<string, RegisterState>;
}

interface HeldAnswer {
  /** Save that must be durable first. */
  readonly save: number;
  readonly request: number;
  readonly answer: AcceptorAnswer;
}

export interface AcceptorState {
  readonly id: string;
  readonly store: string;
  /** By rising version. */
  readonly versions: Version[];
  /** Number of the last save that was issued, and of the last one that is durable. */
  issued: number;
  durable: number;
  readonly held: HeldAnswer[];
}

export type AcceptorInput =
  | { readonly kind: 'request'; readonly request: number; readonly body: AcceptorRequest }
  /** The save of this number, and every one before it, is on the disk. */
  | { readonly kind: 'saved'; readonly save: number };

export type AcceptorChange =
  | { readonly kind: 'set'; readonly record: SetRecord }
  | {
      readonly kind: 'register';
      readonly version: number;
      readonly key: string;
      readonly state: RegisterState;
    };

export type AcceptorEffect =
  /** Make all the changes durable as one unit; answered by `saved`. */
  | { readonly kind: 'save'; readonly save: number; readonly changes: readonly AcceptorChange[] }
  | { readonly kind: 'reply'; readonly request: number; readonly answer: AcceptorAnswer };

/** The state after a start: exactly what was saved. */
export function openAcceptor(
  id: string,
  store: string,
  saved: readonly { readonly record: SetRecord; readonly registers: Dump }[],
): AcceptorState {
  const versions = saved
    .map(({ record, registers }) => ({
      record,
      registers: new Map(registers.map(({ key, state }) => [key, state])),
    }))
    .sort((one, other) => one.record.set.version - other.record.set.version);
  return { id, store, versions, issued: 0, durable: 0, held: [] };
}

export const stepAcceptor: Step<AcceptorState, AcceptorInput, AcceptorEffect> = (state, input) => {
  if (input.kind === 'saved') {
    state.durable = Math.max(state.durable, input.save);
    return release(state);
  }
  const effects: AcceptorEffect[] = [];
  const answer = answerRequest(state, input.body, (changes) => {
    state.issued += 1;
    effects.push({ kind: 'save', save: state.issued, changes });
  });
  state.held.push({ save: state.issued, request: input.request, answer });
  return [...effects, ...release(state)];
};

/** The newest set that the acceptor serves or was sealed into; undefined before its first. */
export function newestSet(state: AcceptorState): AcceptorSet | undefined {
  const record = state.versions.at(-1)?.record;
  return record?.next ?? record?.set;
}

/** The newest set that is served; undefined while there is none. */
export function servedSet(state: AcceptorState): AcceptorSet | undefined {
  return servedVersion(state)?.record.set;
}

/** What this acceptor has accepted under a key in the set that it serves: a hint, not a read. */
export function acceptedHere(state: AcceptorState, key: string): string | null {
  return servedVersion(state)?.registers.get(key)?.value ?? null;
}

// A member of k that was not needed for the seal may serve k beside k + 1: nobody can get a
// majority of k any more, so it does no harm (AcceptorSet.tla leaves it "on" as well).
const servedVersion = (state: AcceptorState): Version | undefined =>
  state.versions.findLast(({ record }) => record.mode === 'serving');

function release(state: AcceptorState): AcceptorEffect[] {
  const ready = state.held.filter(({ save }) => save <= state.durable);
  if (ready.length > 0) {
    state.held.splice(0, state.held.length, ...state.held.filter((h) => h.save > state.durable));
  }
  return ready.map(({ request, answer }) => ({ kind: 'reply', request, answer }));
}

type Save = (changes: readonly AcceptorChange[]) => void;

function answerRequest(state: AcceptorState, body: AcceptorRequest, save: Save): AcceptorAnswer {
  if (body.kind === 'install') return install(state, body.next, body.registers, save);
  const version = state.versions.find(({ record }) => sameSet(record.set, body.set));
  if (version === undefined) return wrongSet(state, body.set);
  if (body.kind === 'seal') return seal(version, body.next, save);
  if (version.record.mode === 'sealed') return wrongSet(state, body.set);
  switch (body.kind) {
    case 'prepare':
    case 'accept':
      return vote(version, body, save);
    case 'read':
      return { kind: 'state', state: version.registers.get(body.key) ?? EMPTY_REGISTER };
    case 'keys': {
      const keys = [...version.registers.keys()].filter((key) => key.startsWith(body.prefix));
      return { kind: 'keys', keys };
    }
    case 'copy':
      return { kind: 'copied', set: version.record.set, registers: dump(version) };
  }
}

/** ConfigRegister.tla: Promise, Accept. AcceptorSet.tla: Promise, Accept (serving only). */
function vote(
  version: Version,
  body: Extract<AcceptorRequest, { kind: 'prepare' | 'accept' }>,
  save: Save,
): AcceptorAnswer {
  const { key, ballot } = body;
  const before = version.registers.get(key) ?? EMPTY_REGISTER;
  const order = compareBallots(ballot, before.promised);
  if (order < 0 || (order === 0 && body.kind === 'prepare')) {
    return { kind: 'nack', promised: before.promised };
  }
  if (body.kind === 'accept' && compareBallots(ballot, before.accepted) === 0) {
    invariant(before.value === body.value, 'one value a ballot', () => `${key} ${ballot.round}`);
    return { kind: 'accepted' };
  }
  const after: RegisterState =
    body.kind === 'prepare'
      ? { ...before, promised: ballot }
      : { promised: ballot, accepted: ballot, value: body.value };
  checkStep(key, before, after);
  version.registers.set(key, after);
  save([{ kind: 'register', version: version.record.set.version, key, state: after }]);
  if (body.kind === 'accept') return { kind: 'accepted' };
  return { kind: 'promise', accepted: before.accepted, value: before.value };
}

/** AcceptorSet.tla: Seal. */
function seal(version: Version, next: AcceptorSet, save: Save): AcceptorAnswer {
  const { record } = version;
  const rule = 'a set has one successor';
  invariant(next.version === record.set.version + 1, rule, () => `version ${next.version}`);
  if (record.mode === 'serving') {
    version.record = { set: record.set, mode: 'sealed', next };
    save([{ kind: 'set', record: version.record }]);
    return { kind: 'sealed', next, registers: dump(version) };
  }
  const told = record.next ?? next;
  const same = JSON.stringify(told) === JSON.stringify(next);
  invariant(same, rule, () => `${JSON.stringify(told)} and ${JSON.stringify(next)}`);
  return { kind: 'sealed', next: told, registers: dump(version) };
}

/** AcceptorSet.tla: Install (a merge of the set before) and Copy (of a member that serves it). */
function install(
  state: AcceptorState,
  next: AcceptorSet,
  registers: Dump,
  save: Save,
): AcceptorAnswer {
  if (state.versions.some(({ record }) => sameSet(record.set, next))) return { kind: 'installed' };
  const newest = newestSet(state);
  const refuse = (reason: string): AcceptorAnswer => {
    return { kind: 'wrongSet', newer: newest ?? null, reason };
  };
  const seat = next.seats.find(({ id }) => id === state.id);
  if (seat === undefined) return refuse(`${state.id} is not in version ${next.version}`);
  if (seat.store !== '' && seat.store !== state.store) {
    return refuse(`version ${next.version} names store ${seat.store}, this is ${state.store}`);
  }
  if (newest !== undefined && newest.id !== next.id) {
    return refuse(`set ${next.id} is given, this acceptor belongs to ${newest.id}`);
  }
  if (newest !== undefined && newest.version > next.version) {
    return refuse(`version ${next.version} is older than ${newest.version}`);
  }
  const record: SetRecord = { set: next, mode: 'serving', next: null };
  const changes: AcceptorChange[] = [{ kind: 'set', record }];
  for (const { key, state: register } of registers) {
    changes.push({ kind: 'register', version: next.version, key, state: register });
  }
  const map = new Map(registers.map(({ key, state: register }) => [key, register]));
  state.versions.push({ record, registers: map });
  save(changes);
  return { kind: 'installed' };
}

function wrongSet(state: AcceptorState, asked: SetName): AcceptorAnswer {
  const newest = newestSet(state);
  if (newest === undefined) {
    return { kind: 'wrongSet', newer: null, reason: `${state.id} is in no set yet` };
  }
  if (newest.id !== asked.id) {
    const reason = `set ${asked.id} is asked for, this acceptor belongs to ${newest.id}`;
    return { kind: 'wrongSet', newer: null, reason };
  }
  const reason = `version ${asked.version} is not served here, the newest is ${newest.version}`;
  return { kind: 'wrongSet', newer: newest.version > asked.version ? newest : null, reason };
}

const dump = (version: Version): Dump =>
  [...version.registers].map(([key, state]) => ({ key, state }));
