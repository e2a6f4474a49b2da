// Local copies of everything that the operator works with: one informer a kind.
//
// Only objects that the operator made are watched, by their label: Secrets of other people are
// neither read nor kept.

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../io/logger.ts';
import { CLUSTER_LABEL, MANAGED_LABEL, MANAGER } from '../manifests/common.ts';
import { type KindName, type KubeObject, RESOURCES } from './api.ts';
import { labelsOf, textAt } from './fields.ts';
import { type Informer, type InformerParts, startInformer } from './informer.ts';

const WATCHED: readonly KindName[] = [
  'ConfigMap',
  'CronJob',
  'Job',
  'NetworkPolicy',
  'PersistentVolumeClaim',
  'Pod',
  'PodDisruptionBudget',
  'Secret',
  'Service',
  'ServiceAccount',
  'StatefulSet',
];

export interface CacheOptions {
  /** Undefined: every namespace. */
  readonly namespace: string | undefined;
  /** Whether nodes may be read, for `zoneCount`. */
  readonly nodes: boolean;
  /** Whether PodMonitors are wanted; the API server need not know them. */
  readonly podMonitors: boolean;
  readonly logger: Logger;
  /** Something of a cluster changed: `namespace/name`. */
  readonly onChange: (key: string) => void;
}

export class Cache {
  readonly #clusters: Informer;
  readonly #owned: readonly Informer[];
  readonly #monitors: Informer | undefined;
  readonly #nodes: Informer | null;

  constructor(parts: InformerParts, options: CacheOptions) {
    const { namespace, onChange } = options;
    const tellCluster = (object: KubeObject | null): void => {
      if (object === null) return;
      onChange(`${object.metadata.namespace ?? ''}/${object.metadata.name}`);
    };
    this.#clusters = startInformer(parts, {
      resource: RESOURCES.JournalCluster,
      namespace,
      onChange: (now, before) => {
        if (!isStatusOnly(now, before)) tellCluster(now ?? before);
      },
    });
    const tellOwner = (object: KubeObject | null): void => {
      const cluster = object === null ? undefined : labelsOf(object.metadata)[CLUSTER_LABEL];
      if (cluster !== undefined) onChange(`${object?.metadata.namespace ?? ''}/${cluster}`);
    };
    const watch = (kind: KindName, optional = false): Informer =>
      startInformer(parts, {
        resource: RESOURCES[kind],
        namespace,
        labelSelector: `${MANAGED_LABEL}=${MANAGER}`,
        optional,
        onChange: (now, before) => tellOwner(now ?? before),
      });
    this.#monitors = options.podMonitors ? watch('PodMonitor', true) : undefined;
    const owned = WATCHED.map((kind) => watch(kind));
    this.#owned = this.#monitors === undefined ? owned : [...owned, this.#monitors];
    this.#nodes = options.nodes
      ? startInformer(parts, { resource: RESOURCES.Node, onChange: () => {} })
      : null;
  }

  get synced(): boolean {
    const nodes = this.#nodes?.synced ?? true;
    return nodes && this.#clusters.synced && this.#owned.every(({ synced }) => synced);
  }

  /** Whether PodMonitors are wanted and, as far as was seen, known to the API server. */
  get podMonitors(): boolean {
    return this.#monitors?.known === true;
  }

  clusters(): readonly KubeObject[] {
    return this.#clusters.list();
  }

  cluster(namespace: string, name: string): KubeObject | undefined {
    return this.#clusters.get(namespace, name);
  }

  /** Every watched object that carries the cluster's label. */
  objects(namespace: string, cluster: string): readonly KubeObject[] {
    return this.#owned.flatMap((informer) =>
      informer
        .list()
        .filter(
          ({ metadata }) =>
            metadata.namespace === namespace && labelsOf(metadata)[CLUSTER_LABEL] === cluster,
        ),
    );
  }

  /** Zones that nodes have, sorted; empty where nodes are not read. */
  nodeZones(): readonly string[] {
    const zones = (this.#nodes?.list() ?? []).map((node) =>
      textAt(node, 'metadata', 'labels', 'topology.kubernetes.io/zone'),
    );
    return [...new Set(zones.filter((zone) => zone !== undefined))].sort();
  }

  stop(): void {
    for (const informer of [this.#clusters, ...this.#owned]) informer.stop();
    this.#nodes?.stop();
  }
}

/**
 * Whether nothing but the status is another. The operator writes it at the end of each pass, and a
 * pass that began for that would begin itself, past every back-off. What somebody else does to a
 * status is mended by the next regular look.
 */
function isStatusOnly(now: KubeObject | null, before: KubeObject | null): boolean {
  return now !== null && before !== null && isDeepStrictEqual(askedOf(now), askedOf(before));
}

const askedOf = ({ metadata }: KubeObject): unknown => [
  metadata.uid,
  metadata.generation,
  metadata.labels ?? {},
  metadata.annotations ?? {},
  metadata.finalizers ?? [],
  metadata.ownerReferences ?? [],
  metadata.deletionTimestamp,
];
