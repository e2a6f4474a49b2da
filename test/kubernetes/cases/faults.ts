// Faults under load from a pod: whatever happens, nothing that was acknowledged is lost or doubled,
// appends go on within a ceiling, and the cluster is whole again by itself.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { History } from '../../../sim/checkers/history.ts';
import type { KubeObject } from '../lab/api.ts';
import { pause, run, until } from '../lab/commands.ts';
import { isReady, type Lab } from '../lab/lab.ts';
import type { LabNode } from '../lab/node.ts';
import { scaleOperator } from '../lab/operator.ts';
import { type Gap, judge, nowMicros, PodLoad } from '../load/pod.ts';
import { replicaPods, replicasOf, whole } from './cluster.ts';
import { CLUSTER, NAMESPACE } from './user.ts';

const plugin = join(import.meta.dirname, '../../../bin/kubectl-journal');
const GAP_MILLIS_MAX = 10_000;
const RESTART_MILLIS_MAX = 120_000;

/** Whom a fault befalls. */
interface Victim {
  readonly lab: Lab;
  readonly pod: string;
  readonly node: LabNode;
}

/** Does harm, ends it after a while, and returns. */
type Fault = (victim: Victim) => Promise<void>;

const kubectl = (lab: Lab, ...args: readonly string[]): Promise<string> =>
  lab.kubectl(['--namespace', NAMESPACE, ...args]);

/** Kills all processes of the pod's container; the kubelet starts another one. */
async function killContainer({ lab, pod, node }: Victim): Promise<void> {
  await node.ctr('tasks', 'kill', '--signal', 'SIGKILL', await containerOf(lab, pod));
}

async function containerOf(lab: Lab, pod: string): Promise<string> {
  const { metadata } = await lab.pod(NAMESPACE, pod);
  return containerOfUid(await lab.nodeOf(NAMESPACE, pod), metadata.uid ?? '');
}

/** Asks containerd, which needs no API server. */
async function containerOfUid(node: LabNode, uid: string): Promise<string> {
  const filter = `labels."io.kubernetes.pod.uid"==${uid}`;
  const filters = `${filter},labels."io.cri-containerd.kind"==container`;
  const ids = (await node.ctr('containers', 'list', '--quiet', filters)).split('\n');
  const tasks = await node.ctr('tasks', 'list');
  const found = ids.find((id) => id !== '' && new RegExp(`^${id}\\s.*RUNNING`, 'm').test(tasks));
  assert.ok(found, `the pod ${uid} has a container that runs`);
  return found;
}

const faults: Readonly<Record<string, Fault>> = {
  'a pod is deleted': async ({ lab, pod }) => {
    await kubectl(lab, 'delete', 'pod', pod, '--wait=false');
    await pause(2_000);
  },
  'a process is killed': async (victim) => {
    await killContainer(victim);
    await pause(2_000);
  },
  'a container is paused': async ({ lab, pod }) => {
    await lab.pause(NAMESPACE, pod, true);
    await pause(12_000);
    await lab.pause(NAMESPACE, pod, false);
  },
  'a node is cut off': async ({ lab, node }) => {
    await lab.network.cut(node.name);
    await pause(15_000);
    await lab.network.heal(node.name);
  },
  'a zone is lost and comes back': async ({ node }) => {
    await node.powerOff();
    await pause(15_000);
    await node.powerOn();
  },
  'the operator is away, and a pod is deleted meanwhile': async ({ lab, pod }) => {
    const { uid } = (await lab.pod(NAMESPACE, pod)).metadata;
    try {
      await scaleOperator(lab, 0);
      const inside = ['env', `KUBECONFIG=${lab.kubeconfig}`, plugin, 'status', CLUSTER];
      const status = await run(lab.inside([...inside, '--namespace', NAMESPACE]));
      assert.match(status, /^ {2}No operator is at work: appends go on/m);
      await kubectl(lab, 'delete', 'pod', pod);
      await until('the pod is ready again', RESTART_MILLIS_MAX, async () => {
        const found = await lab.pod(NAMESPACE, pod);
        return found.metadata.uid !== uid && isReady(found) ? true : undefined;
      });
    } finally {
      await scaleOperator(lab, 2);
    }
  },
  'a node is drained': async ({ lab, node }) => {
    const name = `node-${node.name}`;
    const how = ['--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=60s'];
    const ours = `journal.dev/cluster=${CLUSTER}`;
    await lab.kubectl(['drain', name, ...how, `--pod-selector=${ours}`]);
    await pause(2_000);
    await lab.kubectl(['uncordon', name]);
  },
  'the API server is away for a minute, and a process is killed meanwhile': async (victim) => {
    const { lab, pod, node } = victim;
    const container = await containerOf(lab, pod);
    const { uid = '' } = (await lab.pod(NAMESPACE, pod)).metadata;
    await lab.controlPlane.stopApi();
    const stopped = performance.now();
    await node.ctr('tasks', 'kill', '--signal', 'SIGKILL', container);
    await until('another container runs instead', RESTART_MILLIS_MAX, async () =>
      (await containerOfUid(node, uid)) === container ? undefined : true,
    );
    await pause(60_000 - (performance.now() - stopped));
    await lab.controlPlane.startApi();
    await lab.ready();
  },
};

/** All of them unless told which. */
export function faultCases(theLab: () => Lab, names = Object.keys(faults)): void {
  for (const [at, [name, fault]] of Object.entries(faults).entries()) {
    if (!names.includes(name)) continue;
    test(name, { timeout: 300_000 }, async (context) => {
      const lab = theLab();
      const victim = await victimOf(lab);
      const before = await claims(lab);
      const node = lab.nodes.find((other) => other !== victim.node)?.name ?? '';
      const journal = `fault-${at}`;
      const load = await PodLoad.start(lab, {
        namespace: NAMESPACE,
        cluster: CLUSTER,
        journal,
        node,
      });
      const from = nowMicros();
      let gap: Gap;
      let millis: number;
      let history: History;
      try {
        await fault(victim);
        ({ millis } = await whole(lab, NAMESPACE, CLUSTER));
        gap = load.longestGap(from);
        history = await load.stop();
      } finally {
        await load.remove();
      }
      const { wrong, checked } = judge(history);
      context.diagnostic(
        `longest pause ${Math.round(gap.seenMillis)} ms; whole ${Math.round(millis)} ms after; ` +
          `${checked} checks`,
      );
      assert.deepEqual(wrong, []);
      assert.ok(checked > 100, `only ${checked} checks`);
      assert.ok(gap.givenMillis < GAP_MILLIS_MAX, `appends paused: ${JSON.stringify(gap)}`);
      assert.deepEqual(await claims(lab), before, 'no volume was given up');
    });
  }
}

/** The member that heads the most journals: the one whose loss is felt. */
async function victimOf(lab: Lab): Promise<Victim> {
  const { cluster } = await whole(lab, NAMESPACE, CLUSTER);
  const replicas = [...replicasOf(cluster)].sort((a, b) => Number(b.heads) - Number(a.heads));
  const member = String(replicas[0]?.id);
  const pods = await replicaPods(lab, NAMESPACE, CLUSTER);
  const pod = pods.find(({ metadata }) => metadata.labels?.['journal.dev/member'] === member);
  assert.ok(pod, `member ${member} has a pod`);
  const { name } = pod.metadata;
  return { lab, pod: name, node: await lab.nodeOf(NAMESPACE, name) };
}

/** Which volume each claim of the cluster has. */
async function claims(lab: Lab): Promise<readonly string[]> {
  const path = `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims`;
  const found: readonly KubeObject[] = await lab.api.list(path);
  return found.map(({ metadata, spec }) => `${metadata.name} ${metadata.uid} ${spec?.volumeName}`);
}
