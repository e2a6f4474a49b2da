// Whose place another process takes, and why. Pure; one step at a time.
//
// The successor comes first, and whoever it comes for serves until then. So a wrong wish is mended
// by taking it back: while the successor is not there it is the one that goes.

import type { ControllerEntry, Ledger, ReplicaEntry } from '../ledger.ts';
import { placesOf, type Settled, surplus } from '../settle.ts';
import {
  askedFor,
  askedOf,
  claimState,
  isFine,
  isGone,
  isRunning,
  leaves,
  podOf,
  processOf,
  refusedVolume,
  volumeTrouble,
  type World,
} from '../world.ts';
import { isUp } from './leave.ts';
import { type Change, isUnasked, newController, newReplica, unaskedReason } from './newcomers.ts';

const ASKED = 'it was asked for';

export function replaceReplica(world: World, ledger: Ledger, settled: Settled): Change | null {
  const going = ledger.replicas.filter(leaves(world));
  for (const entry of going) {
    const change = mendReplica(world, ledger, settled, entry);
    if (change !== null) return change;
  }
  // Who waits for a successor that does not come keeps no lost volume from being replaced.
  if (!going.every((one) => isAwaited(world, one))) return null;
  const successors = going.map(({ by }) => by);
  for (const entry of ledger.replicas.filter(({ leaving }) => leaving === '')) {
    const bad = volumeTrouble(world, entry) || refusedVolume(world, entry.id);
    if ((going.length > 0 && bad === '') || successors.includes(entry.id)) continue;
    const reason = replicaReason(world, ledger, settled, entry);
    if (reason !== null) return succeedReplica(ledger, settled, entry, reason);
  }
  return null;
}

/** Its successor is not there yet, and nothing was ordered. */
const isAwaited = (world: World, { by, ordered, removing }: ReplicaEntry): boolean =>
  by !== '' && !ordered && !removing && !isFine(world, by);

function succeedReplica(
  ledger: Ledger,
  settled: Settled,
  entry: ReplicaEntry,
  reason: string,
): Change {
  const grown = newReplica(ledger, settled, false);
  const by = grown.replicas.at(-1)?.id ?? '';
  // The new one's zone is chosen as if the old one were gone already.
  const without = { ...ledger, replicas: ledger.replicas.filter((one) => one !== entry) };
  const zone = newReplica(without, settled, false).replicas.at(-1)?.zone ?? entry.zone;
  const replicas = grown.replicas.map((one) => {
    if (one.id === by) return { ...one, zone };
    return one.id === entry.id ? { ...one, leaving: reason, by } : one;
  });
  return {
    ledger: { ...grown, replicas },
    why: `${by} in zone ${zone} is to take the place of ${entry.id}: ${reason}`,
  };
}

/** A successor that is not wanted any more goes; one that may never be there is not waited for. */
function mendReplica(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ReplicaEntry,
): Change | null {
  const by = ledger.replicas.find(({ id, leaving }) => id === entry.by && leaving === '');
  if (by === undefined || isFine(world, by.id)) return null;
  const why = entry.ordered ? null : whyNotBy(world, settled, ledger.replicas, entry, by);
  if (why !== null) {
    // An order whose answer was lost is taken back by letting it in again.
    const replicas = givenUp(ledger.replicas, { ...entry, granted: false }, by, why);
    return { ledger: { ...ledger, replicas }, why: whyGivenUp(entry, by, why) };
  }
  // The one whose place it was to take is there until then.
  const staying = ledger.replicas.map((one) => (one === entry ? { ...one, leaving: '' } : one));
  const reason = replicaReason(world, { ...ledger, replicas: staying }, settled, by);
  if (reason === null) return null;
  const left = leavingFor(ledger.replicas, by, reason);
  const grown = newReplica({ ...ledger, replicas: left }, settled, false);
  const { next: replicas, why: instead } = insteadOf(grown.replicas, entry, by);
  return { ledger: { ...grown, replicas }, why: `${instead}: ${reason}` };
}

type Placed = Pick<ReplicaEntry, 'id' | 'zone' | 'leaving' | 'by' | 'claimUid' | 'removing'>;

/** Why the successor is not to come; null where it is. */
function whyNotBy(
  world: World,
  settled: Settled,
  all: readonly Placed[],
  entry: Placed,
  by: Placed,
): string | null {
  if (isUnasked(settled, by.zone)) return unaskedReason(by.zone);
  const wanted =
    isWished(world, all, entry, by) ||
    askedFor(world, entry.id) ||
    volumeTrouble(world, entry) !== '' ||
    isUnasked(settled, entry.zone) ||
    isCrowded(settled, all, entry);
  return wanted ? null : `nothing asks for it any more, and ${entry.id} stays`;
}

/**
 * A name in the place of its own takes the wish back where it is that of somebody else who stays; a
 * successor that is given up does not.
 */
function isWished(world: World, all: readonly Placed[], entry: Placed, by: Placed): boolean {
  if (entry.leaving !== ASKED) return false;
  const kind = (id: string): string | undefined => id.split('-')[0];
  const others = all.filter((one) => one !== by && one.leaving === '').map(({ id }) => id);
  return askedOf(world).some((id) => kind(id) === kind(entry.id) && !others.includes(id));
}

const isCrowded = (settled: Settled, all: readonly Placed[], { zone }: Placed): boolean =>
  surplus(settled.zones, placesOf(all), zone) > 1;

const leavingFor = <Entry extends Placed>(all: readonly Entry[], which: Entry, reason: string) =>
  all.map((one) => (one === which ? { ...one, leaving: reason } : one));

/** The last of all is to take the place, and not the successor that there was. */
function insteadOf<Entry extends Placed>(all: readonly Entry[], entry: Entry, before: Entry) {
  const { id, zone } = all.at(-1) ?? before;
  const next = all.map((one) => (one.id === entry.id ? { ...one, by: id } : one));
  const why = `${id} in zone ${zone} is to take the place of ${entry.id}, and not ${before.id}`;
  return { next, why };
}

/** The successor leaves instead of the one whose place it was to take. */
const givenUp = <Entry extends Placed>(
  all: readonly Entry[],
  entry: Entry,
  by: Entry,
  why: string,
): readonly Entry[] =>
  all.map((one) => {
    if (one.id === entry.id) return { ...entry, leaving: '', by: '' };
    return one === by ? { ...one, leaving: why } : one;
  });

const whyGivenUp = (entry: Placed, by: Placed, why: string): string =>
  `${by.id} is not to take the place of ${entry.id} any more: ${why}`;

function replicaReason(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ReplicaEntry,
): string | null {
  if (askedFor(world, entry.id)) return ASKED;
  const trouble = volumeTrouble(world, entry);
  if (trouble !== '') {
    const serves = claimState(world, entry) === 'going' && isFine(world, entry.id);
    return serves || mayReplaceLost(world, ledger, settled, entry) ? trouble : null;
  }
  // Where fewer are asked for, it leaves without a successor.
  const there = ledger.replicas.filter((one) => !isGone(world, one));
  const enough = there.length > settled.members;
  return isUnasked(settled, entry.zone) && !enough ? unaskedReason(entry.zone) : null;
}

/** By itself only while enough members serve: else what is left may be the last copy. */
function mayReplaceLost(
  world: World,
  { replicas }: Ledger,
  { minReplicas }: Settled,
  entry: ReplicaEntry,
): boolean {
  const serving = replicas.filter(
    (one) =>
      one.id !== entry.id && (one.leaving === '' || isAwaited(world, one)) && isFine(world, one.id),
  );
  return serving.length >= minReplicas;
}

export function replaceController(world: World, ledger: Ledger, settled: Settled): Change | null {
  const going = ledger.controllers.filter(leaves(world));
  for (const entry of going) {
    const change = mendController(world, ledger, settled, entry);
    if (change !== null) return change;
  }
  if (!going.every((one) => isAwaitedBy(world, ledger, one))) return null;
  const successors = going.map(({ by }) => by);
  for (const entry of ledger.controllers.filter(({ leaving }) => leaving === '')) {
    const late = going.length > 0 && volumeTrouble(world, entry) === '';
    if (late || successors.includes(entry.id)) continue;
    const reason = controllerReason(world, ledger, settled, entry);
    if (reason !== null) return succeedController(ledger, settled, entry, reason);
  }
  return null;
}

/** It serves on, and its successor may not be let in yet. */
const isAwaitedBy = (world: World, ledger: Ledger, { id, by, removing }: ControllerEntry) =>
  by !== '' && !removing && processOf(world, id) !== undefined && !isUp(world, ledger, by);

function succeedController(
  ledger: Ledger,
  settled: Settled,
  entry: ControllerEntry,
  reason: string,
): Change {
  // The new one's zone is chosen as if the old one were gone already.
  const without = ledger.controllers.filter((one) => one !== entry);
  const grown = newController({ ...ledger, controllers: without }, settled, false);
  const came = grown.controllers.slice(-1);
  const { id: by, zone } = came[0] ?? { id: '', zone: '' };
  const stay = ledger.controllers.map((one) =>
    one === entry ? { ...one, leaving: reason, by } : one,
  );
  return {
    ledger: { ...grown, controllers: [...stay, ...came] },
    why: `${by} in zone ${zone} is to take the place of ${entry.id}: ${reason}`,
  };
}

/** The same of a controller that was never let in; one that runs may have been, a moment ago. */
function mendController(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ControllerEntry,
): Change | null {
  const by = ledger.controllers.find(({ id, leaving }) => id === entry.by && leaving === '');
  if (by === undefined || processOf(world, by.id) !== undefined) return null;
  const runs = isRunning(podOf(world, by.id));
  const why = runs ? null : whyNotBy(world, settled, ledger.controllers, entry, by);
  if (why !== null) {
    const controllers = givenUp(ledger.controllers, entry, by, why);
    return { ledger: { ...ledger, controllers }, why: whyGivenUp(entry, by, why) };
  }
  const asked = askedFor(world, by.id);
  if (!asked && claimState(world, by) !== 'lost') return null;
  const reason = asked ? ASKED : 'its volume is lost';
  const left = leavingFor(ledger.controllers, by, reason);
  const grown = newController({ ...ledger, controllers: left }, settled, false);
  const { next: controllers, why: instead } = insteadOf(grown.controllers, entry, by);
  return { ledger: { ...grown, controllers }, why: `${instead}: ${reason}` };
}

function controllerReason(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ControllerEntry,
): string | null {
  const there = ledger.controllers.filter((one) => !isGone(world, one));
  // Who came in addition and was not let in yet has no say.
  const seated = there.filter(({ id }) => processOf(world, id) !== undefined);
  const fine = seated.filter(({ id }) => isFine(world, id));
  const others = fine.filter((one) => one !== entry);
  const rest = others.length === there.length - 1;
  // A majority of the present set must agree to the change; one alone agrees to its own.
  if (others.length * 2 > seated.length || (rest && fine.includes(entry))) {
    const trouble = volumeTrouble(world, entry);
    if (trouble !== '') return trouble;
    if (askedFor(world, entry.id)) return ASKED;
    // There is no haste: all the others are to be well, and replicas, with their data, go first.
    const enough = there.length > settled.controllers;
    if (rest && !enough && !ledger.replicas.some(leaves(world)) && isUnasked(settled, entry.zone)) {
      return unaskedReason(entry.zone);
    }
  }
  return null;
}

/**
 * Where all is well, the youngest of a zone that holds two more than another moves to that: zones
 * that were added, or that were away for a while, take their share. One at a time.
 */
export function evenOut(world: World, ledger: Ledger, settled: Settled): Change | null {
  const { replicas, controllers } = ledger;
  const all = [...replicas, ...controllers];
  if (!all.every(({ id, leaving }) => leaving === '' && isFine(world, id))) return null;
  const crowded = <Entry extends Placed>(entries: readonly Entry[]): Entry | undefined =>
    entries.toReversed().find((entry) => isCrowded(settled, entries, entry));
  const replica = crowded(replicas);
  if (replica !== undefined) {
    return succeedReplica(ledger, settled, replica, crowdedReason(settled, replicas, replica));
  }
  const controller = crowded(controllers);
  if (controller === undefined) return null;
  return succeedController(
    ledger,
    settled,
    controller,
    crowdedReason(settled, controllers, controller),
  );
}

const crowdedReason = ({ zones }: Settled, all: readonly Placed[], { zone }: Placed): string =>
  `zone ${zone} has ${surplus(zones, all, zone)} more than another that is asked for`;
