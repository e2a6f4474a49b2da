// What must hold in every state of an explored chain, and how such a state is told to people.

import { checkMember, checkMembers } from '../../protocol/chain/invariants.ts';
import { type ChainState, isDamaged } from '../../protocol/chain/state.ts';
import type { Tables } from '../../protocol/chain/tables.ts';
import { order } from '../../protocol/configuration.ts';
import { invariant } from '../../protocol/errors.ts';
import type { ChainWorldState, Site } from './chain-parts.ts';
import { foldOf, latest } from './chain-world.ts';

/** The invariants of the protocol, and that nothing acknowledged is lost. */
export function checkWorld(world: ChainWorldState): void {
  for (const state of chainStates(world)) checkMember(state);
  for (const site of world.sites) checkCounted(site);
  checkWhole(world);
  checkTogether(world);
}

/** Whoever lost nothing has the whole of its log, and says so: its word may be all that is left. */
function checkWhole(world: ChainWorldState): void {
  if (world.used.losses > 0) return;
  for (const state of chainStates(world)) {
    const at = (): string => `a log to ${state.shape.endLsn} at ${Number(state.me.store)}`;
    invariant(!isDamaged(state), 'a disk that lost nothing is whole', at);
  }
}

/** Once a disk has nothing left to do, all that lies on it is vouched for. */
function checkCounted({ state, operations, store }: Site): void {
  if (state === null || operations.length > 0) return;
  const { durableLsn, shape } = state;
  const at = (): string => `${durableLsn} of ${shape.endLsn} at ${Number(store)}`;
  invariant(durableLsn === shape.endLsn, 'what is on the disk counts', at);
}

/** Of these, what takes several members to see. */
export function checkTogether(world: ChainWorldState): void {
  checkMembers({ members: chainStates(world), latest: latest(world) });
  checkAcknowledged(world);
}

/**
 * Whatever was appended, cut and installed: the tables are those of the log that there is. They are
 * compared as they are, since a snapshot that left something out would do so on both sides.
 */
export function checkTables(world: ChainWorldState): void {
  for (const { state, written, store } of world.sites) {
    if (state === null || state.cutting !== 0) continue;
    const kept = tablesText(state.tables);
    const folded = tablesText(foldOf(world, written));
    const shown = (): string => `${Number(store)} has ${kept}, its log makes ${folded}`;
    invariant(kept === folded, 'tables are the fold of the log', shown);
  }
}

/** The order in which a map was filled says nothing, nor how much of it can still be undone. */
function tablesText({ scalars, undo: _undo, ...maps }: Tables): string {
  const parts = Object.entries(maps).map(([name, map]) => {
    const entries = [...map].map((entry) => JSON.stringify(entry));
    return `${name}${entries.sort().join()}`;
  });
  return [`scalars${JSON.stringify(scalars)}`, ...parts].join(' ');
}

/** What members there are for the invariants: running ones as they are. */
export function chainStates(world: ChainWorldState): ChainState[] {
  return world.sites.flatMap(({ state }) => (state === null ? [] : [state]));
}

/** Everything acknowledged is on the disk of every serving member that is up, with its identity. */
export function checkAcknowledged(world: ChainWorldState): void {
  for (const member of latest(world).serving) {
    const site = world.sites.find(({ store }) => store === member.store);
    if (site?.state == null || site.incarnation !== member.incarnation) continue;
    for (const [at, identity] of world.acknowledged) {
      const held = site.durable.find((header) => header.firstLsn === at);
      invariant(
        held?.bodyCrc === identity,
        'what was acknowledged is on every serving member',
        () => `${at} on ${site.store} is ${held?.bodyCrc ?? 'missing'}, was ${identity}`,
      );
    }
  }
}

/** All members of the newest configuration, in chain order, for messages. */
export function describeWorld(world: ChainWorldState): string {
  const now = latest(world);
  const members = order(now).map((member) => `${Number(member.store)}@${member.incarnation}`);
  const sites = world.sites.map(({ store, state, durable, operations }) => {
    const shown =
      state === null
        ? 'down'
        : `${state.standing} e${state.record?.epoch ?? 0} ${state.live ? 'live' : ''} ` +
          `${state.synced ? 'synced' : ''} c${state.committedLsn} d${state.durableLsn} ` +
          `e${state.shape.endLsn} start ${state.startLsn}`;
    return `${Number(store)}: ${shown} disk ${durable.length} operations ${operations.length}`;
  });
  return [`epoch ${now.epoch}: ${members.join(' ')}`, ...sites].join('\n');
}
