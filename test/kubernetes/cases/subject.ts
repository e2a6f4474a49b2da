// A JournalCluster in the hands of a test: made, changed, waited for, judged under load.

import assert from 'node:assert/strict';
import type { History } from '../../../sim/checkers/history.ts';
import { type KubeObject, record } from '../lab/api.ts';
import { until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { type Gap, judge, nowMicros, PodLoad } from '../load/pod.ts';
import {
  clusterPath,
  conditionOf,
  journalCluster,
  makeNamespace,
  replicaPods,
  type Spec,
  whole,
} from './cluster.ts';
import { runTool } from './user.ts';

const GAP_MILLIS_MAX = 10_000;
export const CHANGE_MILLIS_MAX = 240_000;

export interface Observed {
  readonly history: History;
  readonly gapMillis: number;
}

export class Subject {
  readonly lab: Lab;
  readonly namespace: string;
  readonly name: string;

  constructor(lab: Lab, namespace: string, name: string) {
    this.lab = lab;
    this.namespace = namespace;
    this.name = name;
  }

  /** Makes it, and its namespace where there is none. */
  async make(spec: Spec): Promise<void> {
    await makeNamespace(this.lab, this.namespace);
    await this.lab.apply(journalCluster(this.namespace, this.name, spec));
  }

  change(spec: Spec): Promise<void> {
    return this.lab.api.patch(clusterPath(this.namespace, this.name), { spec });
  }

  annotate(key: string, value: string | null): Promise<void> {
    const metadata = { annotations: { [`journal.dev/${key}`]: value } };
    return this.lab.api.patch(clusterPath(this.namespace, this.name), { metadata });
  }

  async found(): Promise<KubeObject> {
    const found = await this.lab.api.get(clusterPath(this.namespace, this.name));
    if (found === undefined) throw new Error(`no JournalCluster ${this.namespace}/${this.name}`);
    return found;
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return this.lab.kubectl(['--namespace', this.namespace, ...args]);
  }

  object(group: string, plural: string, name: string): Promise<KubeObject | undefined> {
    const base = group === '' ? '/api/v1' : `/apis/${group}`;
    return this.lab.api.get(`${base}/namespaces/${this.namespace}/${plural}/${name}`);
  }

  pods(): Promise<readonly KubeObject[]> {
    return replicaPods(this.lab, this.namespace, this.name);
  }

  /** Whole, with this many members, and seen by the operator since the last change. */
  wholeWith(members: number): Promise<KubeObject> {
    return until(`${this.name} has ${members} members`, CHANGE_MILLIS_MAX, async () => {
      const { cluster } = await whole(this.lab, this.namespace, this.name, CHANGE_MILLIS_MAX);
      const pods = await this.pods();
      const steady = conditionOf(cluster, 'Reconciling')?.status === 'False';
      const calm = conditionOf(cluster, 'Stalled')?.status === 'False';
      const right = cluster.status?.memberSummary === `${members}/${members}`;
      return right && steady && calm && pods.length === members ? cluster : undefined;
    });
  }

  /** Waits until the condition has the status and its reason and message fit; answers both. */
  async says(type: string, status: string, fits: RegExp): Promise<string> {
    let seen = '';
    try {
      return await until(`${type} is ${status}, ${fits}`, CHANGE_MILLIS_MAX, async () => {
        const condition = conditionOf(await this.found(), type);
        const text = `${condition?.reason}: ${condition?.message}`;
        seen = `${condition?.status} ${text}`;
        return condition?.status === status && fits.test(text) ? text : undefined;
      });
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}\nit is ${seen}`);
    }
  }

  /** The hand tool in the pod of a user, which is made where there is none. */
  tool(args: readonly string[], input = ''): Promise<string> {
    const { lab, namespace, name: cluster } = this;
    return runTool(lab, { namespace, cluster, role: 'client' }, args, input);
  }

  /** The same with the operator's Secret, which may give orders. */
  operatorTool(args: readonly string[]): Promise<string> {
    const { lab, namespace, name: cluster } = this;
    return runTool(lab, { namespace, cluster, role: 'operator' }, args);
  }

  /** Runs `work` under load from a pod on a node; judges the history and the pauses. */
  async underLoad(
    journal: string,
    work: () => Promise<void>,
    node = this.lab.state.nodes[0] ?? '',
  ): Promise<Observed> {
    const { lab, namespace, name: cluster } = this;
    const load = await PodLoad.start(lab, { namespace, cluster, journal, node });
    const from = nowMicros();
    let gap: Gap;
    let history: History;
    try {
      await work();
      gap = load.longestGap(from);
      history = await load.stop();
    } finally {
      await load.remove();
    }
    const { wrong, checked } = judge(history);
    assert.deepEqual(wrong, []);
    assert.ok(checked > 100, `only ${checked} checks`);
    assert.ok(gap.givenMillis < GAP_MILLIS_MAX, `appends paused: ${JSON.stringify(gap)}`);
    return { history, gapMillis: gap.seenMillis };
  }

  async noPods(): Promise<void> {
    await until(`no pod of ${this.name} is left`, CHANGE_MILLIS_MAX, async () =>
      (await this.pods()).length === 0 ? true : undefined,
    );
  }

  /** Ends all processes and waits until they have ended. */
  async hibernate(): Promise<void> {
    await this.change({ hibernate: true });
    await until(`${this.name} hibernates`, CHANGE_MILLIS_MAX, async () =>
      (await this.found()).status?.mode === 'hibernated' ? true : undefined,
    );
  }

  /** Deletes it; its pods are gone afterwards, and its namespace is left. */
  async remove(): Promise<void> {
    await this.kubectl('delete', `journalcluster/${this.name}`, '--timeout=60s');
    await this.noPods();
  }

  /** Ids of the replicas as the ledger has them. */
  async members(): Promise<readonly string[]> {
    const { status } = await this.found();
    return Array.isArray(status?.replicas) ? status.replicas.map((one) => `${record(one).id}`) : [];
  }
}

/** Appends that did not go through, whatever the SDK tried. */
export const refusedAppends = ({ operations }: History) =>
  operations.filter((one) => one.kind === 'append' && one.answer.kind === 'refused');
