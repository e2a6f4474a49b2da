// Restarts, one pod at a time: what is broken first, heads last, controllers after all replicas.
//
// The controller that proposes changes is the very last, so that the others take over once.
//
// A restart is a deletion of the pod: its StatefulSet starts it again from the new template. The
// first one that does not come back well ends the roll, since its gate says no for all others.

import type { JournalStatus } from '../../transport/public.ts';
import type { KubeObject } from '../kube/api.ts';
import { conditionOf, labelsOf, textAt } from '../kube/fields.ts';
import { COMPONENT_LABEL } from '../manifests/common.ts';
import { gate } from './gate.ts';
import type { Ledger } from './ledger.ts';
import { type Action, type Plan, waiting, working } from './steps.ts';
import {
  claimState,
  headedBy,
  headOf,
  isFine,
  isIdle,
  isOutdated,
  isReady,
  isWithoutPod,
  podOf,
  podTrouble,
  troubleOf,
  unmade,
  type World,
} from './world.ts';

export const PATIENCE_MILLIS = 20_000;
/** An image may be large, and a volume far away. */
const BEGIN_MILLIS_MAX = 600_000;

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
  const all = [...replicas, ...formatted].filter(
    ({ id, leaving }) => leaving === '' && !isWell(world, id) && !isOutdated(world, id),
  );
  const away = all.find(({ id }) => podTrouble(world, id) !== '') ?? all[0];
  if (away === undefined) return null;
  const trouble = podTrouble(world, away.id);
  if (trouble !== '' && isOld(world, podOf(world, away.id))) {
    const message = `${away.id} does not run: ${trouble}`;
    return { actions: [], progress: { kind: 'stalled', reason: 'PodNotRunning', message } };
  }
  const message = `${away.id} is not ready yet${trouble === '' ? '' : `: ${trouble}`}`;
  return { actions: [], progress: waiting('ProcessNotReady', message) };
}

/** Trouble of the first moments often goes away by itself. */
export function isOld({ nowMillis }: World, pod: KubeObject | undefined): boolean {
  const created = Date.parse(pod?.metadata.creationTimestamp ?? '');
  return nowMillis - created > PATIENCE_MILLIS;
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
function isLate({ nowMillis }: World, pod: KubeObject): boolean {
  const created = Date.parse(pod.metadata.creationTimestamp ?? '');
  return textAt(pod, 'status', 'phase') === 'Pending' && nowMillis - created > BEGIN_MILLIS_MAX;
}

const notBegun = ({ metadata: { name } }: KubeObject): string =>
  `Pod ${name} has not begun for ten minutes: kubectl describe pod ${name} says why`;

/** To the next serving member of the chain, who lacks nothing. */
function handOver(world: World, journal: JournalStatus, id: string): readonly Action[] {
  const to = journal.members.find(
    (one) =>
      one.id !== id &&
      one.live &&
      one.synced &&
      !['learner', 'joining'].includes(one.role) &&
      isFine(world, one.id),
  );
  if (to === undefined || headOf(journal) !== id) return [];
  const request = { kind: 'moveHead', journal: journal.name, member: to.id } as const;
  const why = `${to.id} is to head journal ${journal.name} while ${id} restarts`;
  return [{ kind: 'order', order: { kind: 'admin', request }, why }];
}
