// What is seen of one cluster at one moment, and the questions that plan and status ask of it.

import type {
  ClusterStatus,
  JournalStatus,
  MemberStatus,
  ProcessStatus,
} from '../../transport/public.ts';
import { REFUSED_VOLUME } from '../controller/status.ts';
import type { JournalCluster } from '../crd.ts';
import type { KubeObject } from '../kube/api.ts';
import { at, conditionAt, conditionOf, labelsOf, numberAt, textAt } from '../kube/fields.ts';
import { COMPONENT_LABEL, MEMBER_LABEL, namesOf } from '../manifests/common.ts';
import { containerOf } from '../manifests/pod.ts';
import type { Ledger } from './ledger.ts';
import type { Defaults, Settled } from './settle.ts';

export interface World {
  readonly cluster: JournalCluster;
  readonly nowMillis: number;
  readonly defaults: Defaults;
  /** Where the operator's own pods run. */
  readonly operatorNamespace: string;
  readonly ledger: Ledger | null;
  /** Objects that carry the cluster's label, of every kind that is watched. */
  readonly objects: readonly KubeObject[];
  readonly chain: ChainView;
}

/** What the controllers say. Unknown is never "gone": nothing destructive follows from it. */
export type ChainView =
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'known'; readonly status: ClusterStatus };

export function find(
  { objects }: Pick<World, 'objects'>,
  kind: string,
  name: string,
): KubeObject | undefined {
  return objects.find((one) => one.kind === kind && one.metadata.name === name);
}

/** The pod of a process; undefined where there is none, or it is on its way out for good. */
export function podOf(world: World, id: string): KubeObject | undefined {
  return find(world, 'Pod', `${namesOf(world.cluster.metadata.name).process(id)}-0`);
}

export const podsOf = ({ objects }: World): readonly KubeObject[] =>
  objects.filter(
    ({ kind, metadata }) => kind === 'Pod' && labelsOf(metadata)[MEMBER_LABEL] !== undefined,
  );

export const isReplica = (pod: KubeObject): boolean =>
  labelsOf(pod.metadata)[COMPONENT_LABEL] === 'replica';

export const isReady = (pod: KubeObject | undefined): boolean =>
  pod !== undefined &&
  pod.metadata.deletionTimestamp === undefined &&
  conditionOf(pod, 'Ready') === 'True';

/** A pod whose process does not run: it waits for its image, crashes, or has no node. */
export function isIdle(pod: KubeObject | undefined): boolean {
  if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return false;
  const container = containerOf(pod);
  return at(container, 'state', 'running') === undefined;
}

export const isRunning = (pod: KubeObject | undefined): boolean =>
  pod !== undefined && pod.metadata.deletionTimestamp === undefined && !isIdle(pod);

/** Whether the pod runs an older template than its StatefulSet has; false while that is unknown. */
export function isOutdated(world: World, id: string): boolean {
  const set = find(world, 'StatefulSet', namesOf(world.cluster.metadata.name).process(id));
  const pod = podOf(world, id);
  if (set === undefined || pod === undefined) return false;
  if (numberAt(set, 'status', 'observedGeneration') !== set.metadata.generation) return false;
  const wanted = textAt(set, 'status', 'updateRevision');
  const present = labelsOf(pod.metadata)['controller-revision-hash'];
  return wanted !== undefined && present !== undefined && wanted !== present;
}

/** `going`: somebody deleted it, and it is there for as long as its pod is. */
export type ClaimState = 'unmade' | 'present' | 'going' | 'lost';

/** Whether the volume that a process was made with is still there. */
export function claimState(
  world: World,
  { id, claimUid }: { readonly id: string; readonly claimUid: string },
): ClaimState {
  if (claimUid === '') return 'unmade';
  const name = namesOf(world.cluster.metadata.name).claim(id);
  const claim = find(world, 'PersistentVolumeClaim', name);
  if (claim === undefined || claim.metadata.uid !== claimUid) return 'lost';
  if (textAt(claim, 'status', 'phase') === 'Lost') return 'lost';
  return claim.metadata.deletionTimestamp === undefined ? 'present' : 'going';
}

/**
 * Whether somebody made the claim again on the volume that was kept, and the process, which knows
 * its volume, serves from it.
 */
export function isMadeAgain(world: World, id: string, claim: KubeObject | undefined): boolean {
  const pod = podOf(world, id);
  if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return false;
  // A pod begins on a node once its claim is there: one that began before has another volume.
  const begun = Date.parse(textAt(pod, 'status', 'startTime') ?? '');
  const made = Date.parse(claim.metadata.creationTimestamp ?? '');
  return begun >= made && isReady(pod) && isFine(world, id);
}

/** What is wrong with the volume that a process was made with; empty while it stays. */
export function volumeTrouble(
  world: World,
  entry: { readonly id: string; readonly claimUid: string },
): string {
  const state = claimState(world, entry);
  if (state === 'going') return 'its volume is being deleted, and goes with its pod';
  return state === 'lost' ? 'its volume is lost' : '';
}

/** A cluster does not fall asleep, or wakes up again, while a volume would go with its pod. */
export function awake(world: World, { replicas, controllers }: Ledger, settled: Settled): Settled {
  const goes = [...replicas, ...controllers].some((one) => {
    const pod = podOf(world, one.id);
    const runs = pod !== undefined && pod.metadata.deletionTimestamp === undefined;
    return runs && claimState(world, one) === 'going';
  });
  return goes ? { ...settled, hibernate: false } : settled;
}

/** Whether a claim has, or had, a volume: one that never had any holds nothing. */
export const isBound = (claim: KubeObject | undefined): boolean =>
  (textAt(claim, 'spec', 'volumeName') ?? '') !== '' ||
  ['Bound', 'Lost'].includes(textAt(claim, 'status', 'phase') ?? '');

export const journalsOf = ({ chain }: World): readonly JournalStatus[] =>
  chain.kind === 'known' ? chain.status.journals : [];

/** After the time that a pod is given to end in; its node may be away for a moment. */
const END_MILLIS_MAX = 60_000;

/** A pod that its node does not end: nobody else takes it away, since it may still run there. */
export const isEndless = (pod: KubeObject | undefined, { nowMillis }: World): boolean =>
  nowMillis - Date.parse(pod?.metadata.deletionTimestamp ?? '') > END_MILLIS_MAX;

interface Leaving {
  readonly id: string;
  readonly leaving: string;
  readonly removing: boolean;
}

/** Out, and on a node that never ends it: it holds nobody up. */
export const isGone = (world: World, { id, removing }: Leaving): boolean =>
  removing && isEndless(podOf(world, id), world);

/** Whether somebody is about to leave. */
export const leaves =
  (world: World) =>
  (entry: Leaving): boolean =>
    entry.leaving !== '' && !isGone(world, entry);

/** Until then nobody is to write: a restore leaves alone what is there. */
export const isToBeRestored = ({ cluster }: World, { restored }: Ledger): boolean =>
  cluster.spec.restore !== undefined && !restored;

/** One that the spec names and the controllers do not know. */
export function unmadeJournal(world: World) {
  const known = new Set(journalsOf(world).map(({ name }) => name));
  return (world.cluster.spec.journals ?? []).find(({ name }) => !known.has(name));
}

export function processOf(world: World, id: string): ProcessStatus | undefined {
  if (world.chain.kind === 'unknown') return undefined;
  return world.chain.status.processes.find((one) => one.id === id);
}

/** Its volume is there, and is not the one that the registers name; empty where that is not so. */
export function refusedVolume(world: World, id: string): string {
  const process = processOf(world, id);
  const refused = process?.reachable === false && process.note.startsWith(REFUSED_VOLUME);
  return refused ? process.note : '';
}

/** Up, heard by the controllers, and nothing is wrong with it. */
export function isFine(world: World, id: string): boolean {
  const process = processOf(world, id);
  return process?.reachable === true && process.note === '';
}

/** Why a journal is not well, without the number of free bytes, which changes by itself. */
export const noteOf = ({ note }: Pick<JournalStatus, 'note'>): string =>
  note.replace(/ \(the disk has \d+ bytes free[^)]*\)/, '');

/** Journals that name the member, as one of the chain or as a learner. */
export const journalsWith = (world: World, id: string): readonly JournalStatus[] =>
  journalsOf(world).filter(({ members }) => members.some((one) => one.id === id));

/** One of the chain: it has the whole log, or it would not be there. */
export const isInChain = ({ role }: MemberStatus): boolean =>
  role !== 'learner' && role !== 'joining';

export const headOf = ({ members }: JournalStatus): string | undefined =>
  members.find(isInChain)?.id;

export const headedBy = (world: World, id: string): readonly JournalStatus[] =>
  journalsOf(world).filter((journal) => headOf(journal) === id);

/** Annotations by which people ask for what no field can say. */
export const ASK = {
  /** Ids of replicas or controllers, with commas: a new one is to take the place of each. */
  replace: 'journal.dev/replace',
  /**
   * Any new word: a majority of the controllers is lost for good, new ones are to take over.
   * `WORD,accept-loss`: although volumes of replicas that served cannot be read.
   */
  recover: 'journal.dev/recover-controllers',
  /** Any new word: the authority is to be made anew. */
  rotate: 'journal.dev/rotate-authority',
} as const;

/** What to do where a volume does not come back. */
export const giveUp = (id: string): string => `to give it up, annotate with ${ASK.replace}=${id}`;

export const askedFor = (world: World, id: string): boolean => askedOf(world).includes(id);

/** Who is to be replaced. */
export function askedOf({ cluster }: World): readonly string[] {
  const asked = cluster.metadata.annotations?.[ASK.replace] ?? '';
  return asked
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** What is to be replaced and never was: most often a slip. Empty where there is no such name. */
export function unknownAsked(world: World, ledger: Ledger): string {
  const { nextReplica, nextController, replicas, controllers } = ledger;
  const wasMade = (id: string): boolean => {
    const [, kind, number] = /^(replica|controller)-([1-9][0-9]{0,8})$/.exec(id) ?? [];
    return Number(number) < (kind === 'replica' ? nextReplica : nextController);
  };
  const unknown = askedOf(world).find((id) => !wasMade(id));
  if (unknown === undefined) return '';
  const there = [...replicas, ...controllers].map(({ id }) => id).join(', ');
  return `${ASK.replace} names ${JSON.stringify(unknown)}, allowed is what is there: ${there}`;
}

/** Why the pod of a process does not run, as Kubernetes says it; empty while it merely starts. */
export function podTrouble(world: World, id: string): string {
  const pod = podOf(world, id);
  if (pod !== undefined) return troubleOf(world, id, pod);
  const set = find(world, 'StatefulSet', namesOf(world.cluster.metadata.name).process(id));
  const asked = (numberAt(set, 'spec', 'replicas') ?? 1) > 0;
  const seen = numberAt(set, 'status', 'observedGeneration') === set?.metadata.generation;
  const none = seen && numberAt(set, 'status', 'replicas') === 0;
  return set !== undefined && asked && none ? unmade(set) : '';
}

/** Whether Kubernetes has taken the Job up for a while and has made no pod of it. */
export function isWithoutPod({ nowMillis }: World, job: KubeObject, patienceMillis: number) {
  const begun = Date.parse(textAt(job, 'status', 'startTime') ?? '');
  const counts = ['active', 'succeeded', 'failed'] as const;
  const none = counts.every((count) => (numberAt(job, 'status', count) ?? 0) === 0);
  return none && nowMillis - begun > patienceMillis;
}

/** When a Job gave up, in milliseconds, and how Kubernetes says it; null where it did not. */
export function failureOf(job: KubeObject | undefined) {
  const failed = conditionAt(job, 'Failed');
  if (textAt(failed, 'status') !== 'True') return null;
  const atMillis = Date.parse(textAt(failed, 'lastTransitionTime') ?? '') || 0;
  return { atMillis, message: textAt(failed, 'message') ?? 'it failed' };
}

/** Whatever refuses a pod says so in an event, which the operator has no right to read. */
export const unmade = ({ kind, metadata: { name } }: KubeObject): string =>
  `no Pod of ${kind} ${name} is made: kubectl describe ${kind.toLowerCase()} ${name} says why, ` +
  'such as a quota or a policy';

/** The same of any pod that is made for a process: that which formats, too. */
export function troubleOf(world: World, id: string, pod: KubeObject): string {
  const unscheduled = conditionAt(pod, 'PodScheduled');
  if (textAt(unscheduled, 'status') === 'False') {
    const why = textAt(unscheduled, 'message') ?? 'it has no node';
    return `Pod ${pod.metadata.name}: ${why}${unboundClaim(world, id, why)}`;
  }
  const container = containerOf(pod);
  const reason = textAt(container, 'state', 'waiting', 'reason') ?? '';
  if (isCrashing(world, pod, container, reason)) {
    // In the same words while it waits and while it runs once more.
    return `Pod ${pod.metadata.name}: ${CRASHES}: ${lastWords(container)}`;
  }
  if (!['', CRASHES, 'ContainerCreating', 'PodInitializing'].includes(reason)) {
    const said = textAt(container, 'state', 'waiting', 'message');
    const ended = endOf(container) === undefined ? undefined : lastWords(container);
    const parts = [reason, said, ended].filter((part) => part !== undefined);
    return [`Pod ${pod.metadata.name}`, ...parts].join(': ');
  }
  return '';
}

const CRASHES = 'CrashLoopBackOff';
/** What ends so soon after its start did not serve, and will end so again. */
const SHORT_MILLIS = 30_000;
const WORDS_MAX = 300;

const endOf = (container: unknown): unknown =>
  at(container, 'state', 'terminated') ?? at(container, 'lastState', 'terminated');

/** Between two back-offs a process runs, or has just ended: that does not make it well. */
function isCrashing(
  { nowMillis }: World,
  pod: KubeObject,
  container: unknown,
  reason: string,
): boolean {
  if (reason === CRASHES) return true;
  const over = ['Failed', 'Succeeded'].includes(textAt(pod, 'status', 'phase') ?? '');
  const goes = pod.metadata.deletionTimestamp !== undefined;
  if (over || goes || reason !== '' || isReady(pod)) return false;
  const end = endOf(container);
  const done = numberAt(end, 'exitCode') === 0 && textAt(pod, 'spec', 'restartPolicy') !== 'Always';
  // What runs for a while now has got over how it ended once.
  const since = Date.parse(textAt(container, 'state', 'running', 'startedAt') ?? '');
  if (done || nowMillis - since > SHORT_MILLIS) return false;
  const lived =
    Date.parse(textAt(end, 'finishedAt') ?? '') - Date.parse(textAt(end, 'startedAt') ?? '');
  return lived < SHORT_MILLIS;
}

/** How a container ended, and what it said at the end. */
function lastWords(container: unknown): string {
  const end = endOf(container);
  const text = textAt(end, 'message')?.trim() ?? '';
  const line = text.split('\n').at(-1) ?? '';
  const code = numberAt(end, 'exitCode');
  if (code === undefined) return textAt(container, 'state', 'waiting', 'message') ?? 'it ended';
  return `it ended with code ${code}${line === '' ? '' : `: ${line.slice(0, WORDS_MAX)}`}`;
}

/** The scheduler does not name the class that a claim waits for, and why is its message. */
function unboundClaim(world: World, id: string, why: string): string {
  const name = namesOf(world.cluster.metadata.name).claim(id);
  const claim = find(world, 'PersistentVolumeClaim', name);
  if (claim === undefined || isBound(claim)) return '';
  const given = textAt(claim, 'spec', 'storageClassName') ?? '';
  const className = given === '' ? 'the default StorageClass' : `StorageClass ${given}`;
  const found = `; its claim ${name} of ${className} is not bound`;
  if (!/storageclass|unbound immediate/i.test(why)) return found;
  // Where one of its kind has a volume the class is right, or was.
  const component = labelsOf(claim.metadata)[COMPONENT_LABEL];
  const some = world.objects.some(
    (one) =>
      one.kind === 'PersistentVolumeClaim' &&
      labelsOf(one.metadata)[COMPONENT_LABEL] === component &&
      isBound(one),
  );
  const again = ', or delete the JournalCluster and apply it again with another className';
  return `${found}: make the class${some ? '' : again}`;
}
