// Where a plugin command looks: kubeconfig, context, namespace, and the API server behind them; how
// what it answers is told.

import { KubeConfig } from '@kubernetes/client-node';
import { type Command, Option } from 'commander';
import { nodeClock } from '../../io/node.ts';
import {
  isStatus,
  type KubeApi,
  KubeError,
  type KubeObject,
  RESOURCES,
} from '../../operator/kube/api.ts';
import { textAt } from '../../operator/kube/fields.ts';
import { httpKube, isConfigured } from '../../operator/kube/http.ts';
import { getObject, listObjects } from '../../operator/kube/objects.ts';
import { CLUSTER_LABEL } from '../../operator/manifests/common.ts';
import { command, jsonOption } from '../options.ts';
import { UsageError } from '../output.ts';

export interface PlaceFlags {
  readonly namespace?: string;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly json?: boolean;
}

/** A command of the plugin, with the flags by which it finds a cluster. */
export function kubeCommand(
  nameAndArguments: string,
  about: string,
  ...examples: string[]
): Command {
  const where = (flag: string, what: string): Option => new Option(flag, what).helpGroup('Where:');
  return command(nameAndArguments, about, ...examples)
    .addOption(where('-n, --namespace <name>', 'of the JournalCluster (default: the context’s)'))
    .addOption(where('--context <name>', 'of the kubeconfig'))
    .addOption(where('--kubeconfig <file>', 'instead of KUBECONFIG and the home folder’s'))
    .addOption(jsonOption());
}

export interface Place {
  readonly config: KubeConfig;
  readonly api: KubeApi;
  readonly namespace: string;
}

/** Throws UsageError where no cluster is configured. */
export function placeOf({ namespace, context, kubeconfig }: PlaceFlags): Place {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`the kubeconfig cannot be read: ${why}`);
  }
  if (context !== undefined) {
    const known = config.getContexts().map(({ name }) => name);
    if (!known.includes(context)) {
      const allowed = known.join(', ') || 'none: the kubeconfig has no context';
      throw new UsageError(`--context is ${JSON.stringify(context)}, allowed is ${allowed}`);
    }
    config.setCurrentContext(context);
  }
  if (!isConfigured(config)) {
    throw new UsageError('no Kubernetes is configured: set KUBECONFIG or give --kubeconfig');
  }
  const own = config.getContextObject(config.getCurrentContext())?.namespace;
  return { config, api: httpKube(config, nodeClock), namespace: namespace || own || 'default' };
}

const NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

/** The JournalCluster of that name. Throws in one sentence where there is none. */
export async function clusterOf({ api, namespace }: Place, name: string): Promise<KubeObject> {
  const ask = () => getObject(api, RESOURCES.JournalCluster, namespace, name);
  // No other can be, and some would ask for something else: nothing at all, or what has a slash.
  const found = NAME.test(name) ? await asking(ask) : null;
  if (found !== null) return found;
  const others = await asking(() => listObjects(api, RESOURCES.JournalCluster, namespace));
  const names = others.objects.map(({ metadata }) => metadata.name);
  const there = names.length === 0 ? 'there is none' : `there are: ${names.join(', ')}`;
  throw new UsageError(
    `no JournalCluster is called ${JSON.stringify(name)} in namespace ${namespace}; ${there}`,
  );
}

export async function podsOf({ api, namespace }: Place, name: string) {
  const labelSelector = `${CLUSTER_LABEL}=${name}`;
  return (await asking(() => listObjects(api, RESOURCES.Pod, namespace, { labelSelector })))
    .objects;
}

/** What happened to a JournalCluster and to what was made for it. */
export async function eventsOf({ api, namespace }: Place, name: string) {
  const events = await asking(() => listObjects(api, RESOURCES.Event, namespace));
  // Who may not list clusters has events of longer names among them.
  const clusters = await listObjects(api, RESOURCES.JournalCluster, namespace).catch(() => null);
  const names = (clusters?.objects ?? []).map(({ metadata }) => metadata.name);
  return events.objects.filter((one) =>
    isAbout(textAt(one, 'regarding', 'name') ?? '', name, names),
  );
}

/** Whether an object is of the cluster, and of none of `clusters` whose name is the longer one. */
export function isAbout(object: string, name: string, clusters: readonly string[]): boolean {
  const belongs = (cluster: string): boolean => `${object}-`.startsWith(`${cluster}-`);
  return belongs(name) && !clusters.some((one) => one.length > name.length && belongs(one));
}

/** Passes on what `ask` answers; what Kubernetes refuses becomes a sentence for people. */
export async function asking<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (isStatus(error, 404)) {
      throw new UsageError(
        'this Kubernetes knows no JournalCluster: install the chart journal-operator first',
        { cause: error },
      );
    }
    const said = error.message.replace(/^\w+ \S+: (?:\d+ )?/, '');
    const what = error.status === 0 ? 'the API server cannot be reached' : 'the API server refuses';
    throw new Error(`${what}: ${said}`, { cause: error });
  }
}

/** `12m` since a time of RFC 3339; empty where there is none. */
export function sinceText(time: string | undefined, nowMillis = Date.now()): string {
  const seconds = Math.floor((nowMillis - Date.parse(time ?? '')) / 1_000);
  if (Number.isNaN(seconds)) return '';
  if (seconds < 120) return `${Math.max(0, seconds)}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
