// Every configuration that the rules of the design allow after the newest one: survivor rule, and
// cold rule with an ideal floor. Nobody asks who is alive: safety needs no such knowledge.

import { epochAt } from '../../protocol/chain/shape.ts';
import { isDamaged } from '../../protocol/chain/state.ts';
import { type Configuration, findMember, head, type Member } from '../../protocol/configuration.ts';
import { epoch } from '../../protocol/types.ts';
import type { ChainWorldState, Site } from './chain-parts.ts';
import { latest, memberOf } from './chain-world.ts';

/** Every configuration that the survivor rule or the cold rule allows next. */
export function successors(world: ChainWorldState): readonly Configuration[] {
  const now = latest(world);
  const { joining } = now;
  const joined =
    joining !== null && (world.joinedIn === now.epoch || joinedEnough(world, now, joining));
  const { memory } = world;
  if (memory === undefined) return successorsOf(world, joined);
  let about = Number(joined);
  for (const site of world.sites) {
    const { state, incarnation } = site;
    about = (about * 8 + (state === null ? 0 : incarnation)) * 2 + Number(aboveFloor(site));
  }
  return memory.successors(now, about, () => successorsOf(world, joined));
}

function successorsOf(world: ChainWorldState, joined: boolean): Configuration[] {
  const now = latest(world);
  const survivors = [...now.serving];
  if (joined && now.joining !== null) survivors.push(now.joining);
  const chosen: Configuration[] = [];
  for (const serving of orderings(survivors)) addWithJoiners(world, now, serving, chosen);
  for (const { store } of now.serving) {
    const site = world.sites.find((candidate) => candidate.store === store);
    if (site?.state == null || findMember(now, memberOf(site)) !== undefined) continue;
    if (aboveFloor(site)) addWithJoiners(world, now, [memberOf(site)], chosen);
  }
  return chosen;
}

/** What a controller saw once it may act on at any later time. */
export function noteJoined(world: ChainWorldState): void {
  const now = latest(world);
  if (now.joining === null || world.joinedIn === now.epoch) return;
  if (joinedEnough(world, now, now.joining)) world.joinedIn = now.epoch;
}

function joinedEnough(world: ChainWorldState, now: Configuration, joining: Member): boolean {
  return world.sites.some(({ state }) => {
    if (state?.record?.epoch !== now.epoch || !state.live || state.startLsn === null) return false;
    if (head(now)?.store !== state.me.store) return false;
    const entry = state.acked.get(joining.store);
    return entry !== undefined && entry.durableLsn >= state.startLsn;
  });
}

/** Every non-empty subset, each in its order and with each member first. */
function orderings(members: readonly Member[]): Member[][] {
  const subsets: Member[][] = [];
  for (let mask = 1; mask < 1 << members.length; mask += 1) {
    const subset = members.filter((_, at) => (mask & (1 << at)) !== 0);
    for (const [at, first] of subset.entries()) {
      subsets.push([first, ...subset.slice(0, at), ...subset.slice(at + 1)]);
    }
  }
  return subsets;
}

function addWithJoiners(
  world: ChainWorldState,
  now: Configuration,
  serving: readonly Member[],
  chosen: Configuration[],
): void {
  const next = { ...now, epoch: epoch(now.epoch + 1), serving, joining: null };
  chosen.push(next);
  for (const site of world.sites) {
    const taken = serving.some(({ store }) => store === site.store);
    if (!taken && site.state !== null) chosen.push({ ...next, joining: memberOf(site) });
  }
}

/** Whether a volume may stand for what it once acknowledged (cold rule): by what its disk holds. */
export function aboveFloor(site: Pick<Site, 'state' | 'floor' | 'record'>): boolean {
  const { state, floor } = site;
  if (state === null || isDamaged(state)) return false;
  if (floor === null) return true;
  const since = state.record?.epoch ?? 0;
  if (since !== floor.epoch) return since > floor.epoch;
  if (state.shape.baseLsn > floor.lsn) return true;
  return state.durableLsn >= floor.lsn && epochAt(state.shape, floor.lsn) === floor.entryEpoch;
}
