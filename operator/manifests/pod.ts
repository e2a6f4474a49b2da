// The pod of a replica or a controller: restricted, without a token, tied to its zone and volume.
//
// It starts and serves with the API server down: who it is, whom it meets and where it lies come
// from its flags and its volume. Nothing here depends on how many members or controllers there are,
// so that scaling restarts nobody.

import type { Affinity, PodTemplate, Resources } from '../crd.ts';
import { CLIENT_PORT, CONTROLLER_PORT, PROBE_PORT, type Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { at, isObject, listAt, textAt } from '../kube/fields.ts';
import {
  COMPONENT_LABEL,
  type Component,
  labelsFor,
  MEMBER_LABEL,
  namesOf,
  selectorFor,
  serverName,
  ZONE_LABEL,
} from './common.ts';

export const ZONE_NODE_LABEL = 'topology.kubernetes.io/zone';
const HOST_NODE_LABEL = 'kubernetes.io/hostname';

const USER = 65_532;
const DATA = '/var/lib/journal';
const TLS = '/etc/journal/tls';
const AUTHORIZATION = '/etc/journal/authorization';

type Patience = readonly [periodSeconds: number, timeoutSeconds: number, failureThreshold: number];

// A long recovery of a volume is no failure, and neither is a machine that has no time: a restart
// would cost more of it. Liveness ends only a process that has answered nothing for five minutes.
const STARTUP: Patience = [1, 10, 900];
const LIVENESS: Patience = [15, 15, 20];
const READINESS: Patience = [1, 5, 3];

/** A process of the cluster: what its pod is made for. */
export interface Process {
  readonly component: Component;
  readonly id: string;
  readonly zone: string;
}

export const portOf = (component: Component): number =>
  component === 'replica' ? CLIENT_PORT : CONTROLLER_PORT;

/** Where controllers are reached by replicas, however many there are. */
export const controllersAddress = ({ name, namespace }: Settled): string =>
  `${namesOf(name).controllers}.${namespace}.svc:${CONTROLLER_PORT}`;

export const controllerAddress = ({ name, namespace }: Settled, id: string): string =>
  `${namesOf(name).process(id)}.${namespace}.svc:${CONTROLLER_PORT}`;

export function podTemplate(settled: Settled, process: Process): Record<string, unknown> {
  const template =
    process.component === 'replica' ? settled.podTemplate : settled.controllerTemplate;
  return {
    metadata: {
      labels: { ...template.labels, ...podLabels(settled, process) },
      annotations: { ...template.annotations },
    },
    spec: {
      ...podBase(settled, template),
      affinity: affinity(settled, process, template.affinity),
      nodeSelector: { ...template.nodeSelector },
      tolerations: tolerations(template),
      containers: [container(settled, process, template)],
      volumes: volumes(settled, process),
    },
  };
}

export const podLabels = (settled: Settled, { component, id, zone }: Process) => ({
  ...labelsFor(settled.name),
  ...selectorFor(settled.name, component),
  [COMPONENT_LABEL]: component,
  [MEMBER_LABEL]: id,
  [ZONE_LABEL]: zone,
});

/** Of the pods of Jobs: the operator's labels win over those of the template. */
export const jobMetadata = (
  { labels, annotations }: PodTemplate,
  own: Readonly<Record<string, string>>,
) => ({
  labels: { ...labels, ...own },
  ...(annotations === undefined ? {} : { annotations }),
});

/** What every pod of the cluster has, jobs included. */
export function podBase(settled: Settled, template: PodTemplate): Record<string, unknown> {
  return {
    serviceAccountName: namesOf(settled.name).account,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: template.terminationGracePeriodSeconds ?? 30,
    ...(template.priorityClassName === undefined
      ? {}
      : { priorityClassName: template.priorityClassName }),
    ...(settled.imagePullSecrets.length === 0
      ? {}
      : { imagePullSecrets: settled.imagePullSecrets }),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER,
      runAsGroup: USER,
      fsGroup: USER,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

/** A process without a request gets what others leave, and a log that waits for time is a fault. */
const REQUESTS = { cpu: '100m', memory: '256Mi' } as const;

export const resourcesOf = ({
  resources,
}: {
  readonly resources?: Resources | undefined;
}): Record<string, unknown> =>
  resources === undefined ? { requests: REQUESTS } : { ...resources };

export const containerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
} as const;

function container(settled: Settled, process: Process, template: PodTemplate) {
  const { component } = process;
  const probe = (path: string, [periodSeconds, timeoutSeconds, failureThreshold]: Patience) => ({
    httpGet: { path, port: 'probes' },
    periodSeconds,
    timeoutSeconds,
    failureThreshold,
  });
  return {
    name: component,
    image: settled.image,
    imagePullPolicy: settled.imagePullPolicy,
    args: [component, ...flags(settled, process, template)],
    env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
    ports: [
      { name: 'journal', containerPort: portOf(component), protocol: 'TCP' },
      { name: 'probes', containerPort: PROBE_PORT, protocol: 'TCP' },
    ],
    startupProbe: probe('/livez', STARTUP),
    livenessProbe: probe('/livez', LIVENESS),
    readinessProbe: probe('/readyz', READINESS),
    resources: resourcesOf(template),
    // What it said last is told in the status of the JournalCluster.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: containerSecurity,
    volumeMounts: mounts(settled),
  };
}

function flags(settled: Settled, { component, id, zone }: Process, template: PodTemplate) {
  // With the brackets that an address of IPv6 wants; there this is every address of IPv4, too.
  const [all, own] = settled.ipv6 ? ['[::]', '[$(POD_IP)]'] : ['0.0.0.0', '$(POD_IP)'];
  const port = portOf(component);
  return [
    ...(component === 'replica' ? ['--member', id] : ['--id', id]),
    ...['--zone', zone, '--data', `${DATA}/${component}`, '--cluster', settled.clusterId],
    ...['--listen', `${all}:${port}`, '--advertise', `${own}:${port}`],
    ...['--probe-listen', `${all}:${PROBE_PORT}`],
    ...(component === 'replica' ? replicaFlags(settled) : []),
    ...(settled.tls.enabled ? tlsFlags(settled) : []),
    ...['--log-level', template.logLevel ?? 'info'],
  ];
}

const replicaFlags = (settled: Settled): readonly string[] => [
  ...['--controllers', controllersAddress(settled)],
  ...['--replication-factor', String(settled.copies)],
  ...['--min-replicas', String(settled.minReplicas)],
  // Left out it is off here, where the port is open to all: what is not asked for restarts nobody.
  ...(settled.consoleRecords ? ['--console-records', 'on'] : []),
];

const tlsFlags = (settled: Settled): readonly string[] => [
  ...['--tls-ca', `${TLS}/ca.crt`, '--tls-cert', `${TLS}/tls.crt`, '--tls-key', `${TLS}/tls.key`],
  ...['--tls-server-name', serverName(settled)],
  ...['--authorization', `${AUTHORIZATION}/policy.yaml`],
];

function mounts({ tls }: Settled) {
  const secure = [
    { name: 'tls', mountPath: TLS, readOnly: true },
    { name: 'authorization', mountPath: AUTHORIZATION, readOnly: true },
  ];
  return [
    { name: 'data', mountPath: DATA },
    { name: 'tmp', mountPath: '/tmp' },
    ...(tls.enabled ? secure : []),
  ];
}

function volumes(settled: Settled, { id }: Process) {
  const names = namesOf(settled.name);
  const secure = [
    { name: 'tls', secret: { secretName: names.leaf(id), defaultMode: 0o440 } },
    { name: 'authorization', configMap: { name: names.authorization } },
  ];
  return [
    { name: 'data', persistentVolumeClaim: { claimName: names.claim(id) } },
    { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
    ...(settled.tls.enabled ? secure : []),
  ];
}

/** A node that is away for a while comes back with its volume: nothing is gained by eviction. */
export function tolerations(template: PodTemplate): readonly unknown[] {
  const away = ['not-ready', 'unreachable'].map((what) => ({
    key: `node.kubernetes.io/${what}`,
    operator: 'Exists',
    effect: 'NoExecute',
  }));
  return [...away, ...(template.tolerations ?? [])];
}

/**
 * How the container of the process itself is: somebody may have put others into the pod, and
 * Kubernetes tells of all in the order of their names.
 */
export function containerOf(pod: KubeObject | undefined): unknown {
  const all = listAt(pod, 'status', 'containerStatuses');
  const name = pod?.metadata.labels?.[COMPONENT_LABEL];
  return all.find((one) => textAt(one, 'name') === name) ?? all[0];
}

/** The zone is required and joined with the user's own terms; two on one host are avoided. */
export function affinity(
  settled: Settled,
  { component, zone }: Process,
  given?: Affinity,
  labelSelector: unknown = { matchLabels: selectorFor(settled.name, component) },
) {
  const apart = {
    weight: 100,
    podAffinityTerm: { labelSelector, topologyKey: HOST_NODE_LABEL },
  };
  const own = at(given, 'podAntiAffinity');
  const preferred = listAt(own, 'preferredDuringSchedulingIgnoredDuringExecution');
  const nodes = nodeAffinity(settled, zone, at(given, 'nodeAffinity'));
  return {
    ...given,
    podAntiAffinity: {
      ...(isObject(own) ? own : {}),
      preferredDuringSchedulingIgnoredDuringExecution: [apart, ...preferred],
    },
    ...(nodes === undefined ? {} : { nodeAffinity: nodes }),
  };
}

function nodeAffinity(settled: Settled, zone: string, given: unknown): unknown {
  if (settled.zones.length === 0) return given;
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const inZone = { key: ZONE_NODE_LABEL, operator: 'In', values: [zone] };
  const terms = listAt(given, required, 'nodeSelectorTerms');
  const joined = (terms.length === 0 ? [{}] : terms).map((term) => ({
    ...(isObject(term) ? term : {}),
    matchExpressions: [inZone, ...listAt(term, 'matchExpressions')],
  }));
  return {
    ...(isObject(given) ? given : {}),
    [required]: { nodeSelectorTerms: joined },
  };
}
