// Who the members are to be: the next ledger, and why. Pure; one step at a time.
//
// Growth comes first and hurts nobody; a member leaves only when its successor is there, and only
// one at a time. Before the first format nothing changes but which controllers are to be formatted,
// and where; nothing leaves while nobody knows how the chains are.

import { labelsOf, numberAt, textAt } from '../../kube/fields.ts';
import { MEMBER_LABEL, namesOf } from '../../manifests/common.ts';
import type { ControllerEntry, Ledger, ReplicaEntry } from '../ledger.ts';
import { nextZone, type Settled } from '../settle.ts';
import {
  askedFor,
  awake,
  claimState,
  find,
  isBound,
  isFine,
  isMadeAgain,
  leaves,
  podsOf,
  processOf,
  volumeTrouble,
  type World,
} from '../world.ts';
import {
  type Change,
  isUnasked,
  newController,
  newControllers,
  newReplica,
  unaskedReason,
} from './newcomers.ts';
import { beginRecovery } from './recovery.ts';
import { evenOut, replaceController, replaceReplica } from './replace.ts';

/** The next change, or null where everything is as it should be. */
export function changeMembership(world: World, ledger: Ledger, asked: Settled): Change | null {
  const settled = awake(world, ledger, asked);
  const noted = noteClaims(world, ledger) ?? noteFormatted(world, ledger);
  if (noted !== null) return { ledger: noted, why: '' };
  const recovery = beginRecovery(world, ledger, settled, (kept) => newControllers(kept, settled));
  if (recovery !== null) return recovery;
  if (ledger.controllers.length === 0) return firstMembers(ledger, settled);
  const moved = redraw(world, ledger, settled) ?? moveUnformatted(world, ledger, settled);
  if (moved !== null) return moved;
  if (!ledger.formatted || settled.hibernate) return null;
  return (
    grow(world, ledger, settled) ??
    (world.chain.kind === 'unknown'
      ? null
      : (replaceReplica(world, ledger, settled) ??
        replaceController(world, ledger, settled) ??
        resizeControllers(world, ledger, settled) ??
        shrink(world, ledger, settled) ??
        evenOut(world, ledger, settled)))
  );
}

/** The members that the controllers are formatted with: their grants come with the format. */
function firstMembers(ledger: Ledger, settled: Settled): Change {
  let next = ledger;
  for (let count = 0; count < settled.members; count += 1) next = newReplica(next, settled, true);
  next = newControllers(next, settled);
  const { members, controllers } = settled;
  return { ledger: next, why: `made of ${members} replicas and ${controllers} controllers` };
}

/**
 * Volumes are formatted with the whole set in them: another number, or one that is lost before any
 * of them was used, is another set of new ones.
 */
function redraw(world: World, ledger: Ledger, settled: Settled): Change | null {
  if (ledger.formatted) return null;
  const staying = ledger.controllers.filter(({ removing }) => !removing);
  const leaving =
    staying.length === settled.controllers
      ? whyAnew(world, staying)
      : `${settled.controllers} controllers are asked for`;
  if (leaving === null) return null;
  const controllers = ledger.controllers.map((one) => ({ ...one, leaving, removing: true }));
  const next = newControllers({ ...ledger, controllers }, settled);
  return { ledger: next, why: `the controllers are chosen anew: ${leaving}` };
}

function whyAnew(world: World, staying: readonly ControllerEntry[]): string | null {
  const asked = staying.find(({ id }) => askedFor(world, id));
  if (asked !== undefined) return `${asked.id} is to be replaced`;
  const lost = staying.find((one) => claimState(world, one) === 'lost');
  return lost === undefined ? null : `the volume of ${lost.id} is lost`;
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

function grow(world: World, ledger: Ledger, settled: Settled): Change | null {
  const staying = ledger.replicas.filter(({ leaving }) => leaving === '');
  if (staying.length >= settled.members) return null;
  const why = `${settled.members} are asked for`;
  // Who is on the way out for want of a wish stays as well as a new one would come.
  const back = ledger.replicas.find(
    (one) => one.by === '' && !one.removing && one.leaving !== '' && isWelcome(world, settled, one),
  );
  if (back !== undefined) {
    const replicas = ledger.replicas.map((one) =>
      one === back ? { ...one, leaving: '', ordered: false, granted: false } : one,
    );
    return { ledger: { ...ledger, replicas }, why: `${back.id} stays: ${why}` };
  }
  const next = newReplica(ledger, settled, false);
  const { id, zone } = next.replicas.at(-1) ?? { id: '', zone: '' };
  return { ledger: next, why: `adding ${id} in zone ${zone}: ${why}` };
}

const isWelcome = (world: World, settled: Settled, entry: ReplicaEntry): boolean =>
  !askedFor(world, entry.id) &&
  volumeTrouble(world, entry) === '' &&
  !isUnasked(settled, entry.zone);

/**
 * Two at a time, since their number is odd: the new ones come together. Those leave that are not
 * well, then those of a zone that is no longer asked for, then the youngest.
 */
function resizeControllers(world: World, ledger: Ledger, settled: Settled): Change | null {
  const staying = ledger.controllers.filter(({ leaving }) => leaving === '');
  const wanted = settled.controllers;
  const kept = keepControllers(world, ledger, staying);
  if (kept !== null) return kept;
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

/** Those that were to leave stay where one of the others is not well by the time they would go. */
function keepControllers(
  world: World,
  ledger: Ledger,
  staying: readonly ControllerEntry[],
): Change | null {
  const going = ledger.controllers.filter(
    ({ id, leaving, by, removing }) =>
      leaving !== '' && by === '' && !removing && processOf(world, id) !== undefined,
  );
  const bad = staying.find(({ id }) => !isFine(world, id));
  if (going.length === 0 || bad === undefined) return null;
  const controllers = ledger.controllers.map((one) =>
    going.includes(one) ? { ...one, leaving: '' } : one,
  );
  const ids = going.map(({ id }) => id).join(' and ');
  return { ledger: { ...ledger, controllers }, why: `${ids} stay for now: ${bad.id} is not well` };
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
