// A JournalCluster on the lab as a user sees it: its manifest, its status, its pods.

import { found } from '../../../operator/journal/found.ts';
import { changeMembership } from '../../../operator/journal/members/membership.ts';
import { plan } from '../../../operator/journal/plan.ts';
import { settle } from '../../../operator/journal/settle.ts';
import type { World } from '../../../operator/journal/world.ts';
import { type KubeObject, record } from '../lab/api.ts';
import { until } from '../lab/commands.ts';
import { isReady, type Lab } from '../lab/lab.ts';

const READY_MILLIS_MAX = 120_000;

/** Its pods are held to the restricted standard, as on a cluster that is strict. */
export async function makeNamespace(lab: Lab, name: string): Promise<void> {
  const labels = Object.fromEntries(
    ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']),
  );
  await lab.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}

export interface Spec {
  readonly [field: string]: unknown;
}

export const journalCluster = (namespace: string, name: string, spec: Spec): unknown => ({
  apiVersion: 'journal.dev/v1alpha1',
  kind: 'JournalCluster',
  metadata: { name, namespace },
  spec: { imagePullPolicy: 'Never', ...spec },
});

/** What the operator makes of a spec at first, without asking anybody. */
export function objectsOf(namespace: string, given: Spec) {
  const metadata = { name: 'orders', namespace, uid: 'u', generation: 1, resourceVersion: '1' };
  const { spec } = record(journalCluster(namespace, 'orders', given));
  const cluster = { metadata: { ...metadata, creationTimestamp: '' }, spec };
  const world: World = {
    // cast: what the API server let through is of the shape that its definition gives.
    cluster: cluster as unknown as World['cluster'],
    nowMillis: 0,
    defaults: { image: 'journal:1', nodeZones: [], podMonitors: null, ipv6: false },
    operatorNamespace: 'journal-system',
    ledger: null,
    objects: [],
    chain: { kind: 'unknown', reason: '' },
  };
  const begun = found(world, null, () => '0'.repeat(32));
  if (begun?.kind !== 'ledger') throw new Error(`nothing is made: ${begun?.message}`);
  const settled = settle(world.cluster, begun.ledger);
  const { ledger } = changeMembership(world, begun.ledger, settled) ?? begun;
  // Of format Jobs and, once they are over, of controllers.
  const controllers = ledger.controllers.map((one) => ({ ...one, formatted: true }));
  const later = { ...ledger, controllers, formatted: true };
  const actions = [ledger, later].flatMap((one) => plan(world, one, settled).actions);
  const made = actions.flatMap((action) => (action.kind === 'apply' ? [action.object] : []));
  return [...new Map(made.map((one) => [`${one.kind}/${one.metadata.name}`, one])).values()];
}

export const clusterPath = (namespace: string, name: string): string =>
  `/apis/journal.dev/v1alpha1/namespaces/${namespace}/journalclusters/${name}`;

/** Waits until it is Ready and every member serves; answers it, and how long that took. */
export async function whole(
  lab: Lab,
  namespace: string,
  name: string,
  millisMax = READY_MILLIS_MAX,
): Promise<{ readonly cluster: KubeObject; readonly millis: number }> {
  const begun = performance.now();
  let seen = '';
  try {
    const cluster = await until(`${namespace}/${name} is whole`, millisMax, async () => {
      const found = await lab.api.get(clusterPath(namespace, name));
      seen = JSON.stringify(found?.status, null, 1);
      return found !== undefined && isReady(found) && isWhole(found) ? found : undefined;
    });
    return { cluster, millis: performance.now() - begun };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${seen}`);
  }
}

/** All replicas serve, of those asked for. */
function isWhole({ status }: KubeObject): boolean {
  const [serving, asked] = String(status?.memberSummary).split('/');
  return serving === asked && Number(serving) > 0;
}

export function replicasOf({ status }: KubeObject): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(status?.replicas) ? status.replicas.map(record) : [];
}

export function conditionOf({ status }: KubeObject, type: string) {
  const conditions = Array.isArray(status?.conditions) ? status.conditions.map(record) : [];
  return conditions.find((one) => one.type === type);
}

export function podsOf(
  lab: Lab,
  namespace: string,
  name: string,
  component: 'replica' | 'controller',
): Promise<readonly KubeObject[]> {
  const labels = `journal.dev/cluster=${name},app.kubernetes.io/component=${component}`;
  const query = `labelSelector=${encodeURIComponent(labels)}`;
  return lab.api.list(`/api/v1/namespaces/${namespace}/pods?${query}`);
}

export const replicaPods = (
  lab: Lab,
  namespace: string,
  name: string,
): Promise<readonly KubeObject[]> => podsOf(lab, namespace, name, 'replica');
