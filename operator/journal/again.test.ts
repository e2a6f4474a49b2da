// A JournalCluster whose name was used before, and one whose ledger somebody deletes or spoils.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin, CLUSTER, format, pathFor, refuse } from '../../test/reconciling.ts';
import { isKind, type KubeObject } from '../kube/api.ts';
import { isObject, listAt, numberAt, textAt } from '../kube/fields.ts';

type Placed = readonly [path: string, object: KubeObject];

const LEDGER = pathFor('ConfigMap', 'orders-ledger');

const ledgerOf = (object: KubeObject | undefined): Record<string, unknown> =>
  JSON.parse(textAt(object, 'data', 'ledger.json') ?? '{}');

/** All that belongs to a cluster whose controllers are formatted. */
async function formatted(spec: object): Promise<readonly Placed[]> {
  const { api, pass } = await begin(spec);
  await pass(3);
  format(api);
  await pass(3);
  return [...api.objects].filter(([, { kind }]) => !['JournalCluster', 'Event'].includes(kind));
}

/** A JournalCluster of the same name where these are; of the same UID where one is given. */
const beginWith = (left: readonly Placed[], spec: object, uid?: string) =>
  begin(spec, (api) => {
    api.put('/pad', { metadata: { name: 'pad' } });
    if (uid !== undefined) api.put(CLUSTER, { metadata: { name: 'orders', namespace: 'n', uid } });
    for (const [path, one] of left) api.put(path, one);
  });

const isClaim = ([, { kind }]: Placed): boolean => kind === 'PersistentVolumeClaim';

test('what goes with an older cluster is waited for, and nothing of it is taken up', async () => {
  const spec = { deletionPolicy: 'Delete' };
  const left = await formatted(spec);
  const { api, pass, get, condition } = await beginWith(left, spec);
  const written = (): readonly string[] => api.writes.filter((one) => /^P.*\/n\/.*/.test(one));
  await pass(2);
  const message = textAt(api.objects.get(CLUSTER), 'status', 'message') ?? '';
  assert.match(message, /^PersistentVolumeClaim orders-\S+-data of an older orders is still being/);
  // Claims go last, when the pods have ended that use them.
  for (const one of left) if (!isClaim(one)) api.remove(one[0]);
  await pass(2);
  assert.equal(condition('Progressing'), 'True OlderOneIsGoing');
  assert.deepEqual(
    written().filter((one) => !one.endsWith('/status')),
    [],
  );
  for (const one of left) if (isClaim(one)) api.remove(one[0]);
  await pass(3);
  assert.equal(condition('Progressing'), 'True Formatting');
  const { ownerUid, formatted: isFormatted } = ledgerOf(get('ConfigMap', 'orders-ledger'));
  assert.deepEqual([ownerUid, isFormatted], [api.objects.get(CLUSTER)?.metadata.uid, false]);
});

test('what is kept is adopted when the rest of the older cluster is gone', async () => {
  const left = await formatted({});
  const { api, pass, get, condition, events } = await beginWith(left, {});
  const old = ledgerOf(get('ConfigMap', 'orders-ledger')).clusterId;
  await pass(2);
  assert.equal(condition('Stalled'), 'False NotStalled');
  assert.equal(condition('Progressing'), 'True OlderOneIsGoing');
  for (const [path, { metadata }] of left) {
    if (metadata.ownerReferences !== undefined) api.remove(path);
  }
  await pass(3);
  assert.equal(condition('Progressing'), 'True ControllersUnreachable');
  assert.equal(ledgerOf(get('ConfigMap', 'orders-ledger')).clusterId, old);
  assert.doesNotMatch(events().join(), /was not made for this/);
});

test('volumes whose ledger is gone are no new cluster, whoever they belong to', async () => {
  const spec = { deletionPolicy: 'Delete' };
  const all = await formatted(spec);
  const uid = all[0]?.[1].metadata.ownerReferences?.[0]?.uid;
  const left = all.filter(([path]) => path !== LEDGER);
  const { pass, get, condition, events } = await beginWith(left, spec, uid);
  await pass(2);
  assert.equal(condition('Stalled'), 'True AdoptionIncomplete');
  assert.match(events().join(), /orders-replica-1-data, .*orders-ledger is missing/);
  assert.equal(get('ConfigMap', 'orders-ledger'), undefined);
});

test('a ledger that somebody deletes or spoils is written again as it was', async () => {
  const { api, pass, get, events } = await begin();
  await pass(3);
  format(api);
  await pass(3);
  const before = get('ConfigMap', 'orders-ledger');
  api.remove(LEDGER);
  await pass();
  assert.deepEqual(get('ConfigMap', 'orders-ledger')?.data, before?.data);
  api.put(LEDGER, { ...get('ConfigMap', 'orders-ledger'), data: { 'ledger.json': 'nonsense' } });
  await pass();
  assert.deepEqual(get('ConfigMap', 'orders-ledger')?.data, before?.data);
  assert.match(events().join(), /the ledger was gone or spoilt, and is there again/);
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, suspend: true } });
  api.remove(LEDGER);
  await pass();
  assert.equal(get('ConfigMap', 'orders-ledger'), undefined);
});

test('a pass that fails before it has a plan tells of the cluster as it is', async () => {
  const { api, pass, condition } = await begin();
  await pass(3);
  format(api);
  await pass(3);
  refuse(api, /\/configmaps\/orders-ledger$/, 'somebody wrote', 409);
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, members: 4 } });
  await assert.rejects(pass(), { status: 409 });
  assert.equal(condition('Ready'), 'False ControllersUnreachable');
  assert.equal(condition('ZoneSpread'), 'Unknown Pending');
  const status = api.objects.get(CLUSTER)?.status;
  assert.equal(textAt(status, 'mode'), 'chain');
  assert.equal(listAt(status, 'replicas').length, 3);
});

test('a member that was to leave for its lost volume holds no adoption up', async () => {
  const all = await formatted({});
  const kept = all.filter(([path, { metadata }]) => {
    return metadata.ownerReferences === undefined && !path.endsWith('/orders-replica-2-data');
  });
  const left = kept.map(([path, one]): Placed => {
    if (path !== LEDGER) return [path, one];
    const replicas = listAt(ledgerOf(one), 'replicas').map((entry) =>
      textAt(entry, 'id') === 'replica-2' && isObject(entry)
        ? { ...entry, leaving: 'its volume is lost', by: 'replica-4' }
        : entry,
    );
    const data = { 'ledger.json': JSON.stringify({ ...ledgerOf(one), replicas }) };
    return [path, { ...one, data }];
  });
  const { pass, condition } = await beginWith(left, {});
  await pass(2);
  assert.equal(condition('Progressing'), 'True ControllersUnreachable');
});

test('a member that is given up for its lost volume holds no adoption up', async () => {
  const left = (await formatted({})).filter(([path, { metadata }]) => {
    return metadata.ownerReferences === undefined && !path.endsWith('/orders-replica-2-data');
  });
  const { api, pass, get, condition, events } = await beginWith(left, {});
  await pass(2);
  assert.equal(condition('Stalled'), 'True AdoptionIncomplete');
  assert.match(
    events().join(),
    /orders-replica-2-data is missing: .*; to give it up, annotate with journal.dev\/replace=replica-2/,
  );
  const cluster = api.objects.get(CLUSTER);
  assert.ok(cluster !== undefined);
  const annotations = { 'journal.dev/replace': 'replica-2' };
  api.put(CLUSTER, { ...cluster, metadata: { ...cluster.metadata, annotations } });
  await pass(3);
  assert.equal(condition('Stalled'), 'False NotStalled');
  assert.equal(condition('Progressing'), 'True ControllersUnreachable');
  // Another one takes its place once the controllers answer: none comes under its name.
  assert.equal(get('PersistentVolumeClaim', 'orders-replica-2-data'), undefined);
});

test('whether volumes go with a cluster is as asked for while it is suspended', async () => {
  const { api, pass, get } = await begin({ deletionPolicy: 'Delete' });
  await pass(3);
  format(api);
  await pass(3);
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  const kept = [
    get('PersistentVolumeClaim', 'orders-replica-1-data'),
    get('PersistentVolumeClaim', 'orders-controller-1-data'),
    get('ConfigMap', 'orders-ledger'),
    get('Secret', 'orders-ca'),
  ];
  const owners = () =>
    kept.map((one) => {
      assert.ok(one && isKind(one.kind));
      return get(one.kind, one.metadata.name)?.metadata.ownerReferences?.length ?? 0;
    });
  assert.deepEqual(owners(), [1, 1, 1, 1]);
  const asked = { ...cluster.spec, suspend: true, storage: { size: '9Gi' } };
  api.put(CLUSTER, { ...cluster, spec: { ...asked, deletionPolicy: 'Retain' } });
  await pass(2);
  assert.deepEqual(owners(), [0, 0, 0, 0]);
  const quiet = api.writes.length;
  await pass(2);
  assert.equal(api.writes.length, quiet);
  api.put(CLUSTER, { ...cluster, spec: { ...asked, deletionPolicy: 'Delete' } });
  await pass(1);
  assert.deepEqual(owners(), [1, 1, 1, 1]);
  const claim = get('PersistentVolumeClaim', 'orders-replica-1-data');
  assert.doesNotMatch(JSON.stringify(claim?.spec), /9Gi/);
});

/** The claim of a replica that goes with its JournalCluster, which is then asked to keep it. */
async function keptFromNowOn() {
  const found = await begin({ deletionPolicy: 'Delete' });
  const { api, pass, get } = found;
  await pass(3);
  format(api);
  await pass(3);
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, deletionPolicy: 'Retain' } });
  const owners = () =>
    get('PersistentVolumeClaim', 'orders-replica-1-data')?.metadata.ownerReferences?.length ?? 0;
  const behind = () => {
    const one = api.objects.get(CLUSTER);
    return (one?.metadata.generation ?? 0) - (numberAt(one, 'status', 'observedGeneration') ?? 0);
  };
  return { ...found, owners, behind };
}

test('volumes are kept as soon as that is asked for, whatever Secret is in the way', async () => {
  const { api, pass, get, condition, owners, behind } = await keptFromNowOn();
  assert.deepEqual([owners(), behind()], [1, 1]);
  const path = pathFor('Secret', 'orders-client');
  api.remove(path);
  api.put(path, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'orders-client' } });
  api.remove(pathFor('Service', 'orders'));
  await assert.rejects(pass(1), /Secret orders-client is there and was not made for this/);
  assert.equal(condition('Stalled'), 'True ForeignObject');
  assert.deepEqual([owners(), behind()], [0, 0]);
  // And everything else is repaired.
  assert.ok(get('Service', 'orders'));
});

test('a status that says it has seen the spec is not written before volumes are kept', async () => {
  const { api, pass, condition, owners, behind } = await keptFromNowOn();
  refuse(api, /\/persistentvolumeclaims\//, 'etcd is busy', 500);
  await assert.rejects(pass(1), /busy/);
  assert.equal(condition('Progressing'), 'False ReconcileFailed');
  assert.deepEqual([owners(), behind()], [1, 1]);
  api.before = () => {};
  await pass(1);
  assert.deepEqual([owners(), behind()], [0, 0]);
});

test('a claim that lost its label is no lost volume, and gets it again', async () => {
  const { api, pass, get } = await begin();
  await pass(3);
  format(api);
  const path = pathFor('PersistentVolumeClaim', 'orders-replica-1-data');
  const claim = api.objects.get(path);
  assert.ok(claim);
  api.put(path, { ...claim, status: { phase: 'Bound' } });
  await pass(3);
  const uid = claim.metadata.uid ?? 'none';
  const ledger = () => textAt(get('ConfigMap', 'orders-ledger'), 'data', 'ledger.json') ?? '';
  assert.match(ledger(), new RegExp(`"claimUid": "${uid}"`));
  const { labels: _, annotations: __, ...bare } = claim.metadata;
  api.put(path, { ...claim, metadata: bare, status: { phase: 'Bound' } });
  await pass(2);
  assert.equal(api.objects.get(path)?.metadata.labels?.['journal.dev/cluster'], 'orders');
  const replicas = listAt(api.objects.get(CLUSTER)?.status, 'replicas');
  assert.doesNotMatch(JSON.stringify(replicas), /Lost/);
});

test('a suspended cluster that has adopted nothing owns nothing of an older one', async () => {
  const kept = (await formatted({})).filter(
    ([, { metadata }]) => metadata.ownerReferences === undefined,
  );
  const { api, pass } = await begin({ suspend: true, deletionPolicy: 'Delete' }, (kube) => {
    for (const [path, one] of kept) kube.put(path, one);
  });
  await pass(3);
  const owned = [...api.objects.values()].filter(
    ({ kind, metadata }) => kind !== 'Event' && metadata.ownerReferences !== undefined,
  );
  assert.deepEqual(
    owned.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    [],
  );
});

test('what ran without TLS is taken up with it: there never was an authority', async () => {
  const left = (await formatted({ tls: { mode: 'Disabled' } })).filter(
    ([, { metadata }]) => metadata.ownerReferences === undefined,
  );
  const { pass, get, condition } = await beginWith(left, {});
  await pass(3);
  assert.equal(condition('Progressing'), 'True ControllersUnreachable');
  for (const name of ['orders-ca', 'orders-client']) assert.ok(get('Secret', name), name);
});
