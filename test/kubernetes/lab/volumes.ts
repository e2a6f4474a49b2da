// The volumes of the lab: a folder of one node each, bound to that node's zone.
//
// Volumes are `local`, under a class that waits for the first pod, as on a cluster of real disks
// without a driver: they neither grow nor copy. The class allows growing all the same, so that the
// API takes a larger claim, which then stays unfulfilled.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './commands.ts';
import type { LabNode } from './node.ts';

export const STORAGE_CLASS = 'zonal';
export const HOST_LABEL = 'kubernetes.io/hostname';

export const storageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: {
    name: STORAGE_CLASS,
    annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
  },
  provisioner: 'kubernetes.io/no-provisioner',
  volumeBindingMode: 'WaitForFirstConsumer',
  allowVolumeExpansion: true,
  reclaimPolicy: 'Retain',
} as const;

/** Where a volume of a node lies on this machine. */
export const volumePath = (node: LabNode, name: string): string =>
  join(node.folder, 'volumes', name);

/** Makes the folders of `count` volumes and answers the objects that announce them. */
export function volumesOf(
  node: LabNode,
  count: number,
  size: string,
  className: string = STORAGE_CLASS,
): readonly unknown[] {
  const prefix = className === STORAGE_CLASS ? '' : `${className}-`;
  return Array.from({ length: count }, (_, at) => {
    const name = `${prefix}${node.name}-${String(at + 1).padStart(3, '0')}`;
    mkdirSync(volumePath(node, name), { recursive: true });
    return volume(node, name, size, className);
  });
}

/**
 * Makes a volume that really holds no more than `bytes`: memory, so nothing of it is durable.
 * Claims of exactly `size` take it, and no other volume of the lab.
 */
export async function boundedVolume(
  node: LabNode,
  name: string,
  bytes: number,
  size: string,
): Promise<unknown> {
  const path = volumePath(node, name);
  mkdirSync(path, { recursive: true });
  const mount = ['mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=755`, name, path];
  await run(node.inside(mount));
  return volume(node, name, size);
}

function volume(
  node: LabNode,
  name: string,
  size: string,
  className: string = STORAGE_CLASS,
): unknown {
  const zone = { key: 'topology.kubernetes.io/zone', operator: 'In', values: [node.zone] };
  const host = { key: HOST_LABEL, operator: 'In', values: [`node-${node.name}`] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      labels: { 'topology.kubernetes.io/zone': node.zone, [HOST_LABEL]: `node-${node.name}` },
    },
    spec: {
      capacity: { storage: size },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: className,
      local: { path: volumePath(node, name) },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [zone, host] }] } },
    },
  };
}
