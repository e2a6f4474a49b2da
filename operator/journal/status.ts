// The status of a JournalCluster, from what is seen: pure, and the same while nothing changes.
//
// No number in it moves by itself, so that a cluster that is well is never written to. A condition
// keeps the time of its last change as long as its status is the same.

import type { Condition, JournalClusterStatus } from '../crd.ts';
import { quantity } from '../kube/covers.ts';
import { isObject, listAt, textAt } from '../kube/fields.ts';
import { CLUSTER_LABEL, COMPONENT_LABEL, namesOf } from '../manifests/common.ts';
import type { ControllerEntry, Ledger, ReplicaEntry } from './ledger.ts';
import { processState } from './process-state.ts';
import { notDone } from './roll.ts';
import { CLIENT_PORT, placesOf, type Settled, surplus } from './settle.ts';
import { APPLYING, type Progress } from './steps.ts';
import {
  awake,
  claimState,
  find,
  isReady,
  isReplica,
  isToBeRestored,
  journalsOf,
  noteOf,
  podOf,
  podsOf,
  unmadeJournal,
  volumeTrouble,
  type World,
} from './world.ts';

/** What became of this pass. */
export interface Outcome {
  readonly progress: Progress;
  /** Why the pass failed; empty where it did not. */
  readonly error: string;
  /** A change has been under way for longer than it should. */
  readonly overdue: boolean;
  /** Empty: all certificates hold. */
  readonly certificates: string;
  /** Why a volume could not be grown; empty where none had to, or all could. */
  readonly volumes: string;
}

type Finding = readonly [type: string, status: boolean | null, reason: string, message: string];

export function statusOf(
  world: World,
  ledger: Ledger | null,
  asked: Settled | null,
  told: Outcome,
): JournalClusterStatus {
  const { cluster } = world;
  const outcome = { ...told, progress: progressOf(told) };
  const settled = ledger === null || asked === null ? null : asItIs(world, ledger, asked);
  const findings =
    ledger === null || settled === null
      ? unformed(outcome)
      : findingsOf(world, ledger, settled, outcome);
  const before = cluster.status?.conditions ?? [];
  const conditions = findings.map((finding) => condition(world, before, finding));
  const message = messageOf(outcome, findings);
  const base = { observedGeneration: cluster.metadata.generation, message, conditions };
  if (ledger === null || settled === null) return { ...base, mode: 'pending' };
  const replicas = ledger.replicas.map((one) => processState(world, settled, one));
  const controllers = ledger.controllers.map((one) => processState(world, settled, one));
  const serving = replicas.filter(({ state }) => state === 'Serving').length;
  return {
    ...base,
    ...facts(world, settled),
    mode: modeOf(world, settled),
    members: replicas.filter(({ state }) => state === 'Serving' || state === 'Joining').length,
    memberSummary: `${serving}/${settled.hibernate ? 0 : settled.members}`,
    replicas,
    controllers,
  };
}

/** Writing what is refused again and again gets nowhere. */
function progressOf({ progress, volumes }: Outcome): Progress {
  const writes = progress.kind === 'working' && progress.reason === APPLYING;
  if (!writes || volumes === '') return progress;
  return { kind: 'stalled', reason: 'StorageRefused', message: volumes };
}

/** Sleep that `suspend`, or a volume that would go with its pod, holds up is none. */
function asItIs(world: World, ledger: Ledger, settled: Settled): Settled {
  const held = world.cluster.spec.suspend === true && podsOf(world).length > 0;
  return held ? { ...settled, hibernate: false } : awake(world, ledger, settled);
}

function facts(world: World, settled: Settled) {
  const { name, namespace, clusterId, image } = settled;
  const known = world.chain.kind === 'known';
  const { members, replicationFactor, minReplicas, controllers } = settled;
  const zones = [...settled.zones];
  return {
    clusterId,
    endpoint: `${name}.${namespace}.svc:${CLIENT_PORT}`,
    clientSecretName: settled.tls.enabled ? namesOf(name).clientSecret : '',
    selector: `${CLUSTER_LABEL}=${name},${COMPONENT_LABEL}=replica`,
    journals: known ? journalsOf(world).length : (world.cluster.status?.journals ?? 0),
    resolved: { zones, members, replicationFactor, minReplicas, controllers, image },
  };
}

function modeOf(world: World, settled: Settled): string {
  if (settled.hibernate) return podsOf(world).length === 0 ? 'hibernated' : 'hibernating';
  return world.cluster.spec.suspend === true ? 'suspended' : 'chain';
}

/** Nothing was made yet: all there is to say is why. */
function unformed({ progress, error, overdue }: Outcome): readonly Finding[] {
  const stalled = progress.kind === 'stalled' || overdue;
  const why = progress.kind === 'steady' ? '' : progress.message;
  const reason = progress.kind === 'steady' ? 'Pending' : progress.reason;
  return [
    ['Ready', false, reason, why || error],
    ['Progressing', !stalled, reason, why || error],
    ['Reconciling', !stalled, reason, why || error],
    ['Stalled', stalled, stalled ? reason : 'NotStalled', stalled ? why : ''],
  ];
}

function findingsOf(
  world: World,
  ledger: Ledger,
  settled: Settled,
  outcome: Outcome,
): readonly Finding[] {
  return [
    readyFinding(world, ledger, settled, outcome),
    ...progressFindings(outcome),
    degraded(world, ledger, settled),
    chainHealthy(world, settled),
    controllerHealthy(world, ledger, settled),
    zoneSpread(world, ledger, settled),
    resizing(world, outcome),
    certificates(world, settled, outcome),
  ];
}

function readyFinding(
  world: World,
  ledger: Ledger,
  settled: Settled,
  { progress }: Outcome,
): Finding {
  if (settled.hibernate) return notAwake(world);
  if (world.chain.kind === 'unknown') {
    const holds = mayServe(world, settled) ? null : false;
    return ['Ready', holds, 'ControllersUnreachable', world.chain.reason];
  }
  const { status } = world.chain;
  const dark = status.journals.find(({ writable }) => !writable);
  if (dark !== undefined) {
    const message = `journal ${dark.name} takes no appends: ${noteOf(dark)}`;
    return ['Ready', false, 'JournalNotWritable', message];
  }
  if (!status.ready) return ['Ready', false, 'MembersMissing', 'too few replicas answer'];
  if (isToBeRestored(world, ledger)) {
    const message = progress.kind === 'steady' ? '' : progress.message;
    return ['Ready', false, 'Restoring', message];
  }
  const unmade = unmadeJournal(world);
  if (unmade !== undefined) {
    return ['Ready', false, 'CreatingJournal', `journal ${unmade.name} is not there yet`];
  }
  if (
    settled.tls.enabled &&
    find(world, 'Secret', namesOf(settled.name).clientSecret) === undefined
  )
    return ['Ready', false, 'ClientSecretMissing', 'the Secret for clients is not made yet'];
  return ['Ready', true, 'AppendsAccepted', 'appends are accepted'];
}

/** Chains that served go on without controllers, while as many are up as an append needs. */
function mayServe(world: World, { minReplicas }: Settled): boolean {
  const before = world.cluster.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const up = podsOf(world).filter((pod) => isReplica(pod) && isReady(pod));
  return (before === 'True' || before === 'Unknown') && up.length >= minReplicas;
}

function notAwake(world: World): Finding {
  return podsOf(world).length === 0
    ? ['Ready', false, 'Hibernated', 'all processes are ended']
    : ['Ready', false, 'Hibernating', 'all processes are being ended'];
}

function progressFindings({ progress, error, overdue }: Outcome): readonly Finding[] {
  if (error !== '') {
    return [
      ['Progressing', false, 'ReconcileFailed', error],
      ['Reconciling', true, 'ReconcileFailed', error],
      ['Stalled', false, 'Retrying', error],
    ];
  }
  if (progress.kind === 'steady') {
    return [
      ['Progressing', false, 'AsAskedFor', ''],
      ['Reconciling', false, 'AsAskedFor', ''],
      ['Stalled', false, 'NotStalled', ''],
    ];
  }
  const { kind, reason, message } = progress;
  if (kind === 'suspended') {
    return [
      ['Progressing', false, reason, message],
      ['Reconciling', false, reason, message],
      ['Stalled', false, 'NotStalled', ''],
    ];
  }
  const stuck = kind === 'stalled' || overdue;
  const why = overdue && kind !== 'stalled' ? 'ProgressDeadlineExceeded' : reason;
  return [
    ['Progressing', !stuck, why, message],
    ['Reconciling', !stuck, why, message],
    ['Stalled', stuck, stuck ? why : 'NotStalled', stuck ? message : ''],
  ];
}

function degraded(world: World, ledger: Ledger, settled: Settled): Finding {
  const going = [...ledger.replicas, ...ledger.controllers].find(
    (one) => !one.removing && claimState(world, one) === 'going',
  );
  if (going !== undefined) {
    return ['Degraded', true, 'VolumeDeleted', `${going.id}: ${volumeTrouble(world, going)}`];
  }
  // Who sleeps, or is to, does not answer; but what is lost is lost then, too.
  const bad = settled.hibernate ? ['Lost'] : ['Unreachable', 'Lost', 'Refused', 'Failed'];
  const wrong = [...ledger.replicas, ...ledger.controllers]
    .map((entry) => processState(world, settled, entry))
    .find(({ state }) => bad.includes(state));
  if (wrong !== undefined) {
    return ['Degraded', true, `Process${wrong.state}`, `${wrong.id}: ${wrong.message}`];
  }
  if (settled.hibernate) return ['Degraded', false, 'Hibernated', ''];
  const lost = noBackup(world);
  return lost === ''
    ? ['Degraded', false, 'AllWell', '']
    : ['Degraded', true, 'BackupFailing', lost];
}

/** Why backups do not come about; empty while they do, and before the first. */
function noBackup(world: World): string {
  const job = find(world, 'CronJob', namesOf(world.cluster.metadata.name).backup);
  if (job === undefined) return '';
  const stuck = notDone(world, 'backup');
  const begun = textAt(job, 'status', 'lastScheduleTime');
  if (stuck !== '' || begun === undefined) return stuck;
  const done = textAt(job, 'status', 'lastSuccessfulTime');
  const holds = done !== undefined && Date.parse(done) >= Date.parse(begun);
  if (holds || listAt(job, 'status', 'active').length > 0) return '';
  const last = done === undefined ? 'none has succeeded yet' : `the last good one ended ${done}`;
  return (
    `the backup of ${begun} failed, ${last}: kubectl describe cronjob ${job.metadata.name} ` +
    'names its Job'
  );
}

function chainHealthy(world: World, settled: Settled): Finding {
  if (settled.hibernate) return ['ChainHealthy', null, 'Hibernated', ''];
  if (world.chain.kind === 'unknown') {
    return ['ChainHealthy', null, 'ControllersUnreachable', world.chain.reason];
  }
  for (const journal of world.chain.status.journals) {
    const { name, members, writable } = journal;
    const note = noteOf(journal);
    const serving = members.filter(({ role, live }) => live && role !== 'learner');
    if (writable && note === '' && serving.length === members.length) continue;
    const message = `journal ${name}: ${note === '' ? `${serving.length} members serve` : note}`;
    return ['ChainHealthy', false, 'ChainNotWhole', message];
  }
  if (isUnplaced(world)) return ['ChainHealthy', null, 'Pending', NO_REPLICA];
  return ['ChainHealthy', true, 'AllChainsWhole', ''];
}

const NO_REPLICA = 'no replica is on a node';

/** Nothing good is said of replicas of which none was ever placed, or is now. */
function isUnplaced({ chain, objects }: World): boolean {
  const placed = objects.some(
    (one) => one.kind === 'Pod' && isReplica(one) && textAt(one, 'spec', 'nodeName') !== undefined,
  );
  const processes = chain.kind === 'known' ? chain.status.processes : [];
  return !placed && !processes.some(({ kind, reachable }) => kind === 'replica' && reachable);
}

function controllerHealthy(world: World, ledger: Ledger, settled: Settled): Finding {
  if (settled.hibernate) return ['ControllerHealthy', null, 'Hibernated', ''];
  const wanted = settled.controllers;
  if (world.chain.kind === 'unknown') {
    const ready = ledger.controllers.filter(({ id }) => isReady(podOf(world, id))).length;
    const message = `${ready} of ${wanted} are ready: ${world.chain.reason}`;
    return ['ControllerHealthy', ready * 2 > wanted ? null : false, 'Unreachable', message];
  }
  const seats = world.chain.status.processes.filter(({ kind }) => kind === 'controller');
  const away = seats.filter(({ reachable }) => !reachable).map(({ id }) => id);
  if (away.length > 0) {
    const message = `${away.join(', ')} of ${seats.length} do not answer`;
    return ['ControllerHealthy', false, 'ControllerAway', message];
  }
  if (seats.length !== wanted) {
    const message = `${seats.length} controllers are seated, ${wanted} are asked for`;
    return ['ControllerHealthy', false, 'OtherNumber', message];
  }
  return ['ControllerHealthy', true, 'AllAnswer', ''];
}

/** Two replicas on one host fall together. */
function zoneSpread(world: World, ledger: Ledger, settled: Settled): Finding {
  const { zones, members, hibernate } = settled;
  const pods = podsOf(world).filter(isReplica);
  const hosts = pods.map((pod) => textAt(pod, 'spec', 'nodeName')).filter((one) => one);
  const shared = hosts.find((host, index) => hosts.indexOf(host) !== index);
  if (shared !== undefined) {
    return ['ZoneSpread', false, 'SharedHost', `two replicas or more run on ${shared}`];
  }
  if (zones.length > 0 && zones.length < Math.min(members, 3)) {
    return ['ZoneSpread', false, 'FewZones', `${members} replicas in ${zones.length} zones`];
  }
  for (const kind of ['replicas', 'controllers'] as const) {
    const places = placesOf<ReplicaEntry | ControllerEntry>(ledger[kind]);
    const full = places.find(({ zone }) => surplus(zones, places, zone) > 1);
    if (full === undefined) continue;
    const more = surplus(zones, places, full.zone);
    const message = `zone ${full.zone} has ${more} ${kind} more than another that is asked for`;
    return ['ZoneSpread', false, 'Uneven', message];
  }
  if (hibernate) return ['ZoneSpread', null, 'Hibernated', ''];
  return isUnplaced(world)
    ? ['ZoneSpread', null, 'Pending', NO_REPLICA]
    : ['ZoneSpread', true, 'Spread', ''];
}

function resizing(world: World, { volumes }: Outcome): Finding {
  if (volumes !== '') return ['StorageResizing', false, 'Refused', volumes];
  for (const { kind, metadata, spec, status } of world.objects) {
    if (kind !== 'PersistentVolumeClaim' || textAt(status, 'phase') !== 'Bound') continue;
    const asked = quantity(textAt({ spec }, 'spec', 'resources', 'requests', 'storage')) ?? 0;
    const has = quantity(textAt({ status }, 'status', 'capacity', 'storage')) ?? asked;
    if (asked <= has) continue;
    const said = listAt({ status }, 'status', 'conditions').map((one) => textAt(one, 'message'));
    const message = `${metadata.name} grows to ${asked} bytes: ${said.join(' ')}`.trim();
    return ['StorageResizing', true, 'Growing', message];
  }
  return ['StorageResizing', false, 'AsAskedFor', ''];
}

function certificates(world: World, { name, tls }: Settled, outcome: Outcome): Finding {
  if (!tls.enabled) return ['CertificatesValid', null, 'Disabled', 'tls.mode is Disabled'];
  const { certificates: wrong } = outcome;
  if (wrong !== '') return ['CertificatesValid', false, 'CertificateTrouble', wrong];
  const { authority } = namesOf(name);
  return find(world, 'Secret', authority) === undefined
    ? ['CertificatesValid', null, 'Pending', `Secret ${authority} is not made yet`]
    : ['CertificatesValid', true, 'AllHold', ''];
}

function messageOf({ progress, error }: Outcome, findings: readonly Finding[]): string {
  if (error !== '') return error;
  if (progress.kind !== 'steady') return progress.message;
  const [, ready, , message] = findings[0] ?? [];
  return ready === true ? '' : (message ?? '');
}

function condition(
  world: World,
  before: readonly Condition[],
  [type, holds, reason, message]: Finding,
): Condition {
  const status = holds === null ? 'Unknown' : holds ? 'True' : 'False';
  const known = before.find((one) => one.type === type);
  const now = new Date(world.nowMillis).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    type,
    status,
    observedGeneration: world.cluster.metadata.generation,
    lastTransitionTime: known?.status === status ? known.lastTransitionTime : now,
    reason,
    message: message.slice(0, 1024),
  };
}

/** Lists of the status are the operator's alone: what is in excess has to go. */
export function sameLists(status: JournalClusterStatus, present: unknown): boolean {
  const count = (value: unknown): number => (Array.isArray(value) ? value.length : 0);
  const before = isObject(present) ? present : {};
  return (
    count(status.replicas) === count(before.replicas) &&
    count(status.controllers) === count(before.controllers) &&
    count(status.conditions) === count(before.conditions)
  );
}
