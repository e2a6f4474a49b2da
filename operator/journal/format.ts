// Volumes of controllers are formatted once, by a Job each, before their processes may start.

import type { KubeObject } from '../kube/api.ts';
import { labelsOf, textAt } from '../kube/fields.ts';
import { COMPONENT_LABEL, MEMBER_LABEL, namesOf } from '../manifests/common.ts';
import { formatJob, INPUTS_ANNOTATION } from '../manifests/job.ts';
import type { Ledger } from './ledger.ts';
import { isOld, PATIENCE_MILLIS, silenceOf } from './roll.ts';
import type { Settled } from './settle.ts';
import { type Action, ensure, type Plan, working } from './steps.ts';
import { failureOf, find, isWithoutPod, podsOf, troubleOf, unmade, type World } from './world.ts';

/** A Job that gave up is made again so much later: what it lacked may be there by then. */
const RETRY_MILLIS = 60_000;

export function formatting(world: World, ledger: Ledger, settled: Settled): Plan | null {
  const names = namesOf(settled.name);
  const actions: Action[] = [];
  const open: string[] = [];
  for (const entry of ledger.controllers) {
    const job = find(world, 'Job', names.format(entry.id));
    // One that leaves before it came needs no volume; what there is of it goes with it.
    if (entry.leaving !== '' && !entry.formatted) continue;
    if (entry.formatted) {
      const why = `${entry.id} is formatted`;
      if (job?.metadata.deletionTimestamp === undefined && job !== undefined) {
        actions.push({ kind: 'delete', object: job, why });
      }
      continue;
    }
    open.push(entry.id);
    actions.push(...formatStep(world, ledger, settled, entry, job));
  }
  if (open.length === 0 && actions.length === 0) return null;
  if (open.length === 0) return { actions, progress: working('Starting', 'formatted') };
  const stuck = notFormatted(world, open);
  if (stuck !== '') {
    return { actions, progress: { kind: 'stalled', reason: 'PodNotRunning', message: stuck } };
  }
  const message = `formatting the volumes of ${open.join(', ')}`;
  return { actions, progress: working('Formatting', message) };
}

/** What keeps a volume from being formatted; empty while nothing does, or not for long. */
function notFormatted(world: World, ids: readonly string[]): string {
  for (const pod of podsOf(world)) {
    const id = labelsOf(pod.metadata)[MEMBER_LABEL] ?? '';
    const formats = labelsOf(pod.metadata)[COMPONENT_LABEL] === 'format' && ids.includes(id);
    const trouble = formats ? troubleOf(world, id, pod) || silenceOf(world, pod) : '';
    if (trouble !== '' && isOld(world, pod)) return `${id} is not formatted: ${trouble}`;
  }
  for (const id of ids) {
    const name = namesOf(world.cluster.metadata.name).format(id);
    const failure = failureOf(find(world, 'Job', name));
    const none = failure === null ? withoutPod(world, name) : `Job ${name}: ${failure.message}`;
    if (none !== '') return `${id} is not formatted: ${none}`;
  }
  return '';
}

/** What a Job was made for. */
export const inputs = (job: KubeObject) =>
  textAt(job, 'metadata', 'annotations', INPUTS_ANNOTATION);

function withoutPod(world: World, name: string): string {
  const job = find(world, 'Job', name);
  return job !== undefined && isWithoutPod(world, job, PATIENCE_MILLIS) ? unmade(job) : '';
}

function formatStep(
  world: World,
  ledger: Ledger,
  settled: Settled,
  entry: Ledger['controllers'][number],
  job: KubeObject | undefined,
): readonly Action[] {
  const wanted = formatJob(settled, ledger, entry);
  if (job === undefined) return ensure(world, wanted);
  if (job.metadata.deletionTimestamp !== undefined) return [];
  const failure = failureOf(job);
  const again = failure !== null && world.nowMillis - failure.atMillis > RETRY_MILLIS;
  if (inputs(job) === inputs(wanted) && !again) return [];
  return [{ kind: 'delete', object: job, why: `${entry.id} is to be formatted by another pod` }];
}
