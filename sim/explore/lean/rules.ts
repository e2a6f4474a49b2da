// What an exhaustive search of a chain may leave out, since no member could tell the difference.
//
// Each rule names why. Where a rule trusts the machine to pass over something, the machine is given
// it all the same, and a machine that does not pass over it breaks an invariant.

import type { ChainMessage } from '../../../protocol/chain/messages.ts';
import { place, RESEND_MICROS } from '../../../protocol/chain/state.ts';
import { findMember, type MemberKey } from '../../../protocol/configuration.ts';
import { invariant } from '../../../protocol/errors.ts';
import type { Micros, StoreId } from '../../../protocol/types.ts';
import type { ChainWorldState, Site } from '../chain-parts.ts';
import { latest } from '../chain-world.ts';

/**
 * Out of the last epoch that there is, and in no other: nothing that the site does or hears reaches
 * anybody, as no member is live with it and none will be.
 */
export function isGone(world: ChainWorldState, site: Site): boolean {
  const { scope, decided } = world;
  if (!scope.lean || decided.length < scope.epochs || site.state?.live === true) return false;
  const me: MemberKey = { store: site.store, incarnation: site.incarnation };
  return findMember(latest(world), me) === undefined;
}

/**
 * Between a configuration that is heard and its record on the disk a member hears nothing. Where
 * nobody can crash any more, that is as if it had heard of the configuration later: what would be
 * lost meanwhile is of the epoch that it leaves, or may come before and be lost as well.
 */
export function savesAtOnce({ scope, used }: ChainWorldState): boolean {
  return scope.lean === true && scope.losses === 0 && used.crashes >= scope.crashes;
}

/**
 * The wire of a delivery that changes nothing else, now and in every later state: a message of an
 * epoch that its receiver left, or an acknowledgement that tells no news in the epoch that it is
 * for. To take it first is as good as to take it at any other time.
 */
export function idleDelivery(world: ChainWorldState): number | null {
  if (!world.scope.lean) return null;
  for (const [wire, { to, messages }] of world.wires.entries()) {
    const [message] = messages;
    if (message === undefined) continue;
    const site = world.sites.find(({ store }) => store === to);
    if (site === undefined) continue;
    const look = (): boolean => isIdle(world, site, message);
    if (world.memory === undefined ? look() : world.memory.idle(site, message, look)) return wire;
  }
  return null;
}

function isIdle(world: ChainWorldState, site: Site, { epoch, body }: ChainMessage): boolean {
  const { state } = site;
  // Any turn may send again what is due.
  if (state === null || state.record === null || dueBits(world, site) > 0) return false;
  if (epoch < state.record.epoch) return true;
  if (epoch > state.record.epoch || body.kind !== 'ack' || place(state) === null) return false;
  return body.entries.every(({ store, durableLsn, barrier }) => {
    const known = state.acked.get(store);
    return known !== undefined && known.durableLsn >= durableLsn && known.barrier >= barrier;
  });
}

/** How the receiver of an idle delivery, and what it sent, looks: the same before and after. */
export function receiverText({ sites, wires }: ChainWorldState, to: StoreId): string {
  const state = sites.find(({ store }) => store === to)?.state;
  if (state == null) return 'down';
  const sent = wires.filter(({ from }) => from === to).map(({ messages }) => messages.length);
  const { record, shape, durableLsn, committedLsn, sentLsn, toldLsn, live, synced, gap } = state;
  const acked = [...state.acked.values()];
  const seen = [shape, durableLsn, committedLsn, sentLsn, toldLsn, live, synced, gap, acked];
  return JSON.stringify([record?.epoch, ...seen, state.barrier, state.startLsn, sent]);
}

export function checkIdle(before: string, after: string): void {
  invariant(
    before === after,
    'what is old, or was heard before, changes nothing',
    () => `${before} became ${after}`,
  );
}

/** Times only matter by whether the next resend is due, and that only where one may be sent. */
export function dueBits({ clock }: ChainWorldState, { state }: Site): number {
  if (state === null) return 0;
  const due = (since: Micros): boolean => clock - since >= RESEND_MICROS;
  let bits = 0;
  for (const { sentAt, answer } of state.remoteReads.values()) {
    bits = bits * 2 + Number(answer === null && due(sentAt));
  }
  const here = place(state);
  if (here === null) return bits;
  const { predecessor, successor } = here;
  const asks = predecessor !== undefined && (!state.synced || state.gap);
  const relays = predecessor !== undefined && successor !== undefined;
  const between = predecessor !== undefined && predecessor.store !== here.head.store;
  bits = bits * 2 + Number(asks && due(state.syncSentAt));
  bits = bits * 2 + Number(successor !== undefined && due(state.forwardedAt));
  return bits * 2 + Number((relays || between) && due(state.relayedAt));
}
