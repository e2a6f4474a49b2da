// Restarts, one pod at a time: what is broken first, heads last, controllers after all replicas.
//
// The controller that proposes changes is the very last, so that the others take over once.
//
// A restart is a deletion of the pod: its StatefulSet starts it again from the new template. The
// first one that does not come back well ends the roll, since the gates say no for all others.
//
// Gates ask the controllers. The member acted upon does not count: otherwise a broken one would
// hold up its own repair.

import type { JournalStatus } from '../../transport/public.ts';
import type { KubeObject } from '../kube/api.ts';
import { conditionAt, conditionOf, labelsOf, textAt } from '../kube/fields.ts';
import { COMPONENT_LABEL } from '../manifests/common.ts';
import { containerOf } from '../manifests/pod.ts';
import type { Ledger } from './ledger.ts';
import { type Action, type Plan, waiting, working } from './steps.ts';
import {
  claimState,
  headedBy,
  headOf,
  isFine,
  isIdle,
  isInChain,
  isOutdated,
  isReady,
  isWithoutPod,
  journalsWith,
  noteOf,
  podOf,
  podTrouble,
  processOf,
  troubleOf,
  unmade,
  type World,
} from './world.ts';

export const PATIENCE_MILLIS = 20_000;
/** A start takes seconds, also where much else happens. */
const START_MILLIS_MAX = 120_000;
/** Of a Job, which nobody waits for: an image may be large, and a volume far away. */
const BEGIN_MILLIS_MAX = 600_000;
/** Of a pod that has begun, between its start and the first that is said of it. */
const FIRST_MILLIS = 10_000;

export function roll(world: World, ledger: Ledger): Plan | null {
  const stuck = notBack(world, ledger);
  const outdated = candidates(world, ledger);
  const [first] = outdated;
  // One with the newest template does not run: no other may follow it.
  if (first === undefined || stuck?.progress.kind === 'stalled') return stuck;
  const wrong = gate(world, ledger, first);
  if (wrong !== null) {
    const message = `${first} waits to be restarted (${outdated.length} left): ${wrong}`;
    return { actions: [], progress: waiting('RollWaiting', message) };
  }
  const handOvers = headedBy(world, first).flatMap((journal) => handOver(world, journal, first));
  const pod = podOf(world, first);
  if (handOvers.length > 0 || pod === undefined) {
    const message = `${first} hands over the journals that it heads`;
    return { actions: handOvers, progress: working('HandingOver', message) };
  }
  const left = outdated.length - 1;
  const why = `restarting ${first} for its new template, ${left} more to go`;
  return {
    actions: [{ kind: 'delete', object: pod, why }],
    progress: working('Rolling', why),
  };
}

/**
 * Outdated pods whose process does not run are replaced at once: nothing is taken away, and the fix
 * of a bad image must not wait for what the bad image broke.
 */
export function restartIdle(world: World, { replicas, controllers }: Ledger): Plan | null {
  const actions = [...replicas, ...controllers].flatMap((entry): readonly Action[] => {
    const { id } = entry;
    const pod = podOf(world, id);
    if (pod === undefined || !isIdle(pod) || !isOutdated(world, id)) return [];
    // With the pod the volume would go, too.
    if (claimState(world, entry) === 'going') return [];
    return [{ kind: 'delete', object: pod, why: `${id} does not run: taking its new template` }];
  });
  if (actions.length === 0) return null;
  return { actions, progress: working('Rolling', `restarting ${actions.length} idle pods`) };
}

/** Outdated processes in the order in which they are restarted. */
function candidates(world: World, { replicas, controllers }: Ledger): readonly string[] {
  const ids = [...replicas, ...controllers]
    .filter(({ id, leaving }) => leaving === '' && isOutdated(world, id))
    .map(({ id }) => id);
  const rank = (id: string): number => {
    if (!isWell(world, id)) return -1;
    if (!controllers.some((one) => one.id === id)) return headedBy(world, id).length;
    return id === proposerOf(world) ? 2_000_000 : 1_000_000;
  };
  return ids.sort((one, other) => rank(one) - rank(other));
}

/** Of the controllers that are heard the first by its seat: the others wait for it. */
function proposerOf({ chain }: World): string {
  if (chain.kind === 'unknown') return '';
  const { processes } = chain.status;
  return processes.find(({ kind, reachable }) => kind === 'controller' && reachable)?.id ?? '';
}

const isWell = (world: World, id: string): boolean =>
  isFine(world, id) && isReady(podOf(world, id));

/** Somebody who should serve and does not, though its template is the newest. */
export function notBack(world: World, { replicas, controllers }: Ledger): Plan | null {
  const formatted = controllers.filter((one) => one.formatted);
  // Replicas wait for controllers, while nobody hears those.
  const unheard = world.chain.kind === 'unknown';
  const all = (unheard ? [...formatted, ...replicas] : [...replicas, ...formatted]).filter(
    ({ id, leaving }) => leaving === '' && !isWell(world, id) && !isOutdated(world, id),
  );
  const looked = all.map(({ id }) => {
    return { id, pod: podOf(world, id), trouble: podTrouble(world, id), mute: silence(world, id) };
  });
  const silent = looked.filter(({ mute }) => mute !== '');
  const away =
    looked.find(({ trouble }) => trouble !== '') ??
    silent.find(({ pod }) => isPending(pod)) ??
    silent[0] ??
    looked[0];
  if (away === undefined) return null;
  const { pod, trouble, mute } = away;
  const stuck = trouble || mute;
  if (stuck !== '' && isOld(world, pod)) {
    const message = `${away.id} does not run: ${stuck}`;
    return { actions: [], progress: { kind: 'stalled', reason: 'PodNotRunning', message } };
  }
  const message = `${away.id} is not ready yet${trouble === '' ? '' : `: ${trouble}`}`;
  return { actions: [], progress: waiting('ProcessNotReady', message) };
}

/** What keeps a process from serving and does not go away by itself; empty while nothing does. */
export const stuck = (world: World, id: string): string =>
  isOld(world, podOf(world, id)) ? podTrouble(world, id) || silence(world, id) : '';

/** Trouble of the first moments often goes away by itself. */
export const isOld = (world: World, pod: KubeObject | undefined): boolean =>
  ageOf(world, pod) > PATIENCE_MILLIS;

/** NaN, and so above and below nothing, where there is none. */
const ageOf = ({ nowMillis }: World, pod: KubeObject | undefined): number =>
  nowMillis - Date.parse(pod?.metadata.creationTimestamp ?? '');

/** What a pod does not say of itself: it should long have begun, or answered. */
function silence(world: World, id: string): string {
  const pod = podOf(world, id);
  if (pod === undefined || processOf(world, id)?.reachable === true) return '';
  const ready = conditionAt(pod, 'Ready');
  const since = Date.parse(textAt(ready, 'lastTransitionTime') ?? '');
  const begun = Date.parse(textAt(pod, 'status', 'startTime') ?? '');
  // One that was ready once and is not now may be cut off, or busy: that is for the controllers.
  const was = textAt(ready, 'status') !== 'False' || !(since - begun < FIRST_MILLIS);
  return was && !isPending(pod) ? '' : silenceOf(world, pod);
}

const isPending = (pod: KubeObject | undefined): boolean =>
  textAt(pod, 'status', 'phase') === 'Pending';

/** The same of a pod that should be over; empty while it may still come. */
export function silenceOf({ nowMillis }: World, pod: KubeObject): string {
  const { name, deletionTimestamp } = pod.metadata;
  const isLong = (since: string | undefined): boolean =>
    deletionTimestamp === undefined && nowMillis - Date.parse(since ?? '') > START_MILLIS_MAX;
  if (isPending(pod)) {
    const placed = conditionAt(pod, 'PodScheduled');
    const isPlaced = textAt(placed, 'status') === 'True';
    if (!isPlaced || !isLong(textAt(placed, 'lastTransitionTime'))) return '';
    return `Pod ${name} has not begun for two minutes: kubectl describe pod ${name} says why`;
  }
  const container = containerOf(pod);
  if (!isLong(textAt(container, 'state', 'running', 'startedAt'))) return '';
  return `Pod ${name} runs, and got nowhere in two minutes: kubectl logs ${name} says why`;
}

/** What keeps Jobs of a component from getting on; empty while nothing does, or not for long. */
export function notDone(world: World, component: 'backup' | 'restore'): string {
  for (const object of world.objects) {
    if (labelsOf(object.metadata)[COMPONENT_LABEL] !== component) continue;
    const { kind } = object;
    const stuck = kind === 'Pod' && isOld(world, object) ? troubleOf(world, '', object) : '';
    if (stuck !== '') return stuck;
    if (kind === 'Pod' && isLate(world, object)) return notBegun(object);
    const over = conditionOf(object, 'Failed') === 'True';
    if (kind === 'Job' && !over && isWithoutPod(world, object, PATIENCE_MILLIS)) {
      return unmade(object);
    }
  }
  return '';
}

/** A volume that does not come, say, is told in events, which the operator has no right to read. */
const isLate = (world: World, pod: KubeObject): boolean =>
  isPending(pod) && ageOf(world, pod) > BEGIN_MILLIS_MAX;

const notBegun = ({ metadata: { name } }: KubeObject): string =>
  `Pod ${name} has not begun for ten minutes: kubectl describe pod ${name} says why`;

/** To the next serving member of the chain, who lacks nothing. */
function handOver(world: World, journal: JournalStatus, id: string): readonly Action[] {
  const to = journal.members.find(
    (one) => one.id !== id && one.live && one.synced && isInChain(one) && isFine(world, one.id),
  );
  if (to === undefined || headOf(journal) !== id) return [];
  const request = { kind: 'moveHead', journal: journal.name, member: to.id } as const;
  const why = `${to.id} is to head journal ${journal.name} while ${id} restarts`;
  return [{ kind: 'order', order: { kind: 'admin', request }, why }];
}

// ── Gates ─────────────────────────────────────────────────────────────────────────────────────

/** Why the process must stay for now, in a sentence; null where it may go. */
function gate(world: World, ledger: Ledger, id: string): string | null {
  if (world.chain.kind === 'unknown') {
    return `the controllers cannot be asked: ${world.chain.reason}`;
  }
  // Nothing is taken away with one that serves nowhere; of two such each would wait for the other.
  if (isAway(world, id)) return null;
  // One whose volume is still to be formatted has no seat yet: it is nobody's quorum.
  const seated = ledger.controllers.filter(({ formatted }) => formatted);
  const others = [...ledger.replicas, ...seated].filter(
    (one) => one.id !== id && one.leaving === '',
  );
  for (const other of others) {
    if (isFine(world, other.id)) continue;
    const note = processOf(world, other.id)?.note ?? '';
    return `${other.id} is not well${note === '' ? '' : `: ${note}`}`;
  }
  for (const journal of journalsWith(world, id)) {
    const wrong = journalGate(journal, id);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** Neither Kubernetes nor the controllers call it well, and it counts for no journal. */
const isAway = (world: World, id: string): boolean =>
  !isReady(podOf(world, id)) &&
  processOf(world, id)?.reachable !== true &&
  journalsWith(world, id).every(({ members }) =>
    members.every((one) => one.id !== id || !(one.live || one.synced)),
  );

/** Everything that is committed must be durable on the others, and they must be whole. */
function journalGate(journal: JournalStatus, id: string): string | null {
  const { name, members } = journal;
  const note = noteOf(journal);
  const others = members.filter((one) => one.id !== id);
  // The only copy: there is nobody to wait for, and no way around the pause.
  if (others.length === 0) return null;
  const committed = Math.max(...members.map(({ committedLsn }) => committedLsn));
  for (const other of others) {
    if (!isInChain(other)) {
      return `${other.id} is still joining journal ${name}`;
    }
    if (!other.live || !other.synced) return `${other.id} does not serve journal ${name}`;
    // How many it lacks changes by itself, and `journal status` tells it.
    if (other.durableLsn < committed) return `${other.id} is behind in journal ${name}`;
  }
  return note === '' || others.length + 1 === members.length ? null : `journal ${name}: ${note}`;
}
