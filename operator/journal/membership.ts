// Who the members are to be: the next ledger, and why. Pure; one step at a time.
//
// Growth comes first and hurts nobody; a member leaves only when its successor is there, and only
// one at a time. Before the first format nothing changes but which controllers are to be formatted,
// and where; nothing leaves while nobody knows how the chains are.

import { labelsOf, numberAt, textAt } from '../kube/fields.ts';
import { MEMBER_LABEL, namesOf } from '../manifests/common.ts';
import type { ControllerEntry, Ledger, ReplicaEntry } from './ledger.ts';
import { beginRecovery } from './recovery.ts';
import { nextZone, type Settled } from './settle.ts';
import {
  askedFor,
  awake,
  claimState,
  find,
  isBound,
  isFine,
  isGone,
  isMadeAgain,
  isRunning,
  leaves,
  podOf,
  podsOf,
  processOf,
  volumeTrouble,
  type World,
} from './world.ts';

export interface Change {
  readonly ledger: Ledger;
  /** Said as an event; empty for what is mere bookkeeping. */
  readonly why: string;
}

/** The next change, or null where everything is as it should be. */
export function changeMembership(world: World, ledger: Ledger, asked: Settled): Change | null {
  const settled = awake(world, ledger, asked);
  const noted = noteClaims(world, ledger) ?? noteFormatted(world, ledger);
  if (noted !== null) return { ledger: noted, why: '' };
  const recovery = beginRecovery(world, ledger, settled, (kept) => newControllers(kept, settled));
  if (recovery !== null) return recovery;
  if (ledger.controllers.length === 0) return firstMembers(ledger, settled);
  const moved = redraw(ledger, settled) ?? moveUnformatted(world, ledger, settled);
  if (moved !== null) return moved;
  if (!ledger.formatted || settled.hibernate) return null;
  return (
    grow(ledger, settled) ??
    (world.chain.kind === 'unknown'
      ? null
      : (replaceReplica(world, ledger, settled) ??
        replaceController(world, ledger, settled) ??
        resizeControllers(world, ledger, settled) ??
        shrink(world, ledger, settled)))
  );
}

export function newReplica(ledger: Ledger, settled: Settled, granted: boolean): Ledger {
  const number = ledger.nextReplica;
  const staying = ledger.replicas.filter(({ leaving }) => leaving === '');
  const zone = nextZone(settled.zones, staying, number);
  const none = { claimUid: '', leaving: '', by: '', ordered: false, removing: false };
  const entry = { id: `replica-${number}`, zone, granted, ...none };
  return { ...ledger, replicas: [...ledger.replicas, entry], nextReplica: number + 1 };
}

function newController(ledger: Ledger, settled: Settled, formatted: boolean): Ledger {
  const number = ledger.nextController;
  const staying = ledger.controllers.filter(({ leaving }) => leaving === '');
  const zone = nextZone(settled.zones, staying, number);
  const none = { claimUid: '', leaving: '', by: '', removing: false };
  const entry = { id: `controller-${number}`, zone, formatted, ...none };
  return { ...ledger, controllers: [...ledger.controllers, entry], nextController: number + 1 };
}

/** As many as are asked for, none of them formatted yet. */
function newControllers(ledger: Ledger, settled: Settled): Ledger {
  let next = ledger;
  for (let count = 0; count < settled.controllers; count += 1) {
    next = newController(next, settled, false);
  }
  return next;
}

/** The members that the controllers are formatted with: their grants come with the format. */
function firstMembers(ledger: Ledger, settled: Settled): Change {
  let next = ledger;
  for (let count = 0; count < settled.members; count += 1) next = newReplica(next, settled, true);
  next = newControllers(next, settled);
  const { members, controllers } = settled;
  return { ledger: next, why: `made of ${members} replicas and ${controllers} controllers` };
}

const isUnasked = ({ zones }: Settled, zone: string): boolean =>
  zones.length > 0 && !zones.includes(zone);

const unaskedReason = (zone: string): string => `zone ${zone} is no longer asked for`;

/** Volumes are formatted with the whole set in them: another number is another set of new ones. */
function redraw(ledger: Ledger, settled: Settled): Change | null {
  const staying = ledger.controllers.filter(({ removing }) => !removing);
  if (ledger.formatted || staying.length === settled.controllers) return null;
  const leaving = `${settled.controllers} controllers are asked for`;
  const controllers = ledger.controllers.map((one) => ({ ...one, leaving, removing: true }));
  const next = newControllers({ ...ledger, controllers }, settled);
  return { ledger: next, why: `the controllers are chosen anew: ${leaving}` };
}

/** A controller whose volume is not formatted yet loses nothing by being formatted elsewhere. */
function moveUnformatted(world: World, ledger: Ledger, settled: Settled): Change | null {
  const entry = ledger.controllers.find(
    ({ id, zone, formatted, leaving }) =>
      !formatted && leaving === '' && isUnasked(settled, zone) && !hasVolumeThere(world, id),
  );
  if (entry === undefined) return null;
  const others = ledger.controllers.filter(
    (one) => one !== entry && one.leaving === '' && !isUnasked(settled, one.zone),
  );
  const zone = nextZone(settled.zones, others, 0);
  const controllers = ledger.controllers.map((one) => (one === entry ? { ...one, zone } : one));
  const why = `${entry.id} is to be formatted in zone ${zone}: ${unaskedReason(entry.zone)}`;
  return { ledger: { ...ledger, controllers }, why };
}

/** A volume that a pod of the zone was given is not to be had from another zone. */
function hasVolumeThere(world: World, id: string): boolean {
  const names = namesOf(world.cluster.metadata.name);
  const scheduled = podsOf(world).some(
    (pod) =>
      labelsOf(pod.metadata)[MEMBER_LABEL] === id && textAt(pod, 'spec', 'nodeName') !== undefined,
  );
  return scheduled && isBound(find(world, 'PersistentVolumeClaim', names.claim(id)));
}

/** A claim that got its volume is the process's own from now on. */
function noteClaims(world: World, ledger: Ledger): Ledger | null {
  const names = namesOf(world.cluster.metadata.name);
  let changed = false;
  const note = <Entry extends Pick<ReplicaEntry, 'id' | 'claimUid' | 'leaving'>>(
    entry: Entry,
  ): Entry => {
    const claim = find(world, 'PersistentVolumeClaim', names.claim(entry.id));
    const uid = claim?.metadata.uid ?? '';
    if (uid === '' || uid === entry.claimUid || !isBound(claim)) return entry;
    const again = entry.leaving === '' && isMadeAgain(world, entry.id, claim);
    if (entry.claimUid !== '' && !again) return entry;
    changed = true;
    return { ...entry, claimUid: uid };
  };
  const replicas = ledger.replicas.map(note);
  const controllers = ledger.controllers.map(note);
  return changed ? { ...ledger, replicas, controllers } : null;
}

/** A format that succeeded is over for good. */
function noteFormatted(world: World, ledger: Ledger): Ledger | null {
  const names = namesOf(world.cluster.metadata.name);
  let changed = false;
  const controllers = ledger.controllers.map((entry) => {
    const job = find(world, 'Job', names.format(entry.id));
    if (entry.formatted || (numberAt(job, 'status', 'succeeded') ?? 0) < 1) return entry;
    changed = true;
    return { ...entry, formatted: true };
  });
  const all = controllers.length > 0 && controllers.every(({ formatted }) => formatted);
  if (!changed && (ledger.formatted || !all)) return null;
  return { ...ledger, controllers, formatted: ledger.formatted || all };
}

function grow(ledger: Ledger, settled: Settled): Change | null {
  const staying = ledger.replicas.filter(({ leaving }) => leaving === '');
  if (staying.length >= settled.members) return null;
  const next = newReplica(ledger, settled, false);
  const { id, zone } = next.replicas.at(-1) ?? { id: '', zone: '' };
  return { ledger: next, why: `adding ${id} in zone ${zone}: ${settled.members} are asked for` };
}

function replaceReplica(world: World, ledger: Ledger, settled: Settled): Change | null {
  const going = ledger.replicas.find(leaves(world));
  if (going !== undefined) return dropSuccessor(world, ledger, settled, going);
  for (const entry of ledger.replicas.filter(({ leaving }) => leaving === '')) {
    const reason = replicaReason(world, ledger, settled, entry);
    if (reason === null) continue;
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
  return null;
}

/** A successor that may never be there is not waited for. */
function dropSuccessor(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ReplicaEntry,
): Change | null {
  const by = ledger.replicas.find(({ id, leaving }) => id === entry.by && leaving === '');
  if (by === undefined || isFine(world, by.id)) return null;
  if (!entry.ordered && isUnasked(settled, by.zone)) {
    const replicas = givenUp(ledger.replicas, entry, by);
    return { ledger: { ...ledger, replicas }, why: whyGivenUp(entry, by) };
  }
  // The one whose place it was to take is there until then.
  const staying = ledger.replicas.map((one) => (one === entry ? { ...one, leaving: '' } : one));
  const reason = replicaReason(world, { ...ledger, replicas: staying }, settled, by);
  if (reason === null) return null;
  const left = leavingFor(ledger.replicas, by, reason);
  const grown = newReplica({ ...ledger, replicas: left }, settled, false);
  const { next: replicas, why } = instead(grown.replicas, entry, by);
  return { ledger: { ...grown, replicas }, why: `${why}: ${reason}` };
}

const leavingFor = <Entry extends Placed>(all: readonly Entry[], which: Entry, reason: string) =>
  all.map((one) => (one === which ? { ...one, leaving: reason } : one));

/** The last of all is to take the place, and not the successor that there was. */
function instead<Entry extends Placed>(all: readonly Entry[], entry: Entry, before: Entry) {
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
): readonly Entry[] =>
  all.map((one) => {
    if (one === entry) return { ...one, leaving: '', by: '' };
    return one === by ? { ...one, leaving: unaskedReason(by.zone) } : one;
  });

type Placed = Pick<ReplicaEntry, 'id' | 'zone' | 'leaving' | 'by'>;

const whyGivenUp = (entry: Placed, by: Placed): string =>
  `${by.id} is not to take the place of ${entry.id} any more: ${unaskedReason(by.zone)}`;

function replicaReason(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ReplicaEntry,
): string | null {
  if (askedFor(world, entry.id)) return 'it was asked for';
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
export function mayReplaceLost(
  world: World,
  { replicas }: Ledger,
  { minReplicas }: Settled,
  entry: ReplicaEntry,
): boolean {
  const serving = replicas.filter(
    (one) => one.id !== entry.id && one.leaving === '' && isFine(world, one.id),
  );
  return serving.length >= minReplicas;
}

function replaceController(world: World, ledger: Ledger, settled: Settled): Change | null {
  const going = ledger.controllers.find(leaves(world));
  if (going !== undefined) return dropNewcomer(world, ledger, settled, going);
  for (const entry of ledger.controllers.filter(({ leaving }) => leaving === '')) {
    const reason = controllerReason(world, ledger, settled, entry);
    if (reason === null) continue;
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
  return null;
}

/** The same of a controller that was never let in. */
function dropNewcomer(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ControllerEntry,
): Change | null {
  const by = ledger.controllers.find(({ id, leaving }) => id === entry.by && leaving === '');
  if (by === undefined || processOf(world, by.id) !== undefined) return null;
  if (by.formatted && isUnasked(settled, by.zone) && !isRunning(podOf(world, by.id))) {
    const controllers = givenUp(ledger.controllers, entry, by);
    return { ledger: { ...ledger, controllers }, why: whyGivenUp(entry, by) };
  }
  const asked = askedFor(world, by.id);
  if (!asked && claimState(world, by) !== 'lost') return null;
  const reason = asked ? 'it was asked for' : 'its volume is lost';
  const left = leavingFor(ledger.controllers, by, reason);
  const grown = newController({ ...ledger, controllers: left }, settled, false);
  const { next: controllers, why } = instead(grown.controllers, entry, by);
  return { ledger: { ...grown, controllers }, why: `${why}: ${reason}` };
}

function controllerReason(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ControllerEntry,
): string | null {
  const present = ledger.controllers.filter((one) => !isGone(world, one));
  const fine = present.filter(({ id }) => isFine(world, id));
  const others = fine.filter((one) => one !== entry);
  const rest = others.length === present.length - 1;
  // A majority of the present set must agree to the change; one alone agrees to its own.
  if (others.length * 2 > present.length || (rest && fine.includes(entry))) {
    const trouble = volumeTrouble(world, entry);
    if (trouble !== '') return trouble;
    if (askedFor(world, entry.id)) return 'it was asked for';
    // There is no haste: all the others are to be well, and replicas, with their data, go first.
    const enough = present.length > settled.controllers;
    if (rest && !enough && !ledger.replicas.some(leaves(world)) && isUnasked(settled, entry.zone)) {
      return unaskedReason(entry.zone);
    }
  }
  return null;
}

/**
 * Two at a time, since their number is odd: the new ones come together. Those leave that are not
 * well, then those of a zone that is no longer asked for, then the youngest.
 */
function resizeControllers(world: World, ledger: Ledger, settled: Settled): Change | null {
  const staying = ledger.controllers.filter(({ leaving }) => leaving === '');
  const wanted = settled.controllers;
  if (ledger.controllers.some(leaves(world)) || staying.length === wanted) return null;
  const fine = staying.filter(({ id }) => isFine(world, id));
  if (staying.length < wanted) {
    if (fine.length < staying.length) return null;
    const next = newController(newController(ledger, settled, false), settled, false);
    const came = next.controllers.slice(-2).map(({ id }) => id);
    return { ledger: next, why: `adding ${came.join(' and ')}: ${wanted} are asked for` };
  }
  const rank = (one: ControllerEntry): number =>
    fine.includes(one) ? (isUnasked(settled, one.zone) ? 1 : 2) : 0;
  const ranked = staying.toReversed().sort((one, other) => rank(one) - rank(other));
  const out = ranked.slice(0, 2).reverse();
  // Those that leave need not be well, and may never have come; a majority agrees to the others.
  const seated = staying.filter(({ id }) => processOf(world, id) !== undefined);
  const stay = fine.filter((one) => !out.includes(one)).length === staying.length - 2;
  const agreed = stay && fine.length * 2 > seated.length;
  if (!agreed && out.some((one) => seated.includes(one))) return null;
  const leaving = `${wanted} controllers are asked for`;
  const controllers = ledger.controllers.map((one) =>
    out.includes(one) ? { ...one, leaving } : one,
  );
  const ids = out.map(({ id }) => id).join(' and ');
  return { ledger: { ...ledger, controllers }, why: `${ids} are to leave` };
}

/** Broken ones first, then of zones not asked for, then from the fullest, then the youngest. */
function shrink(world: World, ledger: Ledger, settled: Settled): Change | null {
  const staying = ledger.replicas.filter(({ leaving }) => leaving === '');
  if (ledger.replicas.some(leaves(world)) || staying.length <= settled.members) return null;
  const crowd = (zone: string): number => staying.filter((one) => one.zone === zone).length;
  const unasked = (zone: string): number => (isUnasked(settled, zone) ? 1 : 0);
  const [victim] = staying.toReversed().sort((one, other) => {
    const broken = Number(isFine(world, one.id)) - Number(isFine(world, other.id));
    const gone = unasked(other.zone) - unasked(one.zone);
    return broken || gone || crowd(other.zone) - crowd(one.zone);
  });
  if (victim === undefined) return null;
  const reason = `${settled.members} replicas are asked for`;
  const replicas = ledger.replicas.map((one) =>
    one.id === victim.id ? { ...one, leaving: reason } : one,
  );
  return { ledger: { ...ledger, replicas }, why: `${victim.id} is to leave: ${reason}` };
}
