// A reconciler with an API server in memory, for tests of what its passes write.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { silent } from '../io/logger.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { Reconciler } from '../operator/journal/reconciler.ts';
import { KubeError, pathOf, RESOURCES } from '../operator/kube/api.ts';
import { Cache } from '../operator/kube/cache.ts';
import { Events } from '../operator/kube/events.ts';
import { listAt, textAt } from '../operator/kube/fields.ts';
import { micros } from '../protocol/types.ts';
import { MemoryKube } from './kube-api.ts';

const folder = mkdtempSync(join(tmpdir(), 'journal-reconciler-'));
const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
  rmSync(folder, { recursive: true, force: true });
});

export const pathFor = (kind: keyof typeof RESOURCES, name: string): string =>
  pathOf(RESOURCES[kind], 'n', name);
export const CLUSTER = pathFor('JournalCluster', 'orders');

/**
 * JournalCluster `orders` in namespace `n`; `prepare` puts what is there before it. `beside` makes
 * another operator.
 */
export async function begin(spec: object = {}, prepare: (api: MemoryKube) => void = () => {}) {
  const api = new MemoryKube();
  prepare(api);
  api.put(CLUSTER, {
    apiVersion: 'journal.dev/v1alpha1',
    kind: 'JournalCluster',
    metadata: { name: 'orders', namespace: 'n' },
    spec: { storage: { size: '1Gi' }, members: 3, ...spec },
  });
  const parts = { api, clock: nodeClock, random: nodeRandom('reconciler'), logger: silent };
  /** Keys of clusters that are to be looked at, one a change. */
  const told: string[] = [];
  const cache = new Cache(parts, {
    namespace: undefined,
    nodes: true,
    podMonitors: false,
    logger: silent,
    onChange: (key) => told.push(key),
  });
  cleanups.push(() => cache.stop());
  while (!cache.synced) await pause();
  const beside = (operatorNamespace: string): Reconciler =>
    new Reconciler({
      ...parts,
      cache,
      events: new Events(parts, silent, 'test'),
      image: 'journal:1',
      ...{ podMonitorLabels: {}, ipv6: false },
      operatorNamespace,
      folder,
      spreadMillis: 0,
    });
  const reconciler = beside('journal-system');
  const pass = async (times = 1): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      await pause();
      await reconciler.reconcile('n', 'orders');
    }
    await pause();
  };
  const get = (kind: keyof typeof RESOURCES, name: string) => api.objects.get(pathFor(kind, name));
  const condition = (type: string): string => {
    const cluster = api.objects.get(CLUSTER);
    const found = listAt(cluster, 'status', 'conditions').find(
      (one) => textAt(one, 'type') === type,
    );
    return `${textAt(found, 'status')} ${textAt(found, 'reason')}`;
  };
  const events = (): string[] =>
    [...api.objects.values()].filter(({ kind }) => kind === 'Event').map((one) => `${one.note}`);
  return { api, pass, get, condition, events, reconciler, beside, told };
}

/** Until every watch has told what was written. */
export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** Pods run: claims get volumes, and Jobs end well. */
export function format(api: MemoryKube): void {
  for (const [path, one] of [...api.objects]) {
    if (one.kind === 'Job') api.put(path, { ...one, status: { succeeded: 1 } });
    if (one.kind !== 'PersistentVolumeClaim') continue;
    api.put(path, { ...one, status: { phase: 'Bound' } });
  }
}

/** From now on what is written there is answered with an error. */
export function refuse(api: MemoryKube, there: RegExp, says: string, status: number): void {
  api.before = ({ method, path }) => {
    if (method !== 'PATCH' || !there.test(path)) return;
    throw new KubeError(says, { status, reason: 'Refused', retryAfter: micros(0) });
  };
}
