// `kubectl journal status` and `describe`: what the operator says of a cluster, and what its own
// processes say. The former is there when the latter cannot be reached.

import type { Command } from 'commander';
import { type KubeObject, RESOURCES } from '../../operator/kube/api.ts';
import { at, listAt, numberAt, textAt } from '../../operator/kube/fields.ts';
import { listObjects } from '../../operator/kube/objects.ts';
import { MEMBER_LABEL } from '../../operator/manifests/common.ts';
import { containerOf } from '../../operator/manifests/pod.ts';
import type { ClusterStatus } from '../../transport/public.ts';
import { descriptionText } from '../journals.ts';
import { interruptible } from '../line.ts';
import { Output } from '../output.ts';
import { journalText, statusJson, table } from '../status.ts';
import { operatorLine } from './operator.ts';
import {
  asking,
  clusterOf,
  eventsOf,
  kubeCommand,
  type Place,
  type PlaceFlags,
  placeOf,
  podsOf,
  sinceText,
} from './place.ts';
import { reached } from './reach.ts';

export function statusCommand(): Command {
  return kubeCommand(
    'status <cluster>',
    'Shows what is going on and since when, every process, and the chain of every journal.',
    'kubectl journal status orders -n shop',
  ).action((name: string, flags: PlaceFlags) =>
    printing(async (output) => {
      const place = placeOf(flags);
      const cluster = await clusterOf(place, name);
      const [processes, operator] = await Promise.all([
        statusOf(place, cluster),
        operatorLine(place, cluster),
      ]);
      if (flags.json) {
        const { status, trouble } = processes;
        const inside = status === null ? null : statusJson(status);
        return output.json({ resource: cluster, inside, trouble, operator: operator.trim() });
      }
      const head = headText(cluster) + operator;
      await output.write(head, membersText(cluster), insideText(processes));
    }),
  );
}

export function describeCommand(): Command {
  return kubeCommand(
    'describe <cluster> [journal]',
    'Shows all that is known of a cluster: conditions, pods, volumes, events; or of one journal.',
    'kubectl journal describe orders -n shop',
    'kubectl journal describe orders payments -n shop',
  ).action((name: string, journal: string | undefined, flags: PlaceFlags) =>
    printing(async (output) => {
      const place = placeOf(flags);
      const cluster = await clusterOf(place, name);
      if (journal !== undefined) {
        const found = await interruptible((signal) =>
          reached(place, cluster, 'client', ({ client }) =>
            client.describeJournal(journal, { signal }),
          ),
        );
        return flags.json ? output.json(found) : output.write(descriptionText(found));
      }
      const [pods, claims, events] = await belongings(place, name);
      if (flags.json) return output.json({ resource: cluster, pods, claims, events });
      const head = headText(cluster) + (await operatorLine(place, cluster));
      await output.write(head, conditionsText(cluster), membersText(cluster));
      await output.write(podsText(pods), claimsText(claims), eventsText(events));
    }),
  );
}

async function printing(work: (output: Output) => Promise<void>): Promise<void> {
  const output = new Output();
  try {
    await work(output);
  } finally {
    await output.flush();
  }
}

interface Inside {
  readonly status: ClusterStatus | null;
  readonly trouble: string;
}

/** What the processes say; why they do not, otherwise. */
export async function statusOf(place: Place, cluster: KubeObject): Promise<Inside> {
  try {
    const status = await interruptible((signal) =>
      reached(place, cluster, 'client', ({ client }) => client.status({ signal })),
    );
    return { status, trouble: '' };
  } catch (error) {
    return { status: null, trouble: error instanceof Error ? error.message : String(error) };
  }
}

async function belongings({ api, namespace, ...rest }: Place, name: string) {
  const labelSelector = `journal.dev/cluster=${name}`;
  const place = { api, namespace, ...rest };
  const pods = await podsOf(place, name);
  const claims = await asking(() =>
    listObjects(api, RESOURCES.PersistentVolumeClaim, namespace, { labelSelector }),
  );
  return [pods, claims.objects, await eventsOf(place, name)] as const;
}

const conditionsOf = (cluster: KubeObject): readonly unknown[] =>
  listAt(cluster, 'status', 'conditions');

function headText(cluster: KubeObject): string {
  const { name, namespace } = cluster.metadata;
  const ready = conditionsOf(cluster).find((one) => textAt(one, 'type') === 'Ready');
  const isReady = textAt(ready, 'status') === 'True';
  const since = sinceText(textAt(ready, 'lastTransitionTime'));
  const mode = textAt(cluster, 'status', 'mode') ?? 'not looked at by an operator yet';
  const members = textAt(cluster, 'status', 'memberSummary') ?? '?';
  const journals = numberAt(cluster, 'status', 'journals') ?? 0;
  const head =
    `JournalCluster ${namespace}/${name}: ${isReady ? 'Ready' : 'not Ready'}` +
    `${since === '' ? '' : ` for ${since}`}, ${mode}, members ${members}, ${journals} journals\n`;
  const trouble = conditionsOf(cluster).filter(isTrouble).map(troubleText);
  const message = textAt(cluster, 'status', 'message') ?? '';
  const lines = trouble.length > 0 || message === '' ? trouble : [`  ${message}\n`];
  return head + lines.join('');
}

/** Conditions that are worth a line: what is under way, and what is not as it should be. */
function isTrouble(condition: unknown): boolean {
  const type = textAt(condition, 'type') ?? '';
  const holds = textAt(condition, 'status') === 'True';
  const status = textAt(condition, 'status');
  if (['Progressing', 'Degraded', 'Stalled', 'StorageResizing'].includes(type)) return holds;
  if (type === 'Reconciling') return false;
  return status === 'False' && textAt(condition, 'message') !== '';
}

function troubleText(condition: unknown): string {
  const since = sinceText(textAt(condition, 'lastTransitionTime'));
  const [type, status, reason, message] = ['type', 'status', 'reason', 'message'].map(
    (field) => textAt(condition, field) ?? '',
  );
  return `  ${type} is ${status} for ${since}: ${reason}${message === '' ? '' : `, ${message}`}\n`;
}

function conditionsText(cluster: KubeObject): string {
  const rows = conditionsOf(cluster).map((one) => [
    textAt(one, 'type') ?? '',
    textAt(one, 'status') ?? '',
    sinceText(textAt(one, 'lastTransitionTime')),
    textAt(one, 'reason') ?? '',
    textAt(one, 'message') ?? '',
  ]);
  return `\n${table(['CONDITION', 'STATUS', 'SINCE', 'REASON', 'MESSAGE'], rows)}`;
}

function membersText(cluster: KubeObject): string {
  const rows = (['replicas', 'controllers'] as const).flatMap((kind) =>
    listAt(cluster, 'status', kind).map((one) => [
      textAt(one, 'id') ?? '',
      textAt(one, 'zone') ?? '',
      textAt(one, 'node') ?? '',
      textAt(one, 'state') ?? '',
      kind === 'replicas' ? String(numberAt(one, 'heads') ?? 0) : '',
      textAt(one, 'message') ?? '',
    ]),
  );
  return `\n${table(['PROCESS', 'ZONE', 'NODE', 'STATE', 'HEADS', 'MESSAGE'], rows)}`;
}

function insideText({ status, trouble }: Inside): string {
  if (status === null) return `\nThe processes cannot be asked: ${trouble}\n`;
  return status.journals.map(journalText).join('');
}

function podsText(pods: readonly KubeObject[]): string {
  const rows = pods.map((pod) => {
    const state = containerOf(pod);
    return [
      pod.metadata.name,
      textAt(pod, 'status', 'phase') ?? '',
      at(state, 'ready') === true ? 'yes' : 'no',
      String(numberAt(state, 'restartCount') ?? 0),
      sinceText(pod.metadata.creationTimestamp),
      textAt(pod, 'status', 'podIP') ?? '',
      textAt(pod, 'spec', 'nodeName') ?? '',
      textAt(state, 'image') ?? '',
    ];
  });
  return `\n${table(['POD', 'PHASE', 'READY', 'RESTARTS', 'AGE', 'IP', 'NODE', 'IMAGE'], rows)}`;
}

function claimsText(claims: readonly KubeObject[]): string {
  const rows = claims.map((claim) => [
    claim.metadata.name,
    claim.metadata.labels?.[MEMBER_LABEL] ?? '',
    textAt(claim, 'status', 'phase') ?? '',
    textAt(claim, 'status', 'capacity', 'storage') ?? '',
    textAt(claim, 'spec', 'volumeName') ?? '',
  ]);
  return `\n${table(['VOLUME CLAIM', 'PROCESS', 'PHASE', 'SIZE', 'VOLUME'], rows)}`;
}

function eventsText(events: readonly KubeObject[]): string {
  const timeOf = (one: KubeObject): string =>
    textAt(one, 'eventTime') ?? textAt(one, 'deprecatedLastTimestamp') ?? '';
  const rows = [...events]
    .sort((one, other) => (timeOf(one) < timeOf(other) ? -1 : 1))
    .slice(-30)
    .map((one) => [
      sinceText(timeOf(one) || one.metadata.creationTimestamp),
      textAt(one, 'type') ?? '',
      textAt(one, 'reason') ?? '',
      textAt(one, 'regarding', 'name') ?? '',
      textAt(one, 'note') ?? '',
    ]);
  if (rows.length === 0) return '';
  return `\n${table(['EVENT', 'TYPE', 'REASON', 'OBJECT', 'NOTE'], rows)}`;
}
