// A StatefulSet keeps its template while the wishes are the same, and only then.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalCluster, JournalClusterSpec } from '../crd.ts';
import type { Decided, Ledger } from '../journal/ledger.ts';
import { decide, type Settled, settle } from '../journal/settle.ts';
import { at, listAt, textAt } from '../kube/fields.ts';
import { claim } from './claim.ts';
import { type Process, podTemplate } from './pod.ts';
import { statefulSet } from './statefulset.ts';

const metadata = {
  ...{ name: 'orders', namespace: 'n', uid: 'u', generation: 1, resourceVersion: '1' },
  creationTimestamp: '2026-01-01T00:00:00Z',
};

function settledOf(change: Partial<JournalClusterSpec>, before?: Decided): Settled {
  const spec: JournalClusterSpec = { storage: { size: '1Gi' }, ...change };
  const cluster: JournalCluster = { apiVersion: '', kind: '', metadata, spec };
  const nodeZones = ['a', 'b', 'c'];
  const decided = decide(cluster, before, {
    image: 'journal:1',
    nodeZones,
    podMonitors: null,
    ipv6: false,
  });
  const ledger: Ledger = {
    ...{ ownerUid: 'u', clusterId: '0'.repeat(32), formatted: true, restored: false, decided },
    ...{ replicas: [], controllers: [], nextReplica: 1, nextController: 1 },
    ...{ recovery: '', recovered: '' },
  };
  return settle(cluster, ledger);
}

const pods = { logLevel: 'debug' } as const;

/** Another value of every field that a spec has: the compiler misses none. */
const CHANGES: Required<{ readonly [Key in keyof JournalClusterSpec]: JournalClusterSpec[Key] }> = {
  zones: ['a', 'b', 'c'],
  zoneCount: 3,
  members: 2,
  replicationFactor: 2,
  minReplicas: 1,
  storage: { size: '2Gi' },
  controllers: { podTemplate: pods },
  podTemplate: pods,
  image: 'journal:2',
  imagePullPolicy: 'Always',
  imagePullSecrets: [{ name: 'x' }],
  tls: { mode: 'Disabled' },
  networkPolicy: { enabled: false },
  monitoring: { podMonitor: true },
  console: { records: true },
  journals: [{ name: 'x' }],
  suspend: true,
  hibernate: true,
  deletionPolicy: 'Delete',
  progressDeadlineSeconds: 60,
  backup: { schedule: '@daily', claimName: 'x' },
  restore: { claimName: 'x', path: 'x' },
};

const PROCESSES: readonly Process[] = [
  { component: 'replica', id: 'replica-1', zone: 'a' },
  { component: 'controller', id: 'controller-1', zone: 'a' },
];

const FIRST = {
  ...{ image: 'journal:1', zones: [], members: 3, replicationFactor: 3, controllers: 3 },
  ...{ ipv6: false, secured: true },
};

const PODS = ['spec', 'containers'] as const;

const templateOf = (set: unknown): unknown => at(set, 'spec', 'template');

test('what a field says of pods gets to them, and goes when the field goes', () => {
  const changing = new Set<string>();
  const plain = settledOf({}, FIRST);
  for (const [field, value] of Object.entries(CHANGES)) {
    const changed = settledOf({ [field]: value }, FIRST);
    for (const process of PROCESSES) {
      const [before, after] = [podTemplate(plain, process), podTemplate(changed, process)];
      if (JSON.stringify(before) !== JSON.stringify(after)) changing.add(field);
      const there = statefulSet(plain, process, undefined);
      const then = statefulSet(changed, process, there);
      assert.deepEqual(templateOf(then), after, `${field} of ${process.id}`);
      const back = statefulSet(plain, process, then);
      assert.deepEqual(templateOf(back), before, `${process.id} without ${field}`);
    }
  }
  const all = ['console', 'controllers', 'image', 'minReplicas', 'podTemplate', 'tls', 'zones'];
  for (const field of all) assert.ok(changing.has(field), field);
});

test('a newer operator that makes other templates leaves those that are there', () => {
  const plain = settledOf({}, FIRST);
  for (const process of PROCESSES) {
    const made = statefulSet(plain, process, undefined);
    const annotations = { ...made.metadata.annotations, 'journal.dev/template': '{"older":1}' };
    const withAll = (more: Record<string, string>) => ({
      ...made,
      metadata: { ...made.metadata, annotations: { ...annotations, ...more } },
    });
    const [name, sum] = ['journal.dev/template-checksum', 'another'];
    // The first releases wrote no checksum.
    const { [name]: _, ...older }: Record<string, string> = annotations;
    const before = { ...made, metadata: { ...made.metadata, annotations: older } };
    const kept = statefulSet(plain, process, before);
    assert.deepEqual(templateOf(kept), { older: 1 });
    assert.deepEqual(templateOf(statefulSet(plain, process, kept)), { older: 1 });
    // What somebody writes there is not rolled out: the pods stay as they are.
    for (const edited of [withAll({}), withAll({ [name]: sum })]) {
      assert.deepEqual(statefulSet(plain, process, edited), made);
    }
  }
});

test('pods with addresses of IPv6 listen at all of theirs, and tell it in brackets', () => {
  const said = (ipv6: boolean, process: Process): string => {
    const [container] = listAt(podTemplate(settledOf({}, { ...FIRST, ipv6 }), process), ...PODS);
    return listAt(container, 'args').join(' ');
  };
  for (const [index, process] of PROCESSES.entries()) {
    const port = 7400 + 10 * index;
    const all = (host: string, own: string) =>
      `--listen ${host}:${port} --advertise ${own}:${port} --probe-listen ${host}:7480`;
    assert.ok(said(true, process).includes(all('[::]', '[$(POD_IP)]')), process.id);
    assert.ok(said(false, process).includes(all('0.0.0.0', '$(POD_IP)')), process.id);
  }
});

test('a volume that was kept stays of its class, which nothing can change', () => {
  const process: Process = { component: 'replica', id: 'replica-1', zone: 'a' };
  const kept = claim(
    settledOf({ storage: { size: '1Gi', className: 'fast' } }),
    process,
    undefined,
  );
  for (const storage of [{ size: '2Gi' }, { size: '2Gi', className: 'slow' }]) {
    const adopted = claim(settledOf({ storage }), process, kept);
    assert.equal(textAt(adopted, 'spec', 'storageClassName'), 'fast');
    assert.equal(textAt(adopted, 'spec', 'resources', 'requests', 'storage'), '2Gi');
  }
});
