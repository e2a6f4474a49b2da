// What the operator needs of the API server: a few verbs on plain objects, and watches.
//
// The seam that tests and the simulator stand in for; http.ts is the real one. Objects are plain
// JSON, read with fields.ts: a model of every Kubernetes type would drop the fields that it does
// not know.

import type { Micros } from '../../protocol/types.ts';

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** Where the objects of a kind live. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const resource = (apiVersion: string, kind: string, plural: string): Resource => ({
  apiVersion,
  kind,
  plural,
  namespaced: true,
});

export const RESOURCES = {
  ConfigMap: resource('v1', 'ConfigMap', 'configmaps'),
  CronJob: resource('batch/v1', 'CronJob', 'cronjobs'),
  Event: resource('events.k8s.io/v1', 'Event', 'events'),
  Job: resource('batch/v1', 'Job', 'jobs'),
  JournalCluster: resource('journal.dev/v1alpha1', 'JournalCluster', 'journalclusters'),
  Lease: resource('coordination.k8s.io/v1', 'Lease', 'leases'),
  NetworkPolicy: resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  Node: { ...resource('v1', 'Node', 'nodes'), namespaced: false },
  PersistentVolumeClaim: resource('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  Pod: resource('v1', 'Pod', 'pods'),
  PodDisruptionBudget: resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  PodMonitor: resource('monitoring.coreos.com/v1', 'PodMonitor', 'podmonitors'),
  Secret: resource('v1', 'Secret', 'secrets'),
  Service: resource('v1', 'Service', 'services'),
  ServiceAccount: resource('v1', 'ServiceAccount', 'serviceaccounts'),
  StatefulSet: resource('apps/v1', 'StatefulSet', 'statefulsets'),
} as const;

export type KindName = keyof typeof RESOURCES;

export const isKind = (kind: string): kind is KindName => Object.hasOwn(RESOURCES, kind);

/** Path of a collection, of an object, or of a subresource; no namespace: all of them. */
export function pathOf(
  { apiVersion, plural, namespaced }: Resource,
  namespace: string | undefined,
  name?: string,
  subresource?: string,
): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const within = namespaced && namespace !== undefined ? `/namespaces/${namespace}` : '';
  const parts = [name, subresource].filter((part) => part !== undefined);
  return [`${group}${within}/${plural}`, ...parts].join('/');
}

export type ContentType =
  | 'application/json'
  | 'application/apply-patch+yaml'
  | 'application/merge-patch+json';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly contentType?: ContentType;
  /** From now until the whole answer is there. */
  readonly timeout: Micros;
  readonly signal?: AbortSignal;
}

export interface WatchRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Longest time without a byte, after which the watch counts as broken. */
  readonly silence: Micros;
  readonly signal: AbortSignal;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

export interface KubeApi {
  /** The answer's JSON. Rejects with KubeError. */
  request(request: KubeRequest): Promise<unknown>;
  /** Ends when the server ends it; throws KubeError. */
  watch(request: WatchRequest): AsyncIterable<WatchEvent>;
}

/** What the API server refused, or why it could not be asked. */
export class KubeError extends Error {
  /** HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** `reason` of the answer, such as `Conflict`; `Unreachable` where there was none. */
  readonly reason: string;
  /** How long the server asks to wait; 0 where it did not say. */
  readonly retryAfter: Micros;

  constructor(
    message: string,
    facts: { readonly status: number; readonly reason: string; readonly retryAfter: Micros },
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.name = 'KubeError';
    this.status = facts.status;
    this.reason = facts.reason;
    this.retryAfter = facts.retryAfter;
  }
}

export const isStatus = (error: unknown, status: number): boolean =>
  error instanceof KubeError && error.status === status;
