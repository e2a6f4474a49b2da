// Backups that do not come about are told, and a new spec frees them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalCluster, JournalClusterSpec } from '../crd.ts';
import type { KubeObject } from '../kube/api.ts';
import { at } from '../kube/fields.ts';
import { found } from './found.ts';
import { plan } from './plan.ts';
import { settle } from './settle.ts';
import { statusOf } from './status.ts';
import { type Action, type Progress, waiting, working } from './steps.ts';
import type { World } from './world.ts';

const STEADY: Progress = { kind: 'steady' };
const OUTCOME = { progress: STEADY, error: '', overdue: false, certificates: '', volumes: '' };

const backup = { schedule: '0 3 * * *', claimName: 'backups' } as const;

function worldOf(spec: Partial<JournalClusterSpec>, objects: readonly KubeObject[]) {
  const metadata = {
    ...{ name: 'orders', namespace: 'n', uid: 'u', generation: 1, resourceVersion: '1' },
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  const cluster: JournalCluster = {
    ...{ apiVersion: '', kind: '', metadata },
    spec: { storage: { size: '1Gi' }, backup, ...spec },
  };
  const world: World = {
    ...{ cluster, objects, ledger: null, operatorNamespace: 'journal-system' },
    nowMillis: Date.parse('2026-01-03T03:10:00Z'),
    defaults: { image: 'journal:1', nodeZones: [], podMonitors: null, ipv6: false },
    chain: { kind: 'unknown', reason: '' },
  };
  const begun = found({ ...world, objects: [] }, null, () => '0'.repeat(32));
  assert.ok(begun?.kind === 'ledger');
  return { world, ledger: begun.ledger, settled: settle(cluster, begun.ledger) };
}

function degraded(objects: readonly KubeObject[], spec: Partial<JournalClusterSpec> = {}): string {
  const { world, ledger, settled } = worldOf(spec, objects);
  const { conditions = [] } = statusOf(world, ledger, settled, OUTCOME);
  const one = conditions.find(({ type }) => type === 'Degraded');
  return `${one?.status} ${one?.reason} ${one?.message}`.trim();
}

function actionsOn(
  name: string,
  objects: readonly KubeObject[],
  spec: Partial<JournalClusterSpec> = {},
): readonly Action[] {
  const { world, ledger, settled } = worldOf(spec, objects);
  return plan(world, ledger, settled).actions.filter(
    (one) => (one.kind === 'apply' || one.kind === 'delete') && one.object.metadata.name === name,
  );
}

/** The CronJob as the operator makes it, with what Kubernetes says of it. */
function cronJob(status: object, spec: Partial<JournalClusterSpec> = {}): KubeObject {
  const [made] = actionsOn('orders-backup', [], spec);
  assert.ok(made?.kind === 'apply');
  return { ...made.object, status };
}

const labels = {
  'journal.dev/cluster': 'orders',
  'app.kubernetes.io/component': 'backup',
} as const;

const pending: KubeObject = {
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: { name: 'orders-backup-1-x', creationTimestamp: '2026-01-03T03:00:00Z', labels },
  status: {
    conditions: [
      { type: 'PodScheduled', status: 'False', message: 'claim "backups" not found' },
      { type: 'Ready', status: 'False' },
    ],
  },
};

const CREATING = { reason: 'ContainerCreating' } as const;
const RUN = '2026-01-03T03:00:00Z';
const BEFORE = '2026-01-02T03:00:20Z';

test('before the first run, and while one is under way, nothing is said', () => {
  assert.equal(degraded([cronJob({})]), 'False AllWell');
  const active = [{ name: 'orders-backup-1' }];
  assert.equal(degraded([cronJob({ lastScheduleTime: RUN, active })]), 'False AllWell');
  const done = { lastScheduleTime: RUN, lastSuccessfulTime: '2026-01-03T03:00:20Z' };
  assert.equal(degraded([cronJob(done)]), 'False AllWell');
});

test('a backup whose pod waits for its claim is told in the words of the scheduler', () => {
  const active = [{ name: 'orders-backup-1' }];
  assert.equal(
    degraded([cronJob({ lastScheduleTime: RUN, active }), pending]),
    'True BackupFailing Pod orders-backup-1-x: claim "backups" not found',
  );
});

test('a pod that waits for its volume without a word is told after ten minutes', () => {
  const waiting = (creationTimestamp: string): KubeObject => ({
    ...pending,
    metadata: { ...pending.metadata, creationTimestamp },
    status: { phase: 'Pending', containerStatuses: [{ state: { waiting: CREATING } }] },
  });
  assert.equal(degraded([cronJob({}), waiting('2026-01-03T03:01:00Z')]), 'False AllWell');
  assert.equal(
    degraded([cronJob({}), waiting('2026-01-03T02:59:00Z')]),
    'True BackupFailing Pod orders-backup-1-x has not begun for ten minutes: ' +
      'kubectl describe pod orders-backup-1-x says why',
  );
});

test('a backup that failed is told until one succeeds', () => {
  const look = 'kubectl describe cronjob orders-backup names its Job';
  const failed = `True BackupFailing the backup of ${RUN} failed`;
  assert.equal(
    degraded([cronJob({ lastScheduleTime: RUN, lastSuccessfulTime: BEFORE })]),
    `${failed}, the last good one ended ${BEFORE}: ${look}`,
  );
  assert.equal(
    degraded([cronJob({ lastScheduleTime: RUN })]),
    `${failed}, none has succeeded yet: ${look}`,
  );
});

test('a Job of which no pod is made is told', () => {
  const job = {
    ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'orders-backup-1', labels } },
    status: { startTime: RUN },
  };
  const active = [{ name: 'orders-backup-1' }];
  const said = degraded([cronJob({ lastScheduleTime: RUN, active }), job]);
  assert.match(said, /^True BackupFailing no Pod of Job orders-backup-1 is made: /);
});

test('another claim frees what waits for one that is not there, and disturbs nothing else', () => {
  const there = cronJob({ lastScheduleTime: RUN, active: [{ name: 'orders-backup-1' }] });
  const other = { backup: { ...backup, claimName: 'other' } };
  assert.deepEqual(actionsOn('orders-backup', [there, pending]), []);
  const [change] = actionsOn('orders-backup', [there], other);
  assert.equal(change?.kind, 'apply');
  const freed = actionsOn('orders-backup', [there, pending], other);
  assert.deepEqual(
    freed.map(({ kind, why }) => [kind, why]),
    [
      [
        'delete',
        'backups are to be made by other pods: Pod orders-backup-1-x: claim "backups" not found',
      ],
    ],
  );
});

test('backups run where replicas may run, and leave nodes that do not answer', () => {
  const tolerations = [{ key: 'dedicated', operator: 'Exists' }];
  const podTemplate = { nodeSelector: { pool: 'journal' }, priorityClassName: 'high', tolerations };
  const made = cronJob({}, { podTemplate });
  const pod = at(made, 'spec', 'jobTemplate', 'spec', 'template', 'spec');
  assert.deepEqual(at(pod, 'nodeSelector'), podTemplate.nodeSelector);
  assert.deepEqual(at(pod, 'tolerations'), tolerations);
  assert.equal(at(pod, 'priorityClassName'), 'high');
  assert.equal(at(pod, 'terminationGracePeriodSeconds'), 30);
});

const RESTORE = { restore: { claimName: 'old', path: 'orders/x' } } as const;

test('no backup is made, and none removed, before what is to be restored is', () => {
  const suspended = (spec: Partial<JournalClusterSpec>, restored: boolean) => {
    const { world, ledger, settled } = worldOf(spec, []);
    const { actions } = plan(world, { ...ledger, restored }, settled);
    const made = actions.find((one) => one.kind === 'apply' && one.object.kind === 'CronJob');
    return made?.kind === 'apply' ? at(made.object, 'spec', 'suspend') : undefined;
  };
  assert.deepEqual(
    [suspended(RESTORE, false), suspended(RESTORE, true), suspended({}, false)],
    [true, false, false],
  );
});

test('a cluster is not Ready before it is restored and has its journals, whatever goes on', () => {
  const all: readonly Progress[] = [
    STEADY,
    working('Restoring', 'importing'),
    working('Reconciling', 'etcd is busy'),
    waiting('AddingMember', 'replica-4 comes'),
    { kind: 'stalled', reason: 'RestoreFailed', message: 'no complete backup' },
    { kind: 'suspended', reason: 'Suspended', message: 'suspended' },
  ];
  const ready = (spec: Partial<JournalClusterSpec>, progress: Progress, restored: boolean) => {
    const { world, ledger, settled } = worldOf({ tls: { mode: 'Disabled' }, ...spec }, []);
    const chain = { kind: 'known', status: { ready: true, journals: [], processes: [] } };
    // cast: what is looked at of what the controllers say.
    const known = { ...world, chain } as unknown as World;
    const outcome = { ...OUTCOME, progress };
    const { conditions = [] } = statusOf(known, { ...ledger, restored }, settled, outcome);
    const one = conditions.find(({ type }) => type === 'Ready');
    return `${one?.status} ${one?.reason}`;
  };
  for (const progress of all) {
    assert.equal(ready(RESTORE, progress, false), 'False Restoring');
    assert.equal(ready(RESTORE, progress, true), 'True AppendsAccepted');
    const journals = { journals: [{ name: 'audit' }] };
    assert.equal(ready(journals, progress, false), 'False CreatingJournal');
  }
});
