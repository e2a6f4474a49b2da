// A register of three acceptors as a scope of the exhaustive search: proposers that try again,
// messages in any order or lost, an acceptor that crashes and forgets what it had not saved.

import {
  type AcceptorChange,
  type AcceptorState,
  openAcceptor,
  type SetRecord,
  stepAcceptor,
} from '../../protocol/paxos/acceptor.ts';
import { checkAcceptors, checkOneHistory } from '../../protocol/paxos/invariants.ts';
import type {
  AcceptorAnswer,
  AcceptorRequest,
  AcceptorSet,
  RegisterState,
} from '../../protocol/paxos/messages.ts';
import { openChange, type ProposerState, stepChange } from '../../protocol/paxos/proposer.ts';
import { printOf } from './marks.ts';
import type { Scope } from './search.ts';

export interface RegisterScope {
  readonly acceptors: number;
  readonly proposers: number;
  /** Attempts that each proposer may make, one after another. */
  readonly ballots: number;
  readonly crashes: number;
  /** Attempts that a proposer may give up although answers may still come. */
  readonly losses: number;
}

interface Acceptor {
  state: AcceptorState;
  /** Registers as they are on the disk. */
  disk: Map<string, RegisterState>;
  /** Saves under way, in order. */
  saves: { readonly save: number; readonly changes: readonly AcceptorChange[] }[];
  /** Requests that wait for their answer: number to attempt. */
  asked: Map<number, number>;
}

interface Attempt {
  readonly proposer: number;
  readonly state: ProposerState;
}

type Packet =
  | {
      readonly kind: 'request';
      readonly attempt: number;
      readonly to: number;
      readonly body: AcceptorRequest;
    }
  | {
      readonly kind: 'answer';
      readonly attempt: number;
      readonly from: number;
      readonly answer: AcceptorAnswer;
    };

export interface RegisterWorld {
  readonly scope: RegisterScope;
  readonly acceptors: Acceptor[];
  readonly attempts: Attempt[];
  readonly packets: Packet[];
  /** Values that were reported chosen. */
  readonly chosen: string[][];
  crashes: number;
  losses: number;
  nextRequest: number;
}

export type RegisterAction =
  | { readonly kind: 'propose'; readonly proposer: number }
  | { readonly kind: 'deliver'; readonly packet: number }
  | { readonly kind: 'save'; readonly acceptor: number }
  | { readonly kind: 'crash'; readonly acceptor: number }
  | { readonly kind: 'giveUp'; readonly attempt: number };

export const KEY = 'x';

export function registerScope(
  name: string,
  scope: RegisterScope,
): Scope<RegisterWorld, RegisterAction> {
  return {
    name,
    open: () => openWorld(scope),
    actions,
    apply,
    copy,
    print: (world) => printOf(canonical(world)),
    check: ({ acceptors, chosen }) => {
      checkAcceptors(acceptors.map(({ state }) => state));
      checkOneHistory(chosen);
    },
  };
}

function setOf(scope: RegisterScope): AcceptorSet {
  const seats = Array.from({ length: scope.acceptors }, (_, at) => ({
    id: String(at),
    store: String(at),
    address: `${at}:1`,
  }));
  return { id: 'explored', version: 1, seats };
}

function openWorld(scope: RegisterScope): RegisterWorld {
  const record: SetRecord = { set: setOf(scope), mode: 'serving', next: null };
  const acceptors = Array.from({ length: scope.acceptors }, (_, at): Acceptor => {
    const id = String(at);
    const state = openAcceptor(id, id, [{ record, registers: [] }]);
    return { state, disk: new Map(), saves: [], asked: new Map() };
  });
  const counters = { crashes: 0, losses: 0, nextRequest: 1 };
  return { scope, acceptors, attempts: [], packets: [], chosen: [], ...counters };
}

function actions(world: RegisterWorld): RegisterAction[] {
  const { scope, attempts } = world;
  const possible: RegisterAction[] = [];
  for (let proposer = 0; proposer < scope.proposers; proposer += 1) {
    const own = attempts.filter((attempt) => attempt.proposer === proposer);
    const idle = own.every(({ state }) => state.phase === 'over');
    if (idle && own.length < scope.ballots) possible.push({ kind: 'propose', proposer });
  }
  for (const packet of world.packets.keys()) possible.push({ kind: 'deliver', packet });
  for (const [acceptor, { saves }] of world.acceptors.entries()) {
    if (saves.length > 0) possible.push({ kind: 'save', acceptor });
    if (world.crashes < scope.crashes) possible.push({ kind: 'crash', acceptor });
  }
  for (const [attempt, { state }] of attempts.entries()) {
    if (state.phase !== 'over' && world.losses < scope.losses) {
      possible.push({ kind: 'giveUp', attempt });
    }
  }
  return possible;
}

function apply(world: RegisterWorld, action: RegisterAction): void {
  switch (action.kind) {
    case 'propose':
      propose(world, action.proposer);
      break;
    case 'deliver': {
      const [packet] = world.packets.splice(action.packet, 1);
      if (packet?.kind === 'request') askAcceptor(world, packet);
      else if (packet !== undefined) answerAttempt(world, packet);
      break;
    }
    case 'save':
      finishSave(world, action.acceptor);
      break;
    case 'crash':
      crash(world, action.acceptor);
      break;
    case 'giveUp': {
      world.losses += 1;
      const attempt = world.attempts[action.attempt];
      if (attempt !== undefined) attempt.state.phase = 'over';
    }
  }
}

/** Each attempt has a round of its own, so that the later one of two proposers may be the lower. */
function propose(world: RegisterWorld, proposer: number): void {
  const number = world.attempts.length;
  const own = world.attempts.filter((attempt) => attempt.proposer === proposer).length;
  const token = `${proposer}.${own}`;
  const update = (value: string | null): string =>
    JSON.stringify([...(value === null ? [] : changesIn(value)), token]);
  const ballot = { round: own + 1, proposer: String(proposer) };
  const state = openChange(KEY, setOf(world.scope), ballot, update);
  world.attempts.push({ proposer, state });
  for (const effect of stepChange(state, { kind: 'start' })) {
    if (effect.kind === 'send') send(world, number, effect);
  }
}

function changesIn(value: string): string[] {
  // cast: only `update` above writes values.
  return JSON.parse(value) as string[];
}

function send(
  world: RegisterWorld,
  attempt: number,
  { to, body }: { readonly to: { readonly id: string }; readonly body: AcceptorRequest },
): void {
  world.packets.push({ kind: 'request', attempt, to: Number(to.id), body });
}

function askAcceptor(world: RegisterWorld, packet: Extract<Packet, { kind: 'request' }>): void {
  const acceptor = world.acceptors[packet.to];
  if (acceptor === undefined) return;
  const request = world.nextRequest;
  world.nextRequest += 1;
  acceptor.asked.set(request, packet.attempt);
  stepOne(world, packet.to, { kind: 'request', request, body: packet.body });
}

function stepOne(
  world: RegisterWorld,
  at: number,
  input: Parameters<typeof stepAcceptor>[1],
): void {
  const acceptor = world.acceptors[at];
  if (acceptor === undefined) return;
  const settled = world.crashes >= world.scope.crashes;
  for (const effect of stepAcceptor(acceptor.state, input)) {
    if (effect.kind === 'save') {
      acceptor.saves.push(effect);
      // Where nobody can crash any more, a save that lasts is only an answer that comes late.
      if (settled) finishSave(world, at);
      continue;
    }
    const attempt = acceptor.asked.get(effect.request);
    acceptor.asked.delete(effect.request);
    if (attempt === undefined || world.attempts[attempt]?.state.phase === 'over') continue;
    world.packets.push({ kind: 'answer', attempt, from: at, answer: effect.answer });
  }
}

function finishSave(world: RegisterWorld, at: number): void {
  const acceptor = world.acceptors[at];
  const save = acceptor?.saves.shift();
  if (acceptor === undefined || save === undefined) return;
  for (const change of save.changes) {
    if (change.kind === 'register') acceptor.disk.set(change.key, change.state);
  }
  stepOne(world, at, { kind: 'saved', save: save.save });
}

function crash(world: RegisterWorld, at: number): void {
  const acceptor = world.acceptors[at];
  if (acceptor === undefined) return;
  world.crashes += 1;
  const record: SetRecord = { set: setOf(world.scope), mode: 'serving', next: null };
  const registers = [...acceptor.disk].map(([key, state]) => ({ key, state }));
  const id = String(at);
  acceptor.state = openAcceptor(id, id, [{ record, registers }]);
  acceptor.saves = [];
  acceptor.asked = new Map();
}

function answerAttempt(world: RegisterWorld, packet: Extract<Packet, { kind: 'answer' }>): void {
  const { attempt, from, answer } = packet;
  const state = world.attempts[attempt]?.state;
  if (state === undefined) return;
  for (const effect of stepChange(state, { kind: 'answer', from: String(from), answer })) {
    if (effect.kind === 'send') send(world, attempt, effect);
    else if (effect.outcome.kind === 'chosen' && effect.outcome.value !== null) {
      world.chosen.push(changesIn(effect.outcome.value));
    }
  }
  // A majority is enough for everybody: what still comes for an attempt that ended is dropped.
  if (state.phase !== 'over') return;
  const kept = world.packets.filter((one) => one.kind === 'request' || one.attempt !== attempt);
  world.packets.splice(0, world.packets.length, ...kept);
}

// ── Copies, and what tells two worlds apart ───────────────────────────────────────────────────

function copy(world: RegisterWorld): RegisterWorld {
  return {
    ...world,
    acceptors: world.acceptors.map(({ state, disk, saves, asked }) => ({
      state: {
        ...state,
        held: [...state.held],
        versions: state.versions.map(({ record, registers }) => ({
          record,
          registers: new Map(registers),
        })),
      },
      disk: new Map(disk),
      saves: [...saves],
      asked: new Map(asked),
    })),
    attempts: world.attempts.map(({ proposer, state }) => ({
      proposer,
      state: { ...state, good: new Set(state.good), bad: new Map(state.bad) },
    })),
    packets: [...world.packets],
    chosen: [...world.chosen],
  };
}

/**
 * Acceptors are alike, so everything that concerns one (its registers, what is under way to and
 * from it, whether an attempt has its vote) is one text, and the order of those texts is left out.
 */
function canonical(world: RegisterWorld): string {
  const acceptors = world.acceptors.map((acceptor, at) => acceptorText(world, acceptor, at));
  const attempts = world.attempts.map(({ state }, at) => {
    // Whom it was outbid by tells only how it ends, which no other attempt here goes by.
    const { phase, found, proposed } = state;
    const open = phase === 'over' ? [] : [found, proposed];
    return JSON.stringify([attemptName(world, at), phase, open]);
  });
  const chosen = world.chosen.map((value) => value.join()).sort();
  const { crashes, losses } = world;
  return JSON.stringify([acceptors.sort(), attempts.sort(), chosen, crashes, losses]);
}

function acceptorText(world: RegisterWorld, acceptor: Acceptor, at: number): string {
  const { state, disk, saves, asked } = acceptor;
  const registers = state.versions.map((version) => [...version.registers.values()]);
  const held = state.held.map(({ save, request, answer }) => {
    return [save - state.issued, attemptName(world, asked.get(request)), answer];
  });
  const waiting = saves.map(({ save, changes }) => [save - state.issued, changes]);
  const packets = world.packets.flatMap((packet) => {
    const [place, body] =
      packet.kind === 'request' ? [packet.to, packet.body] : [packet.from, packet.answer];
    return place === at ? [JSON.stringify([attemptName(world, packet.attempt), body])] : [];
  });
  const votes = world.attempts.flatMap(({ state: attempt }, number) => {
    const vote = attempt.good.has(String(at)) ? 'good' : attempt.bad.get(String(at));
    return attempt.phase === 'over' || vote === undefined ? [] : [attemptName(world, number), vote];
  });
  const text = [registers, [...disk.values()], waiting, held, packets.sort(), votes];
  return JSON.stringify([...text, state.durable - state.issued]);
}

/** By proposer and round: the order in which attempts began says nothing. */
function attemptName(world: RegisterWorld, at: number | undefined): string {
  const state = at === undefined ? undefined : world.attempts[at]?.state;
  return state === undefined ? '?' : `${state.ballot.proposer}.${state.ballot.round}`;
}
