// What people do to a cluster that is in use: scale, roll, break, repair, hibernate, delete, adopt.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { History } from '../../../sim/checkers/history.ts';
import type { KubeObject } from '../lab/api.ts';
import { until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { judge, nowMicros, PodLoad } from '../load/pod.ts';
import { clusterPath, conditionOf, replicaPods, type Spec, whole } from './cluster.ts';
import { CLUSTER, NAMESPACE, TOOL } from './user.ts';

const GAP_MILLIS_MAX = 10_000;
const CHANGE_MILLIS_MAX = 180_000;
const MISSING_IMAGE = 'localhost/missing:1';

const change = (lab: Lab, spec: Spec): Promise<void> =>
  lab.api.patch(clusterPath(NAMESPACE, CLUSTER), { spec });

/** Whole, with this many members, and seen by the operator since the last change. */
async function wholeWith(lab: Lab, members: number): Promise<KubeObject> {
  return until(`${CLUSTER} has ${members} members`, CHANGE_MILLIS_MAX, async () => {
    const { cluster } = await whole(lab, NAMESPACE, CLUSTER, CHANGE_MILLIS_MAX);
    const pods = await replicaPods(lab, NAMESPACE, CLUSTER);
    const steady = conditionOf(cluster, 'Reconciling')?.status !== 'True';
    const right = cluster.status?.memberSummary === `${members}/${members}`;
    return right && steady && pods.length === members ? cluster : undefined;
  });
}

interface Observed {
  readonly history: History;
  readonly gapMillis: number;
}

/** Runs `work` under load; judges the history and the pauses. */
async function underLoad(lab: Lab, journal: string, work: () => Promise<void>): Promise<Observed> {
  const load = await PodLoad.start(lab, {
    namespace: NAMESPACE,
    cluster: CLUSTER,
    journal,
    zone: 'a',
  });
  const from = nowMicros();
  await work();
  const gapMillis = load.longestGapMillis(from);
  const history = await load.stop();
  const { wrong, checked } = judge(history);
  assert.deepEqual(wrong, []);
  assert.ok(checked > 100, `only ${checked} checks`);
  assert.ok(gapMillis < GAP_MILLIS_MAX, `appends paused for ${gapMillis} ms`);
  return { history, gapMillis };
}

const failed = ({ operations }: History) =>
  operations.filter((one) => one.kind === 'append' && one.answer.kind === 'refused');

const uids = async (lab: Lab): Promise<readonly string[]> =>
  (await replicaPods(lab, NAMESPACE, CLUSTER)).map(({ metadata }) => metadata.uid ?? '');

export function lifeCases(theLab: () => Lab): void {
  changes(theLab);
  absences(theLab);
  endings(theLab);
}

/** The spec is changed under load. */
function changes(theLab: () => Lab): void {
  test('members are scaled from 3 to 5 and back', { timeout: 600_000 }, async (context) => {
    const lab = theLab();
    const scale = (members: number): Promise<string> =>
      lab.kubectl([
        ...['--namespace', NAMESPACE, 'scale', `journalcluster/${CLUSTER}`],
        `--replicas=${members}`,
      ]);
    const { gapMillis } = await underLoad(lab, 'scaled', async () => {
      await scale(5);
      await wholeWith(lab, 5);
      await scale(3);
      await wholeWith(lab, 3);
    });
    context.diagnostic(`longest pause ${Math.round(gapMillis)} ms`);
  });

  test('a roll restarts every replica and fails no append', {
    timeout: 600_000,
  }, async (context) => {
    const lab = theLab();
    const before = await uids(lab);
    const { history, gapMillis } = await underLoad(lab, 'rolled', async () => {
      await change(lab, { podTemplate: { annotations: { 'example.com/rolled': 'yes' } } });
      await until('every replica is another pod', CHANGE_MILLIS_MAX, async () => {
        const now = await uids(lab);
        return now.length === 3 && now.every((uid) => !before.includes(uid)) ? true : undefined;
      });
      await wholeWith(lab, 3);
    });
    context.diagnostic(`longest pause ${Math.round(gapMillis)} ms`);
    assert.deepEqual(failed(history), []);
  });

  test('a bad image stops at the first pod, says so, and is undone by the spec', async () => {
    const lab = theLab();
    await underLoad(lab, 'broken', async () => {
      await change(lab, { image: MISSING_IMAGE });
      await until('the status names the pod that does not run', CHANGE_MILLIS_MAX, async () => {
        const found = await lab.api.get(clusterPath(NAMESPACE, CLUSTER));
        const stalled = found === undefined ? undefined : conditionOf(found, 'Stalled');
        const message = String(stalled?.message);
        return stalled?.status === 'True' && /ErrImageNeverPull/.test(message) ? true : undefined;
      });
      const pods = await replicaPods(lab, NAMESPACE, CLUSTER);
      const wrong = pods.filter(({ spec }) => JSON.stringify(spec).includes(MISSING_IMAGE));
      assert.ok(wrong.length <= 1, `${wrong.length} pods have the bad image`);
      await change(lab, { image: null });
      await wholeWith(lab, 3);
    });
  });
}

/** Something is not there for a while. */
function absences(theLab: () => Lab): void {
  test('without an operator pods come back and appends go on', async () => {
    const lab = theLab();
    const operators = (count: number): Promise<string> =>
      lab.kubectl([
        ...['--namespace', 'journal-system', 'scale', 'deployment/journal-operator'],
        `--replicas=${count}`,
      ]);
    await underLoad(lab, 'alone', async () => {
      await operators(0);
      const [pod] = await replicaPods(lab, NAMESPACE, CLUSTER);
      assert.ok(pod);
      await lab.kubectl(['--namespace', NAMESPACE, 'delete', 'pod', pod.metadata.name]);
      await until('the pod is ready again', CHANGE_MILLIS_MAX, async () => {
        const pods = await replicaPods(lab, NAMESPACE, CLUSTER);
        const ready = pods.filter(({ status }) => JSON.stringify(status).includes('"ready":true'));
        return ready.length === 3 ? true : undefined;
      });
      await operators(2);
      await wholeWith(lab, 3);
    });
  });

  test('a cluster hibernates and wakes with its records', { timeout: 600_000 }, async () => {
    const lab = theLab();
    await change(lab, { hibernate: true });
    await until('no pod is left', CHANGE_MILLIS_MAX, async () => {
      const found = await lab.api.get(clusterPath(NAMESPACE, CLUSTER));
      return found?.status?.mode === 'hibernated' ? true : undefined;
    });
    assert.deepEqual(await replicaPods(lab, NAMESPACE, CLUSTER), []);
    await change(lab, { hibernate: false });
    await wholeWith(lab, 3);
    assert.equal(await firstRecords(lab), 'one\ntwo\nthree\n');
  });
}

/** The cluster is deleted. */
function endings(theLab: () => Lab): void {
  test('volumes that were kept are adopted', { timeout: 600_000 }, async () => {
    const lab = theLab();
    const cluster = ['--namespace', NAMESPACE, `journalcluster/${CLUSTER}`];
    const text = await lab.kubectl(['get', ...cluster, '--output=json']);
    await lab.kubectl(['delete', ...cluster, '--timeout=60s']);
    await until('no pod is left', CHANGE_MILLIS_MAX, async () =>
      (await replicaPods(lab, NAMESPACE, CLUSTER)).length === 0 ? true : undefined,
    );
    const { apiVersion, kind, spec } = JSON.parse(text);
    const metadata = { name: CLUSTER, namespace: NAMESPACE };
    await lab.apply({ apiVersion, kind, metadata, spec });
    await wholeWith(lab, 3);
    assert.equal(await firstRecords(lab), 'one\ntwo\nthree\n');
  });

  test('with the operator uninstalled a deletion ends', { timeout: 300_000 }, async () => {
    const lab = theLab();
    await lab.kubectl(['--namespace', 'journal-system', 'delete', 'deployment', '--all']);
    const cluster = ['--namespace', NAMESPACE, `journalcluster/${CLUSTER}`];
    await lab.kubectl(['delete', ...cluster, '--timeout=60s']);
    await until('no pod is left', CHANGE_MILLIS_MAX, async () =>
      (await replicaPods(lab, NAMESPACE, CLUSTER)).length === 0 ? true : undefined,
    );
    await lab.kubectl(['delete', 'namespace', NAMESPACE, '--timeout=120s']);
  });
}

/** What the user's pod appended first, read by it again. */
function firstRecords(lab: Lab): Promise<string> {
  const exec = ['--namespace', NAMESPACE, 'exec', 'user', '--'];
  return lab.kubectl([...exec, ...TOOL, 'read', 'first', '--raw', '--timeout', '60s']);
}
