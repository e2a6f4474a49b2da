// How a process leaves: its successor comes first, then it is out of every journal, then gone. And
// how all of them end for a while.

import type { JournalStatus } from '../../../transport/public.ts';
import type { KubeObject } from '../../kube/api.ts';
import { labelsOf, numberAt, textAt } from '../../kube/fields.ts';
import { isStale } from '../../manifests/claim.ts';
import { COMPONENT_LABEL, MEMBER_LABEL, namesOf } from '../../manifests/common.ts';
import { controllerAddress, type Process } from '../../manifests/pod.ts';
import type { ControllerEntry, Ledger, ReplicaEntry } from '../ledger.ts';
import { stuck } from '../roll.ts';
import type { Settled } from '../settle.ts';
import { type Action, type Plan, type Progress, stalled, waiting, working } from '../steps.ts';
import {
  claimState,
  find,
  giveUp,
  isBound,
  isEndless,
  isFine,
  isInChain,
  isRunning,
  journalsWith,
  podOf,
  podsOf,
  podTrouble,
  processOf,
  volumeTrouble,
  type World,
} from '../world.ts';

/** Replicas first, one at a time; controllers too, while a replica waits or must stay. */
export function letGo(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const replica = nextOf(
    ledger.replicas,
    ({ ordered }) => ordered,
    ({ by }) => isFine(world, by),
    ({ by }) => stuck(world, by) !== '',
  );
  const first = replica === undefined ? null : letReplicaGo(world, ledger, settled, replica);
  if (first !== null && !isHeldUp(first)) return first;
  const controller = nextOf(ledger.controllers, ({ by }) => isUp(world, ledger, by));
  const second =
    controller === undefined ? null : letControllerGo(world, ledger, settled, controller);
  return second !== null && second.actions.length > 0 ? second : (first ?? second);
}

/** Whether who is to leave stays for now, so that others need not wait for it. */
export const isHeldUp = ({ actions, progress }: Plan): boolean =>
  actions.length === 0 && progress.kind !== 'steady' && progress.reason !== 'Leaving';

/**
 * Those that nobody has to come for go first: they may be in the way of who comes for others. Then
 * who is `ready` in one way or another; who waits for a successor keeps nobody.
 */
function nextOf<Entry extends ReplicaEntry | ControllerEntry>(
  all: readonly Entry[],
  ...ready: readonly ((entry: Entry) => boolean)[]
): Entry | undefined {
  const leaving = all.filter((one) => one.leaving !== '' && !one.removing);
  return [({ by }: Entry) => by === '', ...ready, () => true]
    .map((is) => leaving.find(is))
    .find((one) => one !== undefined);
}

function letReplicaGo(world: World, ledger: Ledger, settled: Settled, entry: ReplicaEntry): Plan {
  const { id, by, leaving, ordered } = entry;
  if (!ordered && by !== '' && !isFine(world, by)) {
    const why = notThere(world, ledger, entry);
    return awaiting(world, by, 'Replacing', `${id} stays until ${by} is there: ${why}`);
  }
  if (!ordered) {
    const why =
      by === '' ? `${id} leaves: ${leaving}` : `${by} takes the place of ${id}: ${leaving}`;
    const request =
      by === ''
        ? ({ kind: 'memberRemove', member: id } as const)
        : ({ kind: 'memberReplace', member: id, by } as const);
    const replicas = ledger.replicas.map((one) =>
      one === entry ? { ...one, ordered: true } : one,
    );
    return {
      actions: [
        { kind: 'order', order: { kind: 'admin', request }, why },
        { kind: 'ledger', ledger: { ...ledger, replicas }, why: '' },
      ],
      progress: working('Leaving', why),
    };
  }
  const inside = journalsWith(world, id);
  const needs = by === '' ? inside.find((journal) => isNeededIn(journal, settled, id)) : null;
  if (needs) return needed(settled, id, needs);
  if (inside.length > 0) {
    const where = inside.map(({ name }) => name).join(', ');
    const message = `${id} is still in ${where}${by === '' ? lostBeside(world, ledger) : ''}`;
    return { actions: [], progress: waiting('Leaving', message) };
  }
  const replicas = ledger.replicas.map((one) => (one === entry ? { ...one, removing: true } : one));
  return out({ ...ledger, replicas }, id);
}

/** Until the process is there; one that does not come by itself is a stall. */
const awaiting = (world: World, id: string, reason: string, message: string): Plan => ({
  actions: [],
  progress: stuck(world, id) === '' ? waiting(reason, message) : stalled('PodNotRunning', message),
});

/** Who is lost meanwhile is replaced after that, and may be missed before: empty for nobody. */
function lostBeside(world: World, { replicas }: Ledger): string {
  const lost = replicas.find((one) => one.leaving === '' && volumeTrouble(world, one) !== '');
  if (lost === undefined) return '';
  const what = `${lost.id}: ${volumeTrouble(world, lost)}`;
  return `, and ${what}: where too few would be left, ask for one replica more`;
}

/** The controllers let nobody go without whom a journal would take no appends. */
function isNeededIn({ members, minReplicas }: JournalStatus, settled: Settled, id: string) {
  const others = members.filter((one) => one.id !== id && isInChain(one));
  return others.length < minReplicas && settled.members < minReplicas;
}

function needed({ members }: Settled, id: string, { name, minReplicas }: JournalStatus): Plan {
  const message =
    `${id} stays: journal ${name} needs ${minReplicas} members, and members is ${members}: ` +
    'ask for as many, or delete that journal';
  return { actions: [], progress: stalled('TooFewMembers', message) };
}

/** Why a successor has not taken over yet, and what to do where it never will. */
function notThere(world: World, { replicas }: Ledger, entry: ReplicaEntry): string {
  const { by } = entry;
  const lost = replicas.some((one) => one.id === by && claimState(world, one) === 'lost');
  const trouble = lost ? 'its volume is lost' : podTrouble(world, by) || stuck(world, by);
  if (trouble === '') return processOf(world, by)?.note ?? 'it has not started yet';
  const orNone = volumeTrouble(world, entry) === '' ? ', or take back what asks for it' : '';
  return `${trouble}; ${giveUp(by)}${orNone}`;
}

function letControllerGo(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: ControllerEntry,
): Plan | null {
  const { id, by, leaving } = entry;
  const seated = processOf(world, id) !== undefined;
  if (seated) {
    // It is being formatted, or starts, and tells of itself: nobody else has to wait for that.
    if (by !== '' && !isUp(world, ledger, by)) return null;
    // Those that leave without a successor leave together: the number stays odd.
    const remove = ledger.controllers
      .filter((one) => one.id === id || (by === '' && one.leaving !== '' && one.by === ''))
      .map((one) => one.id);
    const add = by === '' ? '' : seatOf(settled, by);
    const what = by === '' ? `${remove.join(' and ')} leave` : `${by} takes the place of ${id}`;
    return seating({ remove: remove.join(), add }, `${what}: ${leaving}`);
  }
  const controllers = ledger.controllers.map((one) =>
    one === entry ? { ...one, removing: true } : one,
  );
  return out({ ...ledger, controllers }, id);
}

/** A controller that may be let in. */
export const isUp = (world: World, { controllers }: Ledger, id: string): boolean =>
  controllers.some((one) => one.id === id && one.formatted) && isRunning(podOf(world, id));

const seatOf = (settled: Settled, id: string): string => `${id}=${controllerAddress(settled, id)}`;

function seating(
  { remove, add }: { readonly remove: string; readonly add: string },
  why: string,
): Plan {
  const request = { kind: 'controllerReplace', remove, add } as const;
  return {
    actions: [{ kind: 'order', order: { kind: 'admin', request }, why }],
    progress: working('Replacing', why),
  };
}

/**
 * Controllers that came in addition are let in, all together, once their processes run; not where
 * one of them is being replaced itself, since the number is to stay odd.
 */
export function letIn(world: World, ledger: Ledger, settled: Settled): Plan | null {
  if (world.chain.kind === 'unknown') return null;
  const successors = ledger.controllers.map(({ by }) => by);
  const waitingOnes = ledger.controllers.filter(
    ({ id, leaving, formatted }) =>
      formatted && leaving === '' && !successors.includes(id) && processOf(world, id) === undefined,
  );
  const seated = ledger.controllers.filter(({ id }) => processOf(world, id) !== undefined);
  if (waitingOnes.length === 0 || (seated.length + waitingOnes.length) % 2 === 0) return null;
  const ids = waitingOnes.map(({ id }) => id);
  const away = ids.filter((id) => !isRunning(podOf(world, id)));
  const [first] = away;
  if (first !== undefined) {
    const id = away.find((one) => stuck(world, one) !== '') ?? first;
    const trouble = podTrouble(world, id) || stuck(world, id);
    const message = `${id} does not run${trouble === '' ? ' yet' : `: ${trouble}`}`;
    return awaiting(world, id, 'AddingController', message);
  }
  const add = ids.map((id) => seatOf(settled, id)).join(',');
  return seating({ remove: '', add }, `letting in ${ids.join(' and ')}`);
}

/**
 * Seats of controllers that the ledger does not have and nobody hears: let in a moment before they
 * were given up, while the status did not show it yet.
 */
export function unseat(world: World, { controllers }: Ledger): Plan | null {
  if (world.chain.kind === 'unknown') return null;
  const known: readonly string[] = controllers.map(({ id }) => id);
  const seats = world.chain.status.processes.filter(({ kind }) => kind === 'controller');
  const strange = seats.filter(({ id, reachable }) => !reachable && !known.includes(id));
  const heard = seats.filter(({ reachable }) => reachable);
  const odd = (seats.length - strange.length) % 2 === 1;
  if (strange.length === 0 || !odd || heard.length * 2 <= seats.length) return null;
  const ids = strange.map(({ id }) => id);
  return seating({ remove: ids.join(), add: '' }, `${ids.join(' and ')} left before`);
}

/** Noted before anything is deleted, so that nothing of it is made again. */
const out = (ledger: Ledger, id: string): Plan => ({
  actions: [{ kind: 'ledger', ledger, why: `${id} is out and can go` }],
  progress: working('Leaving', `${id} is out and can go`),
});

/** What is left of those that are out: a step of one of them, or what the first is waiting for. */
export function ending(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const replicas = ends(world, settled, ledger.replicas, (left) => ({ ...ledger, replicas: left }));
  return firstOf([...replicas, ...controllerEnds(world, ledger, settled)]);
}

/** Those that give way to a new set go before that is formatted, so that nobody asks them. */
export const endingControllers = (world: World, ledger: Ledger, settled: Settled): Plan | null =>
  firstOf(controllerEnds(world, ledger, settled));

const controllerEnds = (world: World, ledger: Ledger, settled: Settled): readonly Plan[] =>
  ends(world, settled, ledger.controllers, (left) => ({ ...ledger, controllers: left }));

/** `without` is the ledger in which only these are left. */
const ends = <Entry extends ReplicaEntry | ControllerEntry>(
  world: World,
  settled: Settled,
  all: readonly Entry[],
  without: (left: readonly Entry[]) => Ledger,
): readonly Plan[] =>
  all
    .filter(({ removing }) => removing)
    .map((entry) => {
      const left = all.filter((one) => one !== entry);
      return removal(world, settled, entry.id, without(left));
    });

const firstOf = (plans: readonly Plan[]): Plan | null =>
  plans.find(({ actions }) => actions.length > 0) ?? plans[0] ?? null;

/** The StatefulSet first; the rest when its pod is gone; the ledger last. */
function removal(world: World, settled: Settled, id: string, without: Ledger): Plan {
  const progress = working('Leaving', `removing what belonged to ${id}`);
  const names = namesOf(settled.name);
  const drop = (object: KubeObject): Action => ({
    kind: 'delete',
    object,
    why: `${id} has left`,
    unchanged: object.kind === 'PersistentVolumeClaim',
  });
  const set = find(world, 'StatefulSet', names.process(id));
  if (set !== undefined) {
    const going = set.metadata.deletionTimestamp !== undefined;
    return { actions: going ? [] : [drop(set)], progress };
  }
  const pod = podOf(world, id);
  if (pod !== undefined) return { actions: [], progress: endless(world, id, pod) ?? progress };
  const rest = world.objects.filter((object) => {
    const volume = object.kind === 'PersistentVolumeClaim' && isBound(object);
    return (!volume || !settled.keepVolumes) && object.metadata.labels?.[MEMBER_LABEL] === id;
  });
  const leaf = find(world, 'Secret', names.leaf(id));
  const all = leaf === undefined || rest.includes(leaf) ? rest : [...rest, leaf];
  return { actions: [...all.map(drop), { kind: 'ledger', ledger: without, why: '' }], progress };
}

function endless(world: World, id: string, pod: KubeObject): Progress | null {
  if (!isEndless(pod, world)) return null;
  const node = textAt(pod, 'spec', 'nodeName') ?? 'none';
  const message =
    `Pod ${pod.metadata.name} of ${id}, which has left, does not end on node ${node}: ` +
    `where that is gone for good, kubectl delete node ${node}`;
  return stalled('PodNotEnding', message);
}

/**
 * All end for a while. A volume that is not formatted yet will be after that, and so will be what
 * is to be restored. What has left is not scaled down as the others are: it goes.
 */
export function hibernation(world: World, { replicas, controllers }: Ledger): Plan {
  const names = namesOf(world.cluster.metadata.name);
  const jobs = world.objects.filter(isUnderWay);
  const out = [...replicas, ...controllers].filter(({ removing }) => removing);
  const sets = out.flatMap(({ id }) => find(world, 'StatefulSet', names.process(id)) ?? []);
  const actions = [...sets, ...jobs]
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((object) => ({ kind: 'delete', object, why: 'the cluster is to sleep' }) as const);
  const left = [...jobs, ...podsOf(world)].map(({ metadata }) => metadata.name);
  if (left.length === 0) return { actions, progress: { kind: 'steady' } };
  return { actions, progress: working('Hibernating', `ending ${left.join(', ')}`) };
}

/** A Job that nobody would answer; one that restored what it should has only to be noted. */
function isUnderWay(object: KubeObject): boolean {
  const component = labelsOf(object.metadata)[COMPONENT_LABEL];
  if (object.kind !== 'Job') return false;
  const restores = component === 'restore' && (numberAt(object, 'status', 'succeeded') ?? 0) < 1;
  return component === 'format' || restores;
}

/** Claims of processes that have left, and whose volumes were kept. */
export function retired({ objects: all }: World, { replicas, controllers }: Ledger) {
  const ids: readonly string[] = [...replicas, ...controllers].map(({ id }) => id);
  return all.filter(({ kind, metadata }) => {
    const member = labelsOf(metadata)[MEMBER_LABEL];
    return kind === 'PersistentVolumeClaim' && member !== undefined && !ids.includes(member);
  });
}

/** Claims that never had a volume, and are in the way of those that will, or of nobody. */
export function unbound(
  world: World,
  ledger: Ledger,
  settled: Settled,
  processes: readonly Process[],
): readonly Action[] {
  const stale = processes.flatMap((process) => {
    const name = namesOf(settled.name).claim(process.id);
    const present = find(world, 'PersistentVolumeClaim', name);
    return present !== undefined && isStale(settled, process, present) ? [present] : [];
  });
  return [...stale, ...retired(world, ledger).filter((claim) => !isBound(claim))]
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((object) => {
      const what = `${object.kind} ${object.metadata.name}`;
      const why = `${what} never had a volume, and another is asked for`;
      return { kind: 'delete', object, why, unchanged: true };
    });
}
