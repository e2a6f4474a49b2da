// The reconciler against an API server in memory: what it writes, and above all what it does not.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { MemoryKube } from '../../test/kube-api.ts';
import { begin, CLUSTER, format, pathFor, pause, refuse } from '../../test/reconciling.ts';
import { isKind, type KubeObject, type RESOURCES } from '../kube/api.ts';
import { conditionOf, isObject, textAt } from '../kube/fields.ts';

test('a cluster gets its objects, is formatted once, and then nothing is written', async () => {
  const { api, pass, get, condition, reconciler } = await begin();
  await pass(3);
  assert.equal(condition('Ready'), 'False ControllersUnreachable');
  assert.equal(condition('Progressing'), 'True Formatting');
  assert.equal(get('StatefulSet', 'orders-controller-1'), undefined);
  assert.ok(get('StatefulSet', 'orders-replica-1'));
  const job = JSON.stringify(get('Job', 'orders-controller-1-format'));
  assert.match(job, /"podAntiAffinity":.*"values":\["controller","format"\]/);
  format(api);
  await pass(4);
  assert.ok(get('StatefulSet', 'orders-controller-3'));
  assert.equal(get('Job', 'orders-controller-1-format'), undefined);
  const before = api.writes.length;
  await pass(5);
  assert.deepEqual(api.writes.slice(before), []);
  await reconciler.close();
});

test('policies let the operator reach every process, and clients replicas alone', async () => {
  const { pass, get } = await begin();
  await pass(2);
  const from = (name: string): string => JSON.stringify(get('NetworkPolicy', name)?.spec);
  for (const name of ['orders-replicas', 'orders-controllers']) {
    assert.match(from(name), /"app.kubernetes.io\/name":"journal-operator"/, name);
  }
  // An empty selector is every pod of the namespace.
  assert.match(from('orders-replicas'), /\{"podSelector":\{\}\}/);
  assert.doesNotMatch(from('orders-controllers'), /\{"podSelector":\{\}\}/);
});

test('certificates name roles and the Service, and belong to the authority', async () => {
  const { pass, get } = await begin();
  await pass(2);
  const pem = (name: string, key: string): string =>
    Buffer.from(textAt(get('Secret', name), 'data', key) ?? '', 'base64').toString();
  const authority = new X509Certificate(pem('orders-ca', 'ca.crt'));
  for (const name of ['replica-1-tls', 'controller-2-tls', 'client', 'operator']) {
    const leaf = new X509Certificate(pem(`orders-${name}`, 'tls.crt'));
    assert.ok(leaf.verify(authority.publicKey), name);
    assert.equal(pem(`orders-${name}`, 'ca.crt'), pem('orders-ca', 'ca.crt'));
  }
  const replica = new X509Certificate(pem('orders-replica-1-tls', 'tls.crt'));
  assert.equal(replica.subject, 'CN=replica-1.replicas.orders');
  assert.ok(replica.checkHost('orders.n.svc'));
  assert.ok(replica.checkHost('orders-replica-1.n.svc'));
  assert.equal(replica.checkHost('orders-replica-2.n.svc'), undefined);
});

test('a rotation of the authority believes both before it issues from the new one', async () => {
  const { api, pass, get } = await begin();
  await pass(2);
  const data = (name: string, key: string): string => {
    const text = textAt(get('Secret', name), 'data', key) ?? '';
    return Buffer.from(text, 'base64').toString();
  };
  const old = { bundle: data('orders-client', 'ca.crt'), leaf: data('orders-client', 'tls.crt') };
  const cluster = api.objects.get(CLUSTER);
  const annotations = { 'journal.dev/rotate-authority': 'now' };
  api.put(CLUSTER, { ...cluster, metadata: { ...cluster?.metadata, annotations } });
  await pass(1);
  assert.ok(data('orders-client', 'ca.crt').startsWith(old.bundle.trimEnd()));
  assert.equal(data('orders-client', 'ca.crt').match(/BEGIN/g)?.length, 2);
  assert.equal(data('orders-client', 'tls.crt'), old.leaf);
  await pass(2);
  const [first = ''] = data('orders-ca', 'ca.crt').split(/(?<=-----END CERTIFICATE-----\n)/);
  const leaf = new X509Certificate(data('orders-client', 'tls.crt'));
  assert.ok(leaf.verify(new X509Certificate(first).publicKey));
  assert.ok(!leaf.verify(new X509Certificate(old.bundle).publicKey));
  assert.ok(data('orders-replica-1-tls', 'ca.crt').includes(old.bundle.trim()));
});

test('an object of somebody else under our name is left alone, and said', async () => {
  const mine = { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 80 }] } };
  const { api, pass, condition, events } = await begin({}, (kube) => {
    kube.put(pathFor('Service', 'orders'), {
      ...mine,
      metadata: { name: 'orders', namespace: 'n' },
    });
  });
  await assert.rejects(pass(1), /Service orders is there and was not made for this/);
  await pause();
  assert.equal(condition('Stalled'), 'True ForeignObject');
  assert.deepEqual(api.objects.get(pathFor('Service', 'orders'))?.spec, mine.spec);
  assert.match(events().join(), /Service orders is there/);
});

test('an object of somebody else that no process leans on holds nothing else up', async () => {
  const backup = { schedule: '@daily', claimName: 'files' };
  const { api, pass, get, condition } = await begin({ backup }, (kube) => {
    const metadata = { name: 'orders-backup', namespace: 'n' };
    kube.put(pathFor('CronJob', 'orders-backup'), { kind: 'CronJob', metadata, spec: {} });
  });
  await assert.rejects(pass(1), /CronJob orders-backup is there and was not made for this/);
  assert.equal(condition('Stalled'), 'True ForeignObject');
  assert.ok(get('StatefulSet', 'orders-replica-3'));
  assert.ok(get('Job', 'orders-controller-3-format'));
  assert.deepEqual(api.objects.get(pathFor('CronJob', 'orders-backup'))?.spec, {});
});

test('a volume of somebody else under our name is given to no pod', async () => {
  const { pass, get } = await begin({}, (kube) => {
    const metadata = { name: 'orders-replica-1-data', namespace: 'n' };
    const claim = { kind: 'PersistentVolumeClaim', metadata, spec: {} };
    kube.put(pathFor('PersistentVolumeClaim', 'orders-replica-1-data'), claim);
  });
  await assert.rejects(pass(1), /PersistentVolumeClaim orders-replica-1-data is there/);
  assert.equal(get('StatefulSet', 'orders-replica-1'), undefined);
});

test('an edit is taken back, a field of somebody else is not', async () => {
  const { api, pass, get } = await begin();
  await pass(3);
  const path = pathFor('StatefulSet', 'orders-replica-1');
  const set = get('StatefulSet', 'orders-replica-1');
  assert.ok(set && isObject(set.spec));
  api.put(path, {
    ...set,
    metadata: { ...set.metadata, labels: { ...set.metadata.labels, theirs: 'x' } },
    spec: { ...set.spec, replicas: 5 },
  });
  await pass(1);
  const after = get('StatefulSet', 'orders-replica-1');
  assert.equal(isObject(after?.spec) && after.spec.replicas, 1);
  assert.equal(after?.metadata.labels?.theirs, 'x');
});

test('status is written on the failing path too', async () => {
  const { api, pass, condition } = await begin();
  await pass(1);
  refuse(api, /\/secrets\//, 'etcd is busy', 500);
  api.remove(pathFor('Secret', 'orders-client'));
  await assert.rejects(pass(1), /busy/);
  await pause();
  assert.equal(condition('Progressing'), 'False ReconcileFailed');
});

test('what the API server refuses stalls, in its words, until the spec is put right', async () => {
  const { api, pass, condition, events } = await begin();
  const typed = 'failed to create typed patch object (n/x): .spec.foo: field not declared';
  for (const [status, says] of [
    [422, 'topologyKey: Invalid value'],
    [500, typed],
  ] as const) {
    refuse(api, /\/statefulsets\//, says, status);
    await assert.rejects(pass());
    assert.equal(condition('Stalled'), 'True ObjectRefused');
    assert.ok(textAt(api.objects.get(CLUSTER), 'status', 'message')?.includes(says));
    // A second warning soon after would wait.
    assert.ok(events().some((note) => note.includes('topologyKey: Invalid value')));
    api.before = () => {};
    await pass();
    assert.equal(condition('Stalled'), 'False NotStalled');
    for (const path of api.objects.keys()) {
      if (path.includes('/statefulsets/')) api.remove(path, undefined);
    }
  }
});

test('what is refused leaves none of the others undone', async () => {
  const { api, pass, get, condition } = await begin();
  // The second of some thirty objects, and one that nothing depends on.
  refuse(api, /\/(services\/orders|networkpolicies\/orders-replicas)$/, 'quota', 403);
  await assert.rejects(pass(), /quota/);
  assert.equal(condition('Stalled'), 'True ObjectRefused');
  assert.ok(get('StatefulSet', 'orders-replica-3'));
  assert.ok(get('Job', 'orders-controller-3-format'));
});

test('a claim that is refused for another reason than its size is no growth', async () => {
  const { api, pass, get, condition } = await begin();
  await pass(3);
  refuse(api, /\/persistentvolumeclaims\//, 'spec is immutable', 422);
  const name = 'orders-replica-1-data';
  const claim = get('PersistentVolumeClaim', name);
  const { annotations, ...metadata } = claim?.metadata ?? {};
  const path = pathFor('PersistentVolumeClaim', name);
  api.put(path, { ...claim, metadata, status: { phase: 'Bound' } });
  assert.ok(annotations);
  await assert.rejects(pass(), /immutable/);
  assert.equal(condition('Stalled'), 'True ObjectRefused');
});

test('a volume that may not grow is said, and holds nothing else up', async () => {
  const { api, pass, get, condition } = await begin();
  await pass(3);
  refuse(api, /\/persistentvolumeclaims\//, 'only dynamically provisioned pvc can be resized', 403);
  const cluster = api.objects.get(CLUSTER);
  assert.ok(cluster && isObject(cluster.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, storage: { size: '2Gi' } } });
  api.remove(pathFor('Service', 'orders-replica-1'));
  await pass(1);
  assert.equal(condition('StorageResizing'), 'False Refused');
  assert.ok(get('Service', 'orders-replica-1'));
});

/** What has no owner, and so stays when the JournalCluster goes. */
const keptOf = ({ objects }: MemoryKube) =>
  [...objects].filter(
    ([, { kind, metadata }]) =>
      !['JournalCluster', 'Event'].includes(kind) && metadata.ownerReferences === undefined,
  );

test('claims that never had a volume are not adopted, but made anew', async () => {
  const old = await begin({ storage: { size: '1Gi', className: 'mistyped' } });
  await old.pass(3);
  const right = await begin({ storage: { size: '1Gi', className: 'right' } }, (api) => {
    api.put('/pad', { metadata: { name: 'pad' } });
    for (const [path, one] of keptOf(old.api)) api.put(path, one);
  });
  const deleted: unknown[] = [];
  right.api.before = ({ method, path, body }) => {
    if (method === 'DELETE' && path.endsWith('orders-replica-1-data')) deleted.push(body);
  };
  await right.pass(3);
  const claim = right.get('PersistentVolumeClaim', 'orders-replica-1-data');
  assert.equal(textAt(claim, 'spec', 'storageClassName'), 'right');
  // One that gets its volume meanwhile is not the one that was seen, and stays.
  assert.equal(deleted.length, 1);
  assert.ok(textAt(deleted[0], 'preconditions', 'resourceVersion'));
  assert.equal(right.condition('Progressing'), 'True Formatting');
});

test('what a deleted cluster left is adopted whole, or not at all', async () => {
  const old = await begin();
  await old.pass(3);
  format(old.api);
  await old.pass(3);
  const kept = keptOf(old.api);
  const kinds = [...new Set(kept.map(([, one]) => one.kind))].sort();
  assert.deepEqual(kinds, ['ConfigMap', 'PersistentVolumeClaim', 'Secret']);
  const restore = (without: string) => (api: MemoryKube) => {
    api.put('/pad', { metadata: { name: 'pad' } });
    for (const [path, one] of kept) if (one.metadata.name !== without) api.put(path, one);
  };
  const whole = await begin({}, restore(''));
  await whole.pass(2);
  const data = (object: KubeObject | undefined): string =>
    textAt(object, 'data', 'ledger.json') ?? '';
  const before: unknown = JSON.parse(data(old.get('ConfigMap', 'orders-ledger')));
  const adopted: unknown = JSON.parse(data(whole.get('ConfigMap', 'orders-ledger')));
  assert.equal(textAt(adopted, 'clusterId'), textAt(before, 'clusterId'));
  assert.ok(whole.get('StatefulSet', 'orders-controller-1'), 'it is formatted already');
  for (const missing of ['orders-replica-2-data', 'orders-ledger', 'orders-ca']) {
    const part = await begin({}, restore(missing));
    await part.pass(1);
    assert.equal(part.condition('Stalled'), 'True AdoptionIncomplete', missing);
    assert.match(part.events().join(), new RegExp(`${missing} is missing`));
    assert.equal(part.get('StatefulSet', 'orders-replica-1'), undefined);
  }
});

const kindOf = (object: KubeObject | undefined): keyof typeof RESOURCES => {
  const { kind = '' } = object ?? {};
  assert.ok(isKind(kind), `an object of kind ${kind} is there`);
  return kind;
};

test('another deletion policy holds for all that was made before, or for none of it', async () => {
  const { api, pass, get } = await begin({ deletionPolicy: 'Delete' });
  await pass(3);
  // One that has left, whose volume was kept, and is smaller than those of today.
  const left = structuredClone(get('PersistentVolumeClaim', 'orders-replica-1-data'));
  assert.ok(left);
  const labels = { ...left.metadata.labels, 'journal.dev/member': 'replica-9' };
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '512Mi' } } };
  api.put(pathFor('PersistentVolumeClaim', 'orders-replica-9-data'), {
    ...left,
    metadata: { ...left.metadata, name: 'orders-replica-9-data', uid: 'uid-of-9', labels },
    spec,
    status: { phase: 'Bound' },
  });
  const kept = [
    get('PersistentVolumeClaim', 'orders-replica-9-data'),
    get('ConfigMap', 'orders-ledger'),
    get('Secret', 'orders-ca'),
    get('PersistentVolumeClaim', 'orders-replica-1-data'),
    get('PersistentVolumeClaim', 'orders-controller-3-data'),
  ].map((one) => pathFor(kindOf(one), one?.metadata.name ?? ''));
  for (const [deletionPolicy, owners] of [
    ['Retain', 0],
    ['Delete', 1],
    ['Retain', 0],
  ] as const) {
    const cluster = api.objects.get(CLUSTER);
    assert.ok(cluster && isObject(cluster.spec));
    api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, deletionPolicy } });
    await pass(2);
    for (const path of kept) {
      const { ownerReferences = [] } = api.objects.get(path)?.metadata ?? {};
      assert.equal(ownerReferences.length, owners, `${path} under ${deletionPolicy}`);
    }
    const before = api.writes.length;
    await pass(2);
    assert.deepEqual(api.writes.slice(before), []);
    assert.deepEqual(get('PersistentVolumeClaim', 'orders-replica-9-data')?.spec, spec);
  }
});

test('of two operators that found no ledger one writes it, and the other looks again', async () => {
  const { api, pass, get } = await begin();
  const path = pathFor('ConfigMap', 'orders-ledger');
  const clusterId = '7'.repeat(32);
  const { uid } = api.objects.get(CLUSTER)?.metadata ?? {};
  api.before = ({ method }) => {
    if (method === 'GET' || api.objects.has(path)) return;
    const metadata = { name: 'orders-ledger', namespace: 'n' };
    const data = { 'ledger.json': JSON.stringify({ clusterId, ownerUid: uid }) };
    api.put(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  };
  await assert.rejects(pass(1), { status: 409 });
  await pass(1);
  const ledger: unknown = JSON.parse(
    textAt(get('ConfigMap', 'orders-ledger'), 'data', 'ledger.json') ?? '',
  );
  assert.equal(textAt(ledger, 'clusterId'), clusterId);
});

test('a suspended cluster is reported and not touched', async () => {
  const { api, pass, get, condition } = await begin();
  await pass(3);
  const cluster = api.objects.get(CLUSTER);
  assert.ok(cluster && isObject(cluster.spec));
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, suspend: true, members: 5 } });
  api.remove(pathFor('Service', 'orders-replica-1'));
  const before = api.writes.length;
  await pass(2);
  assert.deepEqual(
    api.writes.slice(before).filter((one) => !one.endsWith('/status')),
    [],
  );
  const status = (name: string) => textAt(api.objects.get(CLUSTER), 'status', name) ?? '';
  assert.equal(status('mode'), 'suspended');
  assert.equal(condition('Progressing'), 'False Suspended');
  assert.equal(condition('Reconciling'), 'False Suspended');
  assert.match(status('message'), /nothing is changed; .*Service orders-replica-1 is missing/);
  const quiet = api.writes.length;
  await pass(2);
  assert.equal(api.writes.length, quiet);
  assert.equal(get('Service', 'orders-replica-1'), undefined);
  assert.equal(conditionOf(api.objects.get(CLUSTER), 'Ready'), 'False');
});

test('two operators of two namespaces come to rest: neither locks the other out', async () => {
  const { api, pass, get, beside } = await begin();
  const other = beside('other-system');
  await pass(3);
  for (let count = 0; count < 2; count += 1) {
    await other.reconcile('n', 'orders');
    await pass();
  }
  const before = api.writes.length;
  await other.reconcile('n', 'orders');
  await pass(2);
  assert.deepEqual(api.writes.slice(before), []);
  const policy = JSON.stringify(get('NetworkPolicy', 'orders-controllers')?.spec);
  for (const namespace of ['journal-system', 'other-system']) {
    assert.match(policy, new RegExp(`metadata.name":"${namespace}"`));
  }
});

test('events tell what was deleted, and a change of the spec from a repair', async () => {
  const { api, pass } = await begin();
  await pass(3);
  format(api);
  await pass(4);
  const told = () =>
    [...api.objects.values()]
      .filter(({ kind }) => kind === 'Event')
      .map(({ reason, note }) => `${reason} ${note}`);
  assert.ok(told().includes('Deleted Job orders-controller-1-format: controller-1 is formatted'));
  const cluster = api.objects.get(CLUSTER);
  assert.ok(isObject(cluster?.spec));
  const podTemplate = { labels: { team: 'a' } };
  api.put(CLUSTER, { ...cluster, spec: { ...cluster.spec, podTemplate } });
  await pass();
  const updated = 'Updated StatefulSet orders-replica-1: another template is asked for';
  assert.ok(told().includes(updated));
  assert.doesNotMatch(told().join(), /Repaired/);
  const set = api.objects.get(pathFor('StatefulSet', 'orders-replica-1'));
  assert.ok(set && isObject(set.spec));
  api.put(pathFor('StatefulSet', 'orders-replica-1'), {
    ...set,
    spec: { ...set.spec, replicas: 4 },
  });
  await pass();
  assert.match(told().join(), /Repaired StatefulSet orders-replica-1: spec.replicas is not as it/);
});
