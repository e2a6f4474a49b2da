// What the plugin decides by itself: whether a node may be drained, who may be promoted, the order
// of logs; and that it is explained and refused as it should be. How its program is found is in
// test/processes/plugin.test.ts; the rest needs a Kubernetes: test/kubernetes/cases/seeing.ts.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import type { KubeApi, KubeObject } from '../../operator/kube/api.ts';
import { at } from '../../operator/kube/fields.ts';
import { loadKubeConfig } from '../../operator/kube/http.ts';
import { epoch, journalId, lsn } from '../../protocol/types.ts';
import type { ClusterStatus, JournalStatus, MemberStatus } from '../../transport/public.ts';
import { portOption } from '../console/console.ts';
import { EXIT, type Output } from '../output.ts';
import { benchPod } from './bench.ts';
import { drainVerdict } from './drain.ts';
import { linesOf, prefixed, spoken } from './logs.ts';
import { operatorText } from './operator.ts';
import { clusterOf, isAbout, placeOf, sinceText } from './place.ts';
import { buildPlugin } from './program.ts';
import { promotable } from './promote.ts';

const member = (id: string, role: string, more: Partial<MemberStatus> = {}): MemberStatus => ({
  id,
  store: id,
  zone: 'a',
  address: '',
  role,
  live: true,
  synced: true,
  endLsn: lsn(0),
  durableLsn: lsn(0),
  committedLsn: lsn(0),
  lag: 0,
  ...more,
});

const journal = (name: string, ...members: readonly MemberStatus[]): JournalStatus => ({
  id: journalId('0'.repeat(32)),
  name,
  lineage: 1,
  epoch: epoch(1),
  writable: true,
  note: '',
  members,
  reconfigurations: 0,
  minReplicas: 2,
});

const whole = journal('w', member('r1', 'head'), member('r2', 'middle'), member('r3', 'tail'));

function cluster(journals: readonly JournalStatus[], away: readonly string[] = []): ClusterStatus {
  const processes = ['r1', 'r2', 'r3', 'c1', 'c2', 'c3'].map((id) => ({
    kind: id.startsWith('r') ? ('replica' as const) : ('controller' as const),
    id,
    store: '',
    incarnation: 1,
    zone: 'a',
    address: '',
    pid: 1,
    dataDirectory: '',
    version: '',
    reachable: !away.includes(id),
    note: '',
  }));
  return { cluster: '', featureLevel: 1, ready: true, partial: false, processes, journals };
}

describe('a drain', () => {
  test('is not called safe by a controller that does not know all journals yet', () => {
    const { safe, against } = drainVerdict({ ...cluster([]), partial: true }, ['r1'], 2);
    assert.equal(safe, false);
    assert.match(against.join(), /registers are still being read/);
  });

  test('of one node of three is safe, and its heads move', () => {
    assert.deepEqual(drainVerdict(cluster([whole]), ['r1', 'c1'], 2), {
      safe: true,
      against: [],
      notes: ['journal w: r1 hands over as it ends'],
    });
  });

  test('that would leave too few members is not', () => {
    const two = journal('two', member('r1', 'head'), member('r2', 'tail'));
    const { safe, against } = drainVerdict(cluster([whole, two]), ['r2'], 2);
    assert.equal(safe, false);
    assert.deepEqual(against, ['journal two: 1 members in step would be left, appends need 2']);
  });

  test('counts a member that catches up, or is away, for nothing', () => {
    const members = [member('r1', 'head'), member('r2', 'tail')];
    const joins = journal('j', ...members, member('r3', 'joining', { synced: false }));
    const away = journal('a', ...members, member('r3', 'tail', { live: false }));
    assert.equal(drainVerdict(cluster([joins]), ['r1'], 2).safe, false);
    assert.equal(drainVerdict(cluster([away]), ['r1'], 2).safe, false);
    assert.equal(drainVerdict(cluster([away]), ['r3'], 2).safe, true);
  });

  test('is judged by what each journal needs, and by the cluster where it does not say', () => {
    const three = { ...whole, name: 'three', minReplicas: 3 };
    const { safe, against } = drainVerdict(cluster([whole, three]), ['r2'], 2);
    assert.equal(safe, false);
    assert.deepEqual(against, ['journal three: 2 members in step would be left, appends need 3']);
    const solo = { ...journal('solo', member('r1', 'head'), member('r2', 'tail')), minReplicas: 1 };
    assert.equal(drainVerdict(cluster([solo]), ['r2'], 2).safe, true);
    const silent = { ...whole, minReplicas: 0 };
    assert.equal(drainVerdict(cluster([silent]), ['r2'], 2).safe, true);
    assert.equal(drainVerdict(cluster([silent]), ['r2'], 3).safe, false);
  });

  test('that would leave no majority of controllers is not', () => {
    const { safe, against } = drainVerdict(cluster([whole], ['c3']), ['c1'], 2);
    assert.equal(safe, false);
    assert.deepEqual(against, ['1 of 3 controllers would be left, a majority is needed']);
    assert.equal(drainVerdict(cluster([whole], ['c3']), ['c3'], 2).safe, true);
  });

  test('does not mind journals that have no member there', () => {
    const lost = journal('lost', member('r2', 'head', { live: false }));
    assert.equal(drainVerdict(cluster([lost]), ['r1'], 2).safe, true);
  });
});

describe('a promotion', () => {
  const other = journal('o', member('r2', 'head'), member('r1', 'tail', { synced: false }));

  test('is of all journals that the member serves, so that none is handed on again', () => {
    assert.deepEqual(promotable([whole, other], 'r2', undefined), ['w', 'o']);
    assert.deepEqual(promotable([whole, other], 'r3', 'w'), ['w']);
    assert.deepEqual(promotable([whole, other], 'r1', undefined), ['w']);
  });

  test('is refused for what cannot be, with what can', () => {
    assert.throws(() => promotable([whole], 'r9', undefined), /does not serve any journal.*r1, r2/);
    assert.throws(() => promotable([whole, other], 'r1', 'o'), /r1 does not serve journal o/);
    assert.throws(() => promotable([whole], 'r1', 'x'), /--journal is "x", allowed is w/);
    assert.throws(() => promotable([], 'r1', undefined), /there is no journal/);
  });
});

test('lines of a log without a time stay with the line before them', () => {
  const text = '{"level":30,"time":5,"msg":"a"}\nstack\n\n{"level":30,"time":9,"msg":"b"}\n';
  assert.deepEqual(
    linesOf('r1', text).map(({ millis }) => millis),
    [5, 5, 9],
  );
});

describe('logs', () => {
  const pod = (id: string, container: object, phase = 'Running'): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `orders-${id}-0`, labels: { 'journal.dev/member': id } },
    status: { phase, containerStatuses: [container] },
  });
  const running = pod('replica-1', { state: { running: {} }, lastState: {} });
  const ended = { terminated: { exitCode: 1 } };
  const crashing = pod('replica-2', {
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: ended,
  });
  const waiting = pod('replica-3', { state: { waiting: { reason: 'ErrImagePull' } } }, 'Pending');

  test('are asked of those that have one, so that one that has none hides no other', () => {
    assert.deepEqual(spoken([running, crashing, waiting], false), [running, crashing]);
    assert.deepEqual(spoken([running, crashing, waiting], true), [crashing]);
    assert.throws(() => spoken([waiting], false), /^Error: replica-3 has no log: .*ErrImagePull$/);
    assert.throws(() => spoken([running], true), /^Error: replica-1 has no log: it was not rest/);
  });

  test('that go on are JSON where that is wanted, line by line', async () => {
    const written: string[] = [];
    const write = async (...lines: readonly string[]): Promise<void> => void written.push(...lines);
    // cast: all that is asked of an output here.
    const output = { write } as unknown as Output;
    for (const json of [true, false]) {
      const { sink, done } = prefixed('replica-1', { output, json });
      sink.write('one\ntw');
      sink.end('o\n');
      await done;
    }
    assert.deepEqual(written, [
      ...['one', 'two'].map((line) => `${JSON.stringify({ process: 'replica-1', line })}\n`),
      ...['one', 'two'].map((line) => `replica-1 | ${line}\n`),
    ]);
  });
});

test('the pod of a bench pulls its image as the pods of the cluster do', () => {
  const imagePullSecrets = [{ name: 'registry' }];
  const about = { apiVersion: 'journal.dev/v1alpha1', kind: 'JournalCluster' };
  const orders = { ...about, metadata: { name: 'orders' }, spec: { imagePullSecrets } };
  const flags = { size: 1, records: 1, outstanding: 1, seconds: 1 };
  assert.deepEqual(at(benchPod(orders, 'b', flags), 'spec', 'imagePullSecrets'), imagePullSecrets);
});

test('where no Kubernetes is configured that is said, and no address is made up', () => {
  const { HOME, KUBECONFIG } = process.env;
  const home = mkdtempSync(join(tmpdir(), 'journal-plugin-'));
  try {
    process.env.HOME = home;
    delete process.env.KUBECONFIG;
    assert.throws(() => placeOf({}), /^UsageError: no Kubernetes is configured: set KUBECONFIG/);
    assert.throws(() => loadKubeConfig(), /^Error: no cluster is configured: set KUBECONFIG/);
  } finally {
    process.env.HOME = HOME;
    if (KUBECONFIG !== undefined) process.env.KUBECONFIG = KUBECONFIG;
    rmSync(home, { recursive: true, force: true });
  }
});

test('a name that no cluster can have is asked for nowhere', async () => {
  const paths: string[] = [];
  const api: KubeApi = {
    request: async ({ path }) => {
      paths.push(path);
      return { items: [{ metadata: { name: 'orders' } }] };
    },
    watch: () => assert.fail('nothing is watched'),
  };
  for (const name of ['', 'a/b', '..', 'Orders']) {
    const place = { config: new KubeConfig(), api, namespace: 'shop' };
    const called = `no JournalCluster is called ${JSON.stringify(name)}`;
    await assert.rejects(clusterOf(place, name), {
      message: `${called} in namespace shop; there are: orders`,
    });
  }
  assert.deepEqual(new Set(paths).size, 1);
});

test('how long ago is said in the largest unit that tells it', () => {
  const at = (seconds: number): string =>
    sinceText(new Date(1e12 - seconds * 1_000).toISOString(), 1e12);
  assert.deepEqual([5, 119, 120, 7_199, 7_200, 172_800].map(at), [
    '5s',
    '119s',
    '2m',
    '119m',
    '2h',
    '2d',
  ]);
  assert.equal(sinceText(undefined), '');
});

test('each exit code of the tool is explained, since the plugin ends with any of them', () => {
  let help = '';
  buildPlugin()
    .configureOutput({ writeOut: (text) => (help += text) })
    .outputHelp();
  for (const code of Object.values(EXIT).filter((one) => one < EXIT.leadershipLost)) {
    assert.match(help.slice(help.indexOf('Exit codes:')), new RegExp(`\\b${code} [a-z]`));
  }
});

test('a free port is named once as the default', () => {
  const option = portOption();
  const help = `${option.description} ${option.defaultValueDescription}`;
  assert.equal(help.match(/any free one/g)?.length, 1);
});

test('every command explains itself with an example', () => {
  const { commands } = buildPlugin();
  const names = commands.map((one) => one.name());
  const asked = 'status describe promote drain-check logs bundle bench console'.split(' ');
  assert.deepEqual(names, asked);
  for (const one of commands) {
    let help = '';
    one.configureOutput({ writeOut: (text) => (help += text) });
    one.outputHelp();
    assert.match(help, new RegExp(`Example:\n  kubectl journal ${one.name()} `));
  }
});

describe('whether an operator is at work', () => {
  const NOW = Date.parse('2026-01-01T12:00:00Z');
  const metadata = { name: 'orders', generation: 3 };
  const cluster = (observedGeneration: number) => ({
    apiVersion: 'journal.dev/v1alpha1',
    kind: 'JournalCluster',
    metadata,
    status: { observedGeneration },
  });
  const lease = (renewTime: string, holderIdentity = 'pod') => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'journal-operator' },
    spec: { holderIdentity, renewTime },
  });
  const gone = ': appends go on, nothing is changed or replaced';

  test('one that renewed its Lease within the minute is', () => {
    const old = lease('2026-01-01T09:00:00.000000Z');
    const leases = [lease('2026-01-01T11:59:10.000000Z'), old];
    assert.equal(operatorText(cluster(2), leases, NOW), '');
  });

  test('one that did not is gone since then', () => {
    const text = operatorText(cluster(3), [lease('2026-01-01T09:00:00.000000Z')], NOW);
    assert.equal(text, `  No operator is at work for 3h${gone}\n`);
  });

  test('without one a new cluster is not even made', () => {
    const text = '  No operator is at work: nothing is made before one is\n';
    assert.equal(operatorText({ ...cluster(1), status: undefined }, [], NOW), text);
  });

  test('where there is none, or it let go, the spec may never be looked at', () => {
    const unseen = `${gone}, and nobody has looked at the spec as it is now`;
    assert.equal(operatorText(cluster(2), [], NOW), `  No operator is at work${unseen}\n`);
    const left = lease('2026-01-01T11:59:50.000000Z', '');
    assert.equal(operatorText(cluster(3), [left], NOW), `  No operator is at work${gone}\n`);
  });
});

test('events of a cluster are not those of one whose name begins with its name', () => {
  const clusters = ['ord', 'orders', 'orders-eu'];
  const about = (name: string) =>
    ['orders', 'orders-replica-1-0', 'orders-eu', 'orders-eu-replica-1-0', 'orderslist'].filter(
      (object) => isAbout(object, name, clusters),
    );
  assert.deepEqual(about('orders'), ['orders', 'orders-replica-1-0']);
  assert.deepEqual(about('orders-eu'), ['orders-eu', 'orders-eu-replica-1-0']);
});
