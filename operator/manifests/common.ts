// What all objects of a cluster share: names, labels, and to whom they belong.

import { API_VERSION, KIND } from '../crd.ts';
import type { Settled } from '../journal/settle.ts';
import { type KindName, type KubeObject, RESOURCES } from '../kube/api.ts';

export type Component = 'replica' | 'controller';

export const CLUSTER_LABEL = 'journal.dev/cluster';
export const MEMBER_LABEL = 'journal.dev/member';
export const ZONE_LABEL = 'journal.dev/zone';
export const COMPONENT_LABEL = 'app.kubernetes.io/component';
export const MANAGED_LABEL = 'app.kubernetes.io/managed-by';
export const MANAGER = 'journal-operator';
/** UID of the JournalCluster that an object was made for, on those that outlive it. */
export const OWNER_ANNOTATION = 'journal.dev/owner-uid';

export const namesOf = (cluster: string) => ({
  service: cluster,
  ledger: `${cluster}-ledger`,
  account: cluster,
  authority: `${cluster}-ca`,
  operatorSecret: `${cluster}-operator`,
  clientSecret: `${cluster}-client`,
  authorization: `${cluster}-authorization`,
  controllers: `${cluster}-controllers`,
  replicas: `${cluster}-replicas`,
  backup: `${cluster}-backup`,
  restore: `${cluster}-restore`,
  /** StatefulSet and Service of a process; its pod is this with `-0`. */
  process: (id: string): string => `${cluster}-${id}`,
  claim: (id: string): string => `${cluster}-${id}-data`,
  leaf: (id: string): string => `${cluster}-${id}-tls`,
  format: (id: string): string => `${cluster}-${id}-format`,
});

export function labelsFor(cluster: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'journal',
    'app.kubernetes.io/instance': cluster,
    [MANAGED_LABEL]: MANAGER,
    [CLUSTER_LABEL]: cluster,
  };
}

/** The name of what there is one of for all replicas, or all controllers. */
export function groupName(cluster: string, component: Component): string {
  const { replicas, controllers } = namesOf(cluster);
  return component === 'replica' ? replicas : controllers;
}

/** By which Services, budgets and policies find pods: never changed, since selectors cannot be. */
export const selectorFor = (cluster: string, component: Component): Record<string, string> => ({
  [CLUSTER_LABEL]: cluster,
  [COMPONENT_LABEL]: component,
});

/** Names under which the processes of a cluster are reached, for certificates. */
export function dnsNames(service: string, namespace: string): readonly string[] {
  const base = `${service}.${namespace}`;
  return [service, base, `${base}.svc`, `${base}.svc.cluster.local`];
}

/** The name that every certificate of a server of the cluster carries. */
export const serverName = ({ name, namespace }: Settled): string => `${name}.${namespace}.svc`;

export interface Made {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** True: stays when the JournalCluster goes, where its volumes are kept. */
  readonly kept?: boolean;
}

/** An object of the cluster; `body` is everything below its metadata. */
export function made(
  settled: Settled,
  kind: KindName,
  name: string,
  body: Readonly<Record<string, unknown>>,
  { labels = {}, annotations = {}, kept = false }: Made = {},
): KubeObject {
  const orphan = kept && settled.keepVolumes;
  return {
    apiVersion: RESOURCES[kind].apiVersion,
    kind,
    metadata: {
      name,
      namespace: settled.namespace,
      labels: { ...labels, ...labelsFor(settled.name) },
      annotations: { ...annotations, ...(kept ? { [OWNER_ANNOTATION]: settled.uid } : {}) },
      ...(orphan ? {} : { ownerReferences: [ownerOf(settled)] }),
    },
    ...body,
  };
}

const ownerOf = ({ name, uid }: Settled) => ({
  apiVersion: API_VERSION,
  kind: KIND,
  name,
  uid,
  controller: true,
  blockOwnerDeletion: false,
});
