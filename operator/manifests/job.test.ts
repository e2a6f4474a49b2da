// What a Job runs is what the process that it starts takes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCommandLine } from '../controller/config.ts';
import type { JournalCluster } from '../crd.ts';
import type { Ledger } from '../journal/ledger.ts';
import { decide, settle } from '../journal/settle.ts';
import { listAt } from '../kube/fields.ts';
import { formatJob } from './job.ts';

const ABOUT = { pid: 1, version: '1' };

function formatArguments(recovery: string): readonly string[] {
  const metadata = {
    ...{ name: 'orders', namespace: 'n', uid: 'u', generation: 1, resourceVersion: '1' },
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  const spec = { storage: { size: '1Gi' } };
  const cluster: JournalCluster = { apiVersion: '', kind: '', metadata, spec };
  const defaults = { image: 'journal:1', nodeZones: [], podMonitors: null, ipv6: false };
  const none = { claimUid: '', leaving: '', by: '', removing: false };
  const ledger: Ledger = {
    ...{ ownerUid: 'u', clusterId: '0'.repeat(32), formatted: false, restored: false },
    ...{ decided: decide(cluster, undefined, defaults), nextReplica: 2, nextController: 5 },
    replicas: [{ id: 'replica-1', zone: 'a', granted: true, ordered: true, ...none }],
    controllers: [{ id: 'controller-4', zone: 'a', formatted: false, ...none }],
    ...{ recovery, recovered: '' },
  };
  const job = formatJob(settle(cluster, ledger), ledger, { id: 'controller-4', zone: 'a' });
  const [container] = listAt(job, 'spec', 'template', 'spec', 'containers');
  const args = listAt(container, 'args');
  return args.filter((one) => typeof one === 'string');
}

test('any word that asks for a recovery is taken by what formats', () => {
  for (const word of ['again', '-1', '--yes', 'in two words']) {
    const [component, ...args] = formatArguments(word);
    assert.equal(component, 'controller');
    const line = readCommandLine(args, {}, ABOUT);
    assert.equal(line.kind === 'format' ? line.format.recovery : line.kind, word);
  }
});
