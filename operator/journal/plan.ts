// What to do next, from what is seen: pure, so that text scenarios test it.
//
// Objects first, then formatting, then members that come, members that leave, journals, restarts.
// What repairs is done at once; of what takes something away, one at a time. Where the controllers
// cannot be asked nothing is taken away.

import type { KubeObject } from '../kube/api.ts';
import { conditionOf, numberAt } from '../kube/fields.ts';
import { account } from '../manifests/account.ts';
import { budget } from '../manifests/budget.ts';
import { asLarge, claim, isStale, retiredClaim } from '../manifests/claim.ts';
import { groupName, namesOf } from '../manifests/common.ts';
import { authorization } from '../manifests/configmap.ts';
import { backupJob, restoreJob } from '../manifests/cronjob.ts';
import { podMonitor } from '../manifests/monitor.ts';
import type { Process } from '../manifests/pod.ts';
import { networkPolicy } from '../manifests/policy.ts';
import { clientService, controllersService, processService } from '../manifests/service.ts';
import { statefulSet } from '../manifests/statefulset.ts';
import { formatting, inputs } from './format.ts';
import type { Ledger } from './ledger.ts';
import {
  ending,
  endingControllers,
  hibernation,
  isHeldUp,
  letGo,
  letIn,
  retired,
  unbound,
  unseat,
} from './members/leave.ts';
import { lost, majorityLost, refused } from './members/lost.ts';
import { heldBack, leftBefore, recovering } from './members/recovery.ts';
import { notBack, notDone, restartIdle, roll } from './roll.ts';
import type { Settled } from './settle.ts';
import {
  type Action,
  APPLYING,
  changesOwner,
  ensure,
  leftOut,
  type Plan,
  waiting,
  working,
} from './steps.ts';
import {
  awake,
  claimState,
  failureOf,
  find,
  isBound,
  isFine,
  isInChain,
  isReplica,
  isToBeRestored,
  journalsOf,
  podsOf,
  podTrouble,
  unmadeJournal,
  type World,
} from './world.ts';

const BACKUPS_DEFAULT = 7;

export function plan(world: World, ledger: Ledger, asked: Settled): Plan {
  const settled = awake(world, ledger, asked);
  const shape = objects(world, ledger, settled);
  const format = (): Plan | null => formatting(world, ledger, settled);
  const later =
    (settled.hibernate ? hibernation(world, ledger) : null) ??
    recovering(world, ledger, settled, format) ??
    // Without controllers nothing else can be done; those that come later hold nobody up.
    (ledger.formatted
      ? beside(format(), next(world, ledger, settled))
      : (endingControllers(world, ledger, settled) ?? format()));
  if (later === null) {
    if (shape.length === 0) return { actions: [], progress: leftOut(world, ledger, settled) };
    return { actions: shape, progress: working(APPLYING, applyingText(shape)) };
  }
  return { actions: [...shape, ...later.actions], progress: later.progress };
}

/** The first is told: where something changes back what is written, that says what it is. */
function applyingText(actions: readonly Action[]): string {
  const [first] = actions;
  return `writing ${actions.length} objects${first === undefined ? '' : `: ${first.why}`}`;
}

/** What a cluster that was formatted needs next; null for nothing. */
function next(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const coming = letIn(world, ledger, settled);
  const ready = coming !== null && coming.actions.length > 0 ? coming : null;
  const rest =
    restartIdle(world, ledger) ??
    silent(world, ledger) ??
    grants(world, ledger) ??
    leftBefore(world, ledger) ??
    unseat(world, ledger) ??
    ready ??
    meanwhile(ending(world, ledger, settled), () => going(world, ledger, settled));
  return ready === null ? beside(coming, rest) : rest;
}

/** Who leaves, then all else: who waits for a successor, or is needed, holds up restarts alone. */
function going(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const first = letGo(world, ledger, settled);
  if (first !== null && !isHeldUp(first)) return first;
  const urgent = lost(world, ledger) ?? refused(world, ledger);
  const rest =
    urgent ??
    starting(world, ledger) ??
    restore(world, ledger, settled) ??
    journals(world, ledger, settled) ??
    (first === null ? roll(world, ledger) : null);
  if (first === null || rest === null) return first ?? rest;
  const tells = rest.progress.kind === 'stalled' && first.progress.kind !== 'stalled';
  return urgent !== null || tells || rest.actions.length > 0 ? rest : first;
}

/** Who does not end holds nobody up, and is told where there is nothing else to tell. */
function meanwhile(first: Plan | null, rest: () => Plan | null): Plan | null {
  return first === null || first.progress.kind === 'stalled' ? (rest() ?? first) : first;
}

/** Who comes, and the rest; told is what gets on, or what is stuck. */
function beside(coming: Plan | null, rest: Plan | null): Plan | null {
  if (coming === null || rest === null) return coming ?? rest;
  const telling = rest.actions.length > 0 || rest.progress.kind === 'stalled' ? rest : coming;
  return { actions: [...coming.actions, ...rest.actions], progress: telling.progress };
}

const processesOf = ({
  replicas,
  controllers,
}: Ledger): readonly (Process & { claimUid: string })[] => [
  ...controllers
    .filter(({ removing }) => !removing)
    .map((one) => ({ ...one, component: 'controller' as const })),
  ...replicas
    .filter(({ removing }) => !removing)
    .map((one) => ({ ...one, component: 'replica' as const })),
];

/** Everything that is simply to be there. */
function objects(world: World, ledger: Ledger, settled: Settled): readonly Action[] {
  const { operatorNamespace, defaults } = world;
  // What outlives the JournalCluster comes first: whether it goes with it must hold at once.
  const wanted: KubeObject[] = [...volumes(world, ledger, settled)];
  wanted.push(account(settled), clientService(settled));
  wanted.push(controllersService(settled));
  if (settled.tls.enabled) wanted.push(authorization(settled));
  wanted.push(budget(settled, 'replica', spare(world, settled)), budget(settled, 'controller'));
  if (settled.networkPolicy.enabled) {
    for (const component of ['replica', 'controller'] as const) {
      const present = find(world, 'NetworkPolicy', groupName(settled.name, component));
      wanted.push(networkPolicy(settled, component, operatorNamespace, present));
    }
  }
  if (settled.podMonitor && defaults.podMonitors !== null) {
    wanted.push(podMonitor(settled, defaults.podMonitors));
  }
  for (const process of processesOf(ledger)) {
    wanted.push(processService(settled, process));
  }
  return [
    ...wanted.flatMap((object) => ensure(world, object)),
    ...backups(world, ledger, settled),
    ...obsolete(world, settled),
    ...unbound(world, ledger, settled, processesOf(ledger)),
    ...processesOf(ledger).flatMap((process) => running(world, ledger, settled, process)),
  ];
}

/**
 * How many replicas a drain may take: none while a journal is being copied and takes no appends
 * without any of the members that have all of it. As before while that cannot be known.
 */
function spare(world: World, settled: Settled): 0 | 1 {
  if (world.chain.kind === 'unknown') {
    const present = find(world, 'PodDisruptionBudget', namesOf(settled.name).replicas);
    return numberAt(present, 'spec', 'maxUnavailable') === 0 ? 0 : 1;
  }
  const none = journalsOf(world).some(({ members, minReplicas }) => {
    const whole = members.filter(isInChain).length;
    const needed = minReplicas > 0 ? minReplicas : settled.minReplicas;
    return whole < members.length && whole - 1 < needed;
  });
  return none ? 0 : 1;
}

/** The claims of all processes, and those of which the volume is left. */
function volumes(world: World, ledger: Ledger, settled: Settled): readonly KubeObject[] {
  const wanted = processesOf(ledger).flatMap((process) => {
    // A claim that is lost is not made again: what came in its place would be empty.
    const present = find(world, 'PersistentVolumeClaim', namesOf(settled.name).claim(process.id));
    const stale = present !== undefined && isStale(settled, process, present);
    if (claimState(world, process) === 'lost' || stale) return [];
    return [claim(settled, process, present)];
  });
  const left = retired(world, ledger).filter(isBound);
  return [...wanted, ...left.map((present) => retiredClaim(settled, present))];
}

/**
 * Volumes of which it has changed whether they go with the JournalCluster: that holds while it is
 * suspended, too, since its deletion asks nobody. They grow no further by it.
 */
export function disowned(world: World, ledger: Ledger, settled: Settled): readonly Action[] {
  return volumes(world, ledger, settled).flatMap((wanted) => {
    const present = find(world, wanted.kind, wanted.metadata.name);
    if (present === undefined || !changesOwner(world, ledger, wanted)) return [];
    return ensure(world, asLarge(wanted, present));
  });
}

/** Made anew where a run of another spec never begins, and so keeps all later ones away. */
function backups(world: World, ledger: Ledger, settled: Settled): readonly Action[] {
  const { backup } = world.cluster.spec;
  if (backup === undefined) return [];
  const wanted = backupJob(
    settled,
    { ...backup, keep: backup.keep ?? BACKUPS_DEFAULT },
    isToBeRestored(world, ledger),
  );
  const present = find(world, wanted.kind, wanted.metadata.name);
  const was = present === undefined ? undefined : inputs(present);
  const stuck = was === undefined || was === inputs(wanted) ? '' : notDone(world, 'backup');
  if (present === undefined || stuck === '') return ensure(world, wanted);
  const why = `backups are to be made by other pods: ${stuck}`;
  return [{ kind: 'delete', object: present, why }];
}

/** What was asked for once and no more. */
function obsolete(world: World, settled: Settled): readonly Action[] {
  const names = namesOf(settled.name);
  const gone: (readonly [boolean, string, string])[] = [
    [!settled.networkPolicy.enabled, 'NetworkPolicy', names.replicas],
    [!settled.networkPolicy.enabled, 'NetworkPolicy', names.controllers],
    [!settled.podMonitor, 'PodMonitor', settled.name],
    [world.cluster.spec.backup === undefined, 'CronJob', names.backup],
  ];
  return gone.flatMap(([unwanted, kind, name]) => {
    const object = unwanted ? find(world, kind, name) : undefined;
    if (object === undefined) return [];
    return [{ kind: 'delete', object, why: `${kind} ${name} is no longer asked for` } as const];
  });
}

/** The StatefulSet of a process; controllers start only on a volume that was formatted. */
function running(
  world: World,
  ledger: Ledger,
  settled: Settled,
  process: Process,
): readonly Action[] {
  const { id, component } = process;
  if (component === 'controller') {
    const entry = ledger.controllers.find((one) => one.id === id);
    if (!ledger.formatted || entry?.formatted !== true) return [];
  }
  const present = find(world, 'StatefulSet', namesOf(settled.name).process(id));
  // Replicas end first, while somebody still answers for them.
  const replicasUp = podsOf(world).some(isReplica);
  const early = component === 'controller' && settled.hibernate && replicasUp;
  const wish = early ? { ...settled, hibernate: false } : settled;
  return ensure(world, statefulSet(wish, process, present));
}

/** Until the controllers answer. */
function silent(world: World, ledger: Ledger): Plan | null {
  if (world.chain.kind === 'known') return null;
  // First, since pods without their volumes do not run either, and that says less.
  const gone = ledger.controllers.filter((one) => claimState(world, one) === 'lost');
  if (gone.length * 2 > ledger.controllers.length) return majorityLost(gone.map(({ id }) => id));
  const stuck = notBack(world, ledger);
  if (stuck?.progress.kind === 'stalled') return stuck;
  const unmade = unmadeOf(world, ledger.controllers);
  const why = `${world.chain.reason}${unmade}${heldBack(world, ledger)}`;
  const message = `the controllers cannot be asked: ${why}`;
  return { actions: [], progress: waiting('ControllersUnreachable', message) };
}

/** What keeps the pod of one of them from running; empty while nothing does. */
function unmadeOf(world: World, processes: readonly { readonly id: string }[]): string {
  const found = processes.find(({ id }) => podTrouble(world, id) !== '');
  return found === undefined ? '' : `; ${podTrouble(world, found.id)}`;
}

/** Until a replica is known to them; what is stuck is told, and a new template goes on. */
function starting(world: World, ledger: Ledger): Plan | null {
  const { replicas } = ledger;
  const some = replicas.some(({ id }) => isFine(world, id));
  if (world.chain.kind === 'unknown' || some || world.chain.status.ready) return null;
  const rolled = roll(world, ledger);
  if (rolled !== null && (rolled.actions.length > 0 || rolled.progress.kind === 'stalled')) {
    return rolled;
  }
  const message = `no replica answers the controllers${unmadeOf(world, replicas)}`;
  return { actions: [], progress: waiting('ReplicasStarting', message) };
}

/** Members that came after the format are let in by an order. */
function grants(world: World, ledger: Ledger): Plan | null {
  const entry = ledger.replicas.find(({ granted }) => !granted);
  if (entry === undefined || world.chain.kind === 'unknown') return null;
  const { id, zone } = entry;
  const why = `${id} is let in, in zone ${zone}`;
  const request = { kind: 'memberAdd', member: id, zone } as const;
  const replicas = ledger.replicas.map((one) => (one === entry ? { ...one, granted: true } : one));
  return {
    actions: [
      { kind: 'order', order: { kind: 'admin', request }, why },
      { kind: 'ledger', ledger: { ...ledger, replicas }, why: '' },
    ],
    progress: working('AddingMember', why),
  };
}

/** Before any journal is made: a restore leaves alone what is there. */
function restore(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const wish = world.cluster.spec.restore;
  if (wish === undefined || !isToBeRestored(world, ledger)) return null;
  const job = find(world, 'Job', namesOf(settled.name).restore);
  const progress = working('Restoring', `importing ${wish.path} of claim ${wish.claimName}`);
  const wanted = restoreJob(settled, wish);
  if (job === undefined) return { actions: ensure(world, wanted), progress };
  if ((numberAt(job, 'status', 'succeeded') ?? 0) > 0) {
    const why = `restored ${wish.path}`;
    const done: Action = { kind: 'ledger', ledger: { ...ledger, restored: true }, why };
    return { actions: [done, { kind: 'delete', object: job, why }], progress };
  }
  const { name } = job.metadata;
  if (inputs(job) !== undefined && inputs(job) !== inputs(wanted)) {
    const why = 'it is to be imported by another pod';
    const going = job.metadata.deletionTimestamp !== undefined;
    return { actions: going ? [] : [{ kind: 'delete', object: job, why }], progress };
  }
  if (conditionOf(job, 'Failed') !== 'True') {
    const stuck = notDone(world, 'restore');
    if (stuck === '') return { actions: [], progress };
    const message = `Job ${name} does not get on: ${stuck}`;
    return { actions: [], progress: { kind: 'stalled', reason: 'PodNotRunning', message } };
  }
  const why = failureOf(job)?.message ?? 'it failed';
  const message = `Job ${name}: ${why}: delete it, and what it lacks is told of its next pods`;
  return { actions: [], progress: { kind: 'stalled', reason: 'RestoreFailed', message } };
}

/** Once as many replicas as it needs are there to make it of: who is missing is told until then. */
function journals(world: World, { replicas }: Ledger, settled: Settled): Plan | null {
  if (world.chain.kind === 'unknown') return null;
  const missing = unmadeJournal(world);
  const fine = replicas.filter(({ id }) => isFine(world, id));
  if (missing === undefined || fine.length < settled.minReplicas) return null;
  const { name, retainSeconds = 0, retainBytes = 0 } = missing;
  const { replicationFactor, minReplicas } = settled;
  const settings = {
    replicationFactor,
    minReplicas,
    retainMillis: retainSeconds * 1000,
    retainBytes,
  };
  const why = `journal ${name} is asked for`;
  return {
    actions: [{ kind: 'order', order: { kind: 'createJournal', name, settings }, why }],
    progress: working('CreatingJournal', why),
  };
}
