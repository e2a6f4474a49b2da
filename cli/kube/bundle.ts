// `kubectl journal bundle`: all that helps to find out what happened, in one file to pass on. No
// Secret and no record is in it.

import { type FileHandle, open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { type Command, Option } from 'commander';
import { type Pack, pack } from 'tar-stream';
import { packageVersion } from '../../io/node-process.ts';
import { PROBE_PORT } from '../../operator/journal/settle.ts';
import { type KindName, type KubeObject, RESOURCES } from '../../operator/kube/api.ts';
import { labelsOf } from '../../operator/kube/fields.ts';
import { listObjects } from '../../operator/kube/objects.ts';
import { CLUSTER_LABEL, MEMBER_LABEL } from '../../operator/manifests/common.ts';
import { EXIT, note, UsageError } from '../output.ts';
import { Forwards } from './forward.ts';
import { logOf, wasRestarted } from './logs.ts';
import {
  asking,
  clusterOf,
  eventsOf,
  kubeCommand,
  type Place,
  type PlaceFlags,
  placeOf,
  podsOf,
} from './place.ts';
import { statusOf } from './status.ts';

interface BundleFlags extends PlaceFlags {
  readonly output?: string;
}

const KINDS: readonly KindName[] = [
  'Pod',
  'StatefulSet',
  'PersistentVolumeClaim',
  'Service',
  'ConfigMap',
  'NetworkPolicy',
  'PodDisruptionBudget',
  'Job',
  'CronJob',
];
const LOG_BYTES_MAX = 8 * 1024 * 1024;
const METRICS_BYTES_MAX = 8 * 1024 * 1024;
const PATIENCE_MILLIS = 10_000;

export function bundleCommand(): Command {
  return kubeCommand(
    'bundle <cluster>',
    'Writes what helps to find out what happened into one file: status, objects, events, logs, ' +
      'metrics. No Secret and no record is in it.',
    'kubectl journal bundle orders -n shop --output orders.tar.gz',
  )
    .addOption(new Option('-o, --output <file>', 'a .tar.gz; named after cluster and time'))
    .action(async (name: string, flags: BundleFlags) => {
      const place = placeOf(flags);
      const cluster = await clusterOf(place, name);
      const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
      const file = flags.output ?? `${name}-${stamp}.tar.gz`;
      const bundle = new Bundle(`${name}-${stamp}`);
      const target = await newFile(file);
      const all = async (): Promise<readonly string[]> => {
        await collect(bundle, place, cluster);
        return bundle.end();
      };
      // Together: a disk that is full must not go unheard while the rest is collected.
      const written = Promise.all([all(), bundle.to(target)]);
      const [missing] = await written.catch(async (error: unknown) => {
        // Half an archive would look like one.
        await rm(file, { force: true });
        throw error;
      });
      for (const line of missing) note(`not in the bundle: ${line}`);
      const shown = flags.json ? JSON.stringify({ file, missing }) : file;
      process.stdout.write(`${shown}\n`);
      if (missing.length > 0) process.exitCode = EXIT.failed;
    });
}

/** Made before anything is asked for. Throws UsageError where it is there, or cannot be made. */
async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--output is ${JSON.stringify(path)}, allowed is a new file: ${why}`);
  }
}

/** A .tar.gz that is written part by part; a part that cannot be had is noted in it. */
class Bundle {
  readonly #tar: Pack = pack();
  readonly #folder: string;
  readonly #missing: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  async to(file: FileHandle): Promise<void> {
    await pipeline(this.#tar, createGzip(), file.createWriteStream());
  }

  async add(name: string, make: () => Promise<string | object>): Promise<void> {
    try {
      const made = await make();
      const text = typeof made === 'string' ? made : `${JSON.stringify(made, null, 2)}\n`;
      this.#put(name, text);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#missing.push(`${name}: ${why}`);
    }
  }

  #put(name: string, text: string): void {
    this.#tar.entry({ name: `${this.#folder}/${name}`, mode: 0o600, mtime: new Date() }, text);
  }

  /** Closes the file, and answers what is not in it. */
  end(): readonly string[] {
    if (this.#missing.length > 0) this.#put('missing.txt', `${this.#missing.join('\n')}\n`);
    this.#tar.finalize();
    return this.#missing;
  }
}

async function collect(bundle: Bundle, place: Place, cluster: KubeObject): Promise<void> {
  const { api, namespace } = place;
  const { name } = cluster.metadata;
  const labelSelector = `${CLUSTER_LABEL}=${name}`;
  const about = { tool: packageVersion(), node: process.version, at: new Date().toISOString() };
  await bundle.add('about.json', async () => about);
  await bundle.add('journalcluster.json', async () => cluster);
  await bundle.add('status.json', async () => {
    const { status, trouble } = await statusOf(place, cluster);
    if (status === null) throw new Error(trouble);
    return status;
  });
  for (const kind of KINDS) {
    await bundle.add(`objects/${RESOURCES[kind].plural}.json`, async () => {
      const list = await asking(() =>
        listObjects(api, RESOURCES[kind], namespace, { labelSelector }),
      );
      return list.objects;
    });
  }
  await bundle.add('objects/events.json', () => eventsOf(place, name));
  let pods: readonly KubeObject[] = [];
  await bundle.add('pods.txt', async () => {
    pods = await podsOf(place, name);
    return pods.map(({ metadata }) => `${metadata.name}\n`).join('');
  });
  await fromPods(bundle, place, pods);
}

async function fromPods(bundle: Bundle, place: Place, pods: readonly KubeObject[]): Promise<void> {
  const forwards = new Forwards(place.config, place.namespace);
  try {
    for (const pod of pods) {
      const id = labelsOf(pod.metadata)[MEMBER_LABEL];
      if (id === undefined) continue;
      const limitBytes = LOG_BYTES_MAX;
      await bundle.add(`logs/${id}.log`, () => logOf(place.config, pod, { limitBytes }));
      if (wasRestarted(pod)) {
        const options = { limitBytes, previous: true };
        await bundle.add(`logs/${id}.previous.log`, () => logOf(place.config, pod, options));
      }
      await bundle.add(`metrics/${id}.txt`, () => metricsOf(forwards, pod));
    }
  } finally {
    await forwards.close();
  }
}

async function metricsOf(forwards: Forwards, pod: KubeObject): Promise<string> {
  const address = await forwards.open(pod.metadata.name, PROBE_PORT);
  const signal = AbortSignal.timeout(PATIENCE_MILLIS);
  const response = await fetch(`http://${address}/metrics`, { signal });
  const text = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}: ${text.slice(0, 200)}`);
  return text.slice(0, METRICS_BYTES_MAX);
}
