// `kubectl journal drain-check`: would appends go on while a node is drained?

import type { Command } from 'commander';
import { isStatus, type KubeObject, RESOURCES } from '../../operator/kube/api.ts';
import { labelsOf, numberAt, textAt } from '../../operator/kube/fields.ts';
import { listObjects } from '../../operator/kube/objects.ts';
import { CLUSTER_LABEL, MEMBER_LABEL } from '../../operator/manifests/common.ts';
import type { ClusterStatus } from '../../transport/public.ts';
import { EXIT, note, Output, UsageError } from '../output.ts';
import { PARTIAL } from '../status.ts';
import { asking, kubeCommand, type Place, type PlaceFlags, placeOf } from './place.ts';
import { statusOf } from './status.ts';

interface DrainFlags extends PlaceFlags {
  readonly allNamespaces?: boolean;
}

export interface Verdict {
  readonly safe: boolean;
  /** What stands against it, a sentence each; empty where nothing does. */
  readonly against: readonly string[];
  /** What will happen. */
  readonly notes: readonly string[];
}

const MIN_REPLICAS = 2;

export function drainCommand(): Command {
  return kubeCommand(
    'drain-check <node>',
    'Says whether appends go on while a node is drained. Exit code 0: yes, 1: no, and why.',
    'kubectl journal drain-check worker-3 && ' +
      'kubectl drain worker-3 --ignore-daemonsets --delete-emptydir-data',
    'kubectl journal drain-check worker-3 -n shop --json',
  )
    .option('-A, --all-namespaces', 'of every namespace, or none (default: those that may be read)')
    .action(async (node: string, flags: DrainFlags) => {
      const place = placeOf(flags);
      const output = new Output();
      const { clusters, where } = await onNode(place, node, scopeOf(flags));
      if (clusters.length === 0 && !flags.json) {
        await output.line(noneText(node, where));
      }
      let safe = true;
      for (const { cluster, processes } of clusters) {
        const { name, namespace = '' } = cluster.metadata;
        const verdict = await judged({ ...place, namespace }, cluster, processes);
        safe &&= verdict.safe;
        if (flags.json)
          await output.json({ namespace, cluster: name, node, processes, ...verdict });
        else await output.write(verdictText(`${namespace}/${name}`, node, verdict));
      }
      await output.flush();
      if (!safe) process.exitCode = EXIT.failed;
    });
}

interface OnNode {
  readonly cluster: KubeObject;
  readonly processes: readonly string[];
}

/** Whose pods count: all, those of one namespace, or all where the caller may see them. */
type Scope = 'all' | 'one' | 'readable';

function scopeOf({ allNamespaces, namespace }: DrainFlags): Scope {
  if (allNamespaces && namespace !== undefined) {
    throw new UsageError('-A and -n contradict each other, allowed is one of them');
  }
  if (allNamespaces) return 'all';
  return namespace === undefined ? 'readable' : 'one';
}

/** A node is drained of the pods of all namespaces: what was not looked at is said. */
const noneText = (node: string, where: string | undefined): string =>
  where === undefined
    ? `no pod of a JournalCluster is on ${node}: it can be drained`
    : `no pod of a JournalCluster in namespace ${where} is on ${node}; others were not looked at`;

async function onNode(place: Place, node: string, scope: Scope) {
  await mustBeNode(place, node);
  if (scope === 'one') return await within(place, node, place.namespace);
  try {
    return await within(place, node, undefined);
  } catch (error) {
    const refused = error instanceof Error && isStatus(error.cause, 403);
    if (scope === 'all' || !refused) throw error;
    note(`you may not look at all namespaces: looking at ${place.namespace} alone`);
    return await within(place, node, place.namespace);
  }
}

/** Who may not list nodes is not told of a wrong name. */
async function mustBeNode({ api }: Place, node: string): Promise<void> {
  const known = await asking(() => listObjects(api, RESOURCES.Node, undefined)).catch(() => null);
  const names = known?.objects.map(({ metadata }) => metadata.name);
  if (names !== undefined && !names.includes(node)) {
    throw new UsageError(
      `no node is called ${JSON.stringify(node)}, allowed is ${names.join(', ')}`,
    );
  }
}

/** `where` is the namespace that was looked at; undefined for all. */
async function within(
  { api }: Place,
  node: string,
  where: string | undefined,
): Promise<{ readonly clusters: readonly OnNode[]; readonly where: string | undefined }> {
  const labelSelector = CLUSTER_LABEL;
  const pods = await asking(() => listObjects(api, RESOURCES.Pod, where, { labelSelector }));
  const here = pods.objects.filter(
    (pod) => textAt(pod, 'spec', 'nodeName') === node && MEMBER_LABEL in labelsOf(pod.metadata),
  );
  const all = await asking(() => listObjects(api, RESOURCES.JournalCluster, where));
  const clusters = all.objects.flatMap((cluster) => {
    const own = here.filter(
      ({ metadata }) =>
        metadata.namespace === cluster.metadata.namespace &&
        labelsOf(metadata)[CLUSTER_LABEL] === cluster.metadata.name,
    );
    const processes = own.map(({ metadata }) => labelsOf(metadata)[MEMBER_LABEL] ?? '');
    return processes.length === 0 ? [] : [{ cluster, processes }];
  });
  return { clusters, where };
}

async function judged(
  place: Place,
  cluster: KubeObject,
  processes: readonly string[],
): Promise<Verdict> {
  const { status, trouble } = await statusOf(place, cluster);
  // What is not known is not safe.
  if (status === null) {
    return { safe: false, against: [`its processes cannot be asked: ${trouble}`], notes: [] };
  }
  const minReplicas = numberAt(cluster, 'status', 'resolved', 'minReplicas') ?? MIN_REPLICAS;
  return drainVerdict(status, processes, minReplicas);
}

/**
 * Whether the cluster takes appends without `processes`, as far as it is healthy now. Each journal
 * counts by its own `minReplicas`; where controllers of before do not say it, by the cluster's.
 */
export function drainVerdict(
  status: ClusterStatus,
  processes: readonly string[],
  minReplicas: number,
): Verdict {
  const gone = new Set(processes);
  const controllers = status.processes.filter(({ kind }) => kind === 'controller');
  const left = controllers.filter(({ id, reachable }) => reachable && !gone.has(id));
  const against: string[] = [];
  const notes: string[] = [];
  if (status.partial) against.push(PARTIAL);
  if (left.length * 2 <= controllers.length && controllers.some(({ id }) => gone.has(id))) {
    against.push(
      `${left.length} of ${controllers.length} controllers would be left, a majority is needed`,
    );
  }
  for (const { name, members, minReplicas: own } of status.journals) {
    const serving = members.filter(
      ({ role, live, synced }) => ['head', 'middle', 'tail'].includes(role) && live && synced,
    );
    const staying = serving.filter(({ id }) => !gone.has(id)).length;
    if (staying === serving.length) continue;
    const wanted = own > 0 ? own : minReplicas;
    if (staying < wanted) {
      const need = `appends need ${wanted}`;
      against.push(`journal ${name}: ${staying} members in step would be left, ${need}`);
    }
    const head = members.find(({ role }) => role === 'head');
    if (head !== undefined && gone.has(head.id)) {
      notes.push(`journal ${name}: ${head.id} hands over as it ends`);
    }
  }
  return { safe: against.length === 0, against, notes };
}

function verdictText(name: string, node: string, { safe, against, notes }: Verdict): string {
  const head = `${name}: ${safe ? `appends go on while ${node} is drained` : 'not now'}\n`;
  return head + [...against, ...notes].map((line) => `  ${line}\n`).join('');
}
