// What an exhaustive search of a register may leave out, since no proposer and no acceptor could
// tell the difference. Messages are left where they are or taken at once, never changed or lost:
// each step here is some steps of the unreduced search, and a machine that does not pass over what
// it should breaks an invariant.

import { invariant } from '../../../protocol/errors.ts';
import { compareBallots, EMPTY_REGISTER, majorityOf } from '../../../protocol/paxos/messages.ts';
import {
  KEY,
  type RegisterAction,
  type RegisterScope,
  type RegisterWorld,
  registerScope,
} from '../register-scope.ts';
import type { Scope } from '../search.ts';

export type LeanRegisterAction =
  | RegisterAction
  /** An attempt hears as many good answers as it needs, one right after the other. */
  | { readonly kind: 'hear'; readonly attempt: number; readonly from: readonly number[] };

type Packet = RegisterWorld['packets'][number];

export function leanRegisterScope(
  name: string,
  scope: RegisterScope,
): Scope<RegisterWorld, LeanRegisterAction> {
  const whole = registerScope(name, scope);
  const deliver = (world: RegisterWorld, packet: number): void =>
    whole.apply(world, { kind: 'deliver', packet });
  return {
    ...whole,
    actions: (world) => [
      ...whole.actions(world).filter((action) => isTold(world, action)),
      ...hearings(world),
    ],
    apply: (world, action) => {
      if (action.kind === 'hear') hear(world, action.attempt, action.from, deliver);
      else whole.apply(world, action);
      takeIdle(world, deliver);
    },
  };
}

/**
 * Not told apart are: an answer that decides nothing from one that is heard right before the one
 * that does (`hearings`), and a crash of an acceptor that has saved everything from none, as it
 * opens with what it had.
 */
function isTold({ packets, acceptors }: RegisterWorld, action: RegisterAction): boolean {
  if (action.kind === 'deliver') return packets[action.packet]?.kind === 'request';
  if (action.kind !== 'crash') return true;
  return (acceptors[action.acceptor]?.saves.length ?? 0) > 0;
}

const isGood = (phase: string, packet: Packet): boolean =>
  packet.kind === 'answer' && packet.answer.kind === (phase === 'prepare' ? 'promise' : 'accepted');

/** For each attempt every set of answers that lets it go on. */
function hearings({ attempts, packets }: RegisterWorld): LeanRegisterAction[] {
  return attempts.flatMap(({ state }, attempt) => {
    if (state.phase === 'over') return [];
    const there = packets.flatMap((packet) => {
      const own = packet.attempt === attempt && isGood(state.phase, packet);
      return own && packet.kind === 'answer' ? [packet.from] : [];
    });
    const needed = majorityOf(state.set.seats.length) - state.good.size;
    return subsets(there.sort(), needed).map((from) => ({ kind: 'hear', attempt, from }) as const);
  });
}

function subsets(items: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, at) =>
    subsets(items.slice(at + 1), size - 1).map((rest) => [item, ...rest]),
  );
}

type Deliver = (world: RegisterWorld, packet: number) => void;

function hear(
  world: RegisterWorld,
  attempt: number,
  from: readonly number[],
  deliver: Deliver,
): void {
  const { phase } = world.attempts[attempt]?.state ?? { phase: 'over' };
  for (const seat of from) {
    const at = world.packets.findIndex((packet) => {
      const own = packet.kind === 'answer' && packet.attempt === attempt && packet.from === seat;
      return own && isGood(phase, packet);
    });
    invariant(at >= 0, 'an attempt hears what is under way', () => `${attempt} from ${seat}`);
    deliver(world, at);
  }
}

// ── What is taken at once ─────────────────────────────────────────────────────────────────────

function takeIdle(world: RegisterWorld, deliver: Deliver): void {
  for (;;) {
    const at = world.packets.findIndex((packet) => isIdle(world, packet));
    const packet = world.packets[at];
    if (packet === undefined) return;
    const before = receiverText(world, packet);
    deliver(world, at);
    const after = receiverText(world, packet);
    const rule = 'what is refused, or comes too late, changes nothing';
    invariant(before === after, rule, () => `${before} became ${after}`);
  }
}

/**
 * A request below a promise that is on the disk will be refused whenever it comes. A refusal tells
 * an attempt that it gets no good answer from that seat, which is so already: it answers a request
 * once. A promise that comes after the first phase is passed over.
 */
function isIdle({ acceptors, attempts }: RegisterWorld, packet: Packet): boolean {
  if (packet.kind === 'request') {
    const { body } = packet;
    const acceptor = acceptors[packet.to];
    if (acceptor === undefined || acceptor.saves.length > 0) return false;
    if (body.kind !== 'prepare' && body.kind !== 'accept') return false;
    const promised = acceptor.disk.get(KEY)?.promised ?? EMPTY_REGISTER.promised;
    return compareBallots(body.ballot, promised) < 0;
  }
  const phase = attempts[packet.attempt]?.state.phase;
  return packet.answer.kind === 'nack' || (packet.answer.kind === 'promise' && phase === 'accept');
}

/** What an idle packet must leave as it is: an attempt's good votes, what an acceptor holds. */
function receiverText({ acceptors, attempts, chosen }: RegisterWorld, packet: Packet): string {
  if (packet.kind === 'request') {
    const acceptor = acceptors[packet.to];
    return JSON.stringify([[...(acceptor?.disk ?? [])], acceptor?.saves.length]);
  }
  const { good, found, proposed } = attempts[packet.attempt]?.state ?? {};
  return JSON.stringify([[...(good ?? [])], found, proposed, chosen]);
}
