// Volumes that cannot grow: what is told, and how often they are asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { micros } from '../../protocol/types.ts';
import { begin, CLUSTER } from '../../test/reconciling.ts';
import type { JournalCluster } from '../crd.ts';
import { KubeError } from '../kube/api.ts';
import { isObject, listAt, textAt } from '../kube/fields.ts';
import { found } from './found.ts';
import { settle } from './settle.ts';
import { statusOf } from './status.ts';
import { working } from './steps.ts';
import type { World } from './world.ts';

const SAYS = 'only dynamically provisioned pvc can be resized';

test('they are not asked for again at once, and the way out is told', async () => {
  const { api, pass } = await begin();
  await pass(3);
  const asked: string[] = [];
  api.before = ({ method, path }) => {
    if (method !== 'PATCH' || !path.includes('/persistentvolumeclaims/')) return;
    asked.push(path.split('/').at(-1) ?? '');
    throw new KubeError(SAYS, { status: 403, reason: 'Forbidden', retryAfter: micros(0) });
  };
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, storage: { size: '2Gi' } } });
  await pass(3);
  assert.deepEqual(
    asked.sort(),
    [1, 2, 3].map((number) => `orders-replica-${number}-data`),
  );
  const said = listAt(api.objects.get(CLUSTER), 'status', 'conditions').find(
    (one) => textAt(one, 'type') === 'StorageResizing',
  );
  assert.match(
    textAt(said, 'message') ?? '',
    /^only dynamically.*journal\.dev\/replace=replica-1$/,
  );
});

test('a cluster that has nothing else to do is stalled, and not at work for ever', () => {
  const metadata = {
    ...{ name: 'orders', namespace: 'n', uid: 'u', generation: 1, resourceVersion: '1' },
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  const cluster: JournalCluster = {
    ...{ apiVersion: '', kind: '', metadata },
    spec: { storage: { size: '2Gi' } },
  };
  const world: World = {
    ...{ cluster, objects: [], ledger: null, operatorNamespace: 'journal-system', nowMillis: 0 },
    defaults: { image: 'journal:1', nodeZones: [], podMonitors: null, ipv6: false },
    chain: { kind: 'unknown', reason: '' },
  };
  const begun = found(world, null, () => '0'.repeat(32));
  assert.ok(begun?.kind === 'ledger');
  const stalled = (volumes: string): string => {
    const outcome = { error: '', overdue: false, certificates: '', volumes };
    const progress = working('Applying', 'writing 3 objects');
    const settled = settle(cluster, begun.ledger);
    const status = statusOf(world, begun.ledger, settled, { ...outcome, progress });
    const one = status.conditions?.find(({ type }) => type === 'Stalled');
    return `${one?.status} ${one?.reason} ${one?.message}`.trim();
  };
  assert.equal(stalled(''), 'False NotStalled');
  assert.equal(stalled(SAYS), `True StorageRefused ${SAYS}`);
});
