// The local copies where the API server does not know a kind, and what becomes of the clusters.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { micros } from '../../protocol/types.ts';
import { MemoryKube } from '../../test/kube-api.ts';
import { begin as beginPasses, CLUSTER, pathFor } from '../../test/reconciling.ts';
import { Reconciler } from '../journal/reconciler.ts';
import { WorkQueue } from '../workqueue.ts';
import { KubeError, type KubeObject, pathOf, RESOURCES } from './api.ts';
import { Cache } from './cache.ts';
import { Events } from './events.ts';
import { startInformer } from './informer.ts';

const folder = mkdtempSync(join(tmpdir(), 'journal-cache-'));
const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
  rmSync(folder, { recursive: true, force: true });
});

const MONITOR = pathOf(RESOURCES.PodMonitor, 'n', 'orders');
const facts = { status: 404, reason: 'NotFound', retryAfter: micros(0) };
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

async function until(holds: () => boolean): Promise<void> {
  const deadline = nodeClock.now() + 10_000_000;
  while (!holds()) {
    assert.ok(nodeClock.now() < deadline, 'it did not come about within 10 s');
    await pause();
  }
}

/** One cluster that asks for a PodMonitor; `known`: whether the API server has such a kind. */
function begin(known: () => boolean) {
  const api = new MemoryKube();
  api.before = ({ path }) => {
    if (path.includes('/podmonitors') && !known()) throw new KubeError('404 not found', facts);
  };
  api.put(pathOf(RESOURCES.JournalCluster, 'n', 'orders'), {
    apiVersion: 'journal.dev/v1alpha1',
    kind: 'JournalCluster',
    metadata: { name: 'orders', namespace: 'n' },
    spec: { storage: { size: '1Gi' }, monitoring: { podMonitor: true } },
  });
  const parts = { api, clock: nodeClock, random: nodeRandom('cache'), logger: silent };
  const cache = new Cache(parts, {
    ...{ namespace: undefined, nodes: false, podMonitors: true, logger: silent },
    onChange: () => {},
  });
  cleanups.push(() => cache.stop());
  const reconciler = new Reconciler({
    ...parts,
    ...{ cache, events: new Events(parts, silent, 'test'), image: 'journal:1' },
    podMonitorLabels: { release: 'prometheus', 'journal.dev/cluster': 'mine' },
    ...{ ipv6: false, operatorNamespace: 'journal-system', folder, spreadMillis: 0 },
  });
  return { api, cache, reconciler };
}

test('a PodMonitor carries the labels by which a Prometheus selects it', async () => {
  const { api, cache, reconciler } = begin(() => true);
  await until(() => cache.synced);
  await reconciler.reconcile('n', 'orders');
  const { labels = {} } = api.objects.get(MONITOR)?.metadata ?? {};
  assert.equal(labels.release, 'prometheus');
  assert.equal(labels['journal.dev/cluster'], 'orders');
});

test('where PodMonitors are not known clusters are kept, and later they are made', async () => {
  let known = false;
  const { api, cache, reconciler } = begin(() => known);
  await until(() => cache.synced);
  assert.equal(cache.podMonitors, false);
  await reconciler.reconcile('n', 'orders');
  assert.ok(api.objects.has(pathOf(RESOURCES.StatefulSet, 'n', 'orders-replica-1')));
  assert.ok(!api.objects.has(MONITOR));
  known = true;
  await until(() => cache.podMonitors);
  await reconciler.reconcile('n', 'orders');
  assert.ok(api.objects.has(MONITOR));
});

test('a kind that has to be there is waited for', async () => {
  const { api } = begin(() => false);
  let heard = 0;
  api.before = () => {
    heard += 1;
    throw new KubeError('404 not found', facts);
  };
  const parts = { api, clock: nodeClock, random: nodeRandom('pods'), logger: silent };
  const backoff = { backoffMin: micros(1_000), backoffMax: micros(2_000) };
  const informer = startInformer(parts, {
    ...{ resource: RESOURCES.Pod, onChange: () => {} },
    ...backoff,
  });
  cleanups.push(() => informer.stop());
  await until(() => heard >= 5);
  assert.equal(informer.synced, false);
});

test('what is known of a kind is gone when the kind goes', async () => {
  const { api } = begin(() => true);
  let known = true;
  api.put(MONITOR, { kind: 'PodMonitor', metadata: { name: 'orders', namespace: 'n' } });
  api.before = () => {
    if (!known) throw new KubeError('404 not found', facts);
  };
  const parts = { api, clock: nodeClock, random: nodeRandom('gone'), logger: silent };
  const backoff = { backoffMin: micros(1_000), backoffMax: micros(2_000) };
  const broken = new MemoryKube();
  // The watch ends at once, as it does when the kind goes.
  broken.request = (request) => api.request(request);
  broken.watch = async function* () {
    await pause();
    yield* [];
    if (!known) throw new KubeError('404 not found', facts);
  };
  const informer = startInformer(
    { ...parts, api: broken },
    { resource: RESOURCES.PodMonitor, optional: true, onChange: () => {}, ...backoff },
  );
  cleanups.push(() => informer.stop());
  await until(() => informer.list().length === 1);
  assert.equal(informer.known, true);
  known = false;
  await until(() => informer.list().length === 0);
  assert.equal(informer.known, false);
});

/** What becomes of a JournalCluster as it is changed, as keys that are to be looked at. */
async function afterChange(change: (one: KubeObject) => object): Promise<readonly string[]> {
  const { api, told } = await beginPasses();
  const before = api.objects.get(CLUSTER);
  assert.ok(before);
  const known = told.length;
  api.put(CLUSTER, { ...before, ...change(before) });
  await pause();
  return told.slice(known);
}

test('a change of the status alone is no reason for a pass', async () => {
  assert.deepEqual(await afterChange(() => ({ status: { message: 'written' } })), []);
  assert.deepEqual(await afterChange(() => ({ status: undefined })), []);
});

test('a status that somebody clears is written again at the next look', async () => {
  const { api, pass, condition } = await beginPasses();
  await pass(3);
  const before = condition('Progressing');
  api.put(CLUSTER, { ...api.objects.get(CLUSTER), status: undefined });
  await pass();
  assert.equal(condition('Progressing'), before);
});

test('a change of what is asked for, of an annotation or of an owner is one', async () => {
  const told = ['n/orders'];
  assert.deepEqual(await afterChange(() => ({ spec: { storage: { size: '2Gi' } } })), told);
  for (const more of [
    { annotations: { 'journal.dev/replace': 'replica-1' } },
    { labels: { team: 'a' } },
    { finalizers: ['foregroundDeletion'] },
    { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid: 'b' }] },
    { deletionTimestamp: '2026-01-01T00:00:00Z' },
    { uid: 'another' },
  ]) {
    const changed = await afterChange(({ metadata }) => ({ metadata: { ...metadata, ...more } }));
    assert.ok(changed.includes('n/orders'), JSON.stringify(more));
  }
});

test('a refusal whose text is another each time is met no more often than is put off', async () => {
  const { api, reconciler, told, pass } = await beginPasses();
  await pass(3);
  let refusals = 0;
  api.before = ({ method, path }) => {
    if (method !== 'PATCH' || !path.endsWith('/services/orders-replica-1')) return;
    refusals += 1;
    throw new KubeError(`refused as ${refusals}`, { ...facts, status: 422 });
  };
  api.remove(pathFor('Service', 'orders-replica-1'));
  await pause();
  const queue = new WorkQueue(nodeClock, nodeRandom('varies'));
  cleanups.push(() => queue.close());
  queue.add('n/orders');
  const ends = nodeClock.now() + 900_000;
  let [passes, seen] = [0, told.length];
  const more = (): void => {
    for (const key of told.slice(seen)) queue.add(key);
    seen = told.length;
  };
  const work = async (): Promise<void> => {
    for (let key = await queue.take(); key !== null; key = await queue.take()) {
      await assert.rejects(reconciler.reconcile('n', 'orders'), /refused as/);
      passes += 1;
      queue.addFailed(key);
      queue.done(key);
    }
  };
  void work();
  while (nodeClock.now() < ends) {
    await pause();
    more();
  }
  // At once, after 0.25 to 0.5 s, and after as much again at least.
  assert.ok(passes >= 2 && passes <= 3, `${passes} passes`);
  const status = api.writes.filter((one) => one.endsWith('/status'));
  assert.ok(status.length <= passes + 3, `${status.length} writes of the status`);
  const warnings = [...api.objects.values()].filter(({ type }) => type === 'Warning');
  assert.equal(warnings.length, 1);
});
