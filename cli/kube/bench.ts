// `kubectl journal bench`: how fast appends are acknowledged to a pod beside the cluster, in a
// journal of its own, which goes afterwards.

import { type Command, Option } from 'commander';
import { nodeRandom } from '../../io/node.ts';
import { type KubeObject, pathOf, RESOURCES } from '../../operator/kube/api.ts';
import { listAt, textAt } from '../../operator/kube/fields.ts';
import { deleteObject, getObject } from '../../operator/kube/objects.ts';
import { namesOf } from '../../operator/manifests/common.ts';
import { containerOf, containerSecurity, resourcesOf } from '../../operator/manifests/pod.ts';
import { RECORD_BYTES_LIMIT } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { micros } from '../../protocol/types.ts';
import { OUTSTANDING_MAX } from '../bench.ts';
import { interruptible } from '../line.ts';
import { wholeNumber } from '../options.ts';
import { note, Output, progress } from '../output.ts';
import { sleep } from '../status.ts';
import { logOf } from './logs.ts';
import { asking, clusterOf, kubeCommand, type Place, type PlaceFlags, placeOf } from './place.ts';
import { reached } from './reach.ts';

interface BenchFlags extends PlaceFlags {
  readonly size: number;
  readonly records: number;
  readonly outstanding: number;
  readonly seconds: number;
  readonly image?: string;
}

const TIMEOUT = micros(15_000_000);
/** Until the pod runs, and after its time is over. */
const SLACK_MILLIS = 90_000;
const POLL_MILLIS = 500;
const USER = 65_532;

export function benchCommand(): Command {
  const count = (flag: string, about: string, max: number, otherwise: number): Option =>
    new Option(flag, about).argParser(wholeNumber(1, max)).default(otherwise);
  return kubeCommand(
    'bench <cluster>',
    'Appends for a while from a pod beside the cluster, and prints throughput and latency of ' +
      'what was acknowledged. Makes a journal and a pod, and removes both.',
    'kubectl journal bench orders -n shop --size 256 --seconds 30',
  )
    .addOption(count('--size <bytes>', 'of a record', RECORD_BYTES_LIMIT, 256))
    .addOption(count('--records <count>', 'in one append', 10_000, 1))
    .addOption(count('--outstanding <count>', 'appends at once', OUTSTANDING_MAX, 256))
    .addOption(count('--seconds <count>', 'how long', 3_600, 10))
    .addOption(new Option('--image <image>', "of the pod; the cluster's own by default"))
    .action(async (name: string, flags: BenchFlags) => {
      const place = placeOf(flags);
      const cluster = await clusterOf(place, name);
      const journal = `bench-${nodeRandom().hex(4)}`;
      const output = new Output();
      await interruptible((signal) =>
        reached(place, cluster, 'client', async ({ client }) => {
          try {
            await client.createJournal(journal, { signal });
            const pod = benchPod(cluster, journal, flags);
            await output.write(await measured(place, pod, flags, signal));
          } finally {
            await client.deleteJournal(journal).catch((error: unknown) => {
              if (error instanceof JournalError && error.code === 'NOT_FOUND') return;
              note(`journal ${journal} was not deleted: ${String(error)}`);
            });
          }
        }),
      );
      await output.flush();
    });
}

async function measured(
  place: Place,
  pod: KubeObject,
  { seconds }: BenchFlags,
  signal: AbortSignal,
): Promise<string> {
  const { api, namespace } = place;
  const path = pathOf(RESOURCES.Pod, namespace);
  await asking(() => api.request({ method: 'POST', path, body: pod, timeout: TIMEOUT, signal }));
  try {
    const done = await finished(place, pod.metadata.name, seconds * 1_000 + SLACK_MILLIS, signal);
    const said = await logOf(place.config, pod, {});
    if (textAt(done, 'status', 'phase') === 'Succeeded') return said;
    throw new Error(`the bench failed: ${said.trim() || 'its pod said nothing'}`);
  } finally {
    progress('');
    await deleteObject(api, pod).catch((error: unknown) => {
      note(`pod ${pod.metadata.name} was not deleted: ${String(error)}`);
    });
  }
}

async function finished(
  { api, namespace }: Place,
  name: string,
  millisMax: number,
  signal: AbortSignal,
): Promise<KubeObject> {
  const end = performance.now() + millisMax;
  let why = 'it does not run yet';
  while (performance.now() < end) {
    const pod = await asking(() => getObject(api, RESOURCES.Pod, namespace, name));
    if (pod === null) throw new Error(`somebody deleted pod ${name}`);
    const phase = textAt(pod, 'status', 'phase') ?? '';
    if (phase === 'Succeeded' || phase === 'Failed') return pod;
    const state = containerOf(pod);
    why = textAt(state, 'state', 'waiting', 'reason') ?? `it is ${phase}`;
    if (/^(?:ErrImage|ImagePull|InvalidImage|CreateContainerConfig)/.test(why)) break;
    progress(`pod ${name}: ${phase}`);
    await sleep(POLL_MILLIS, signal);
  }
  throw new Error(`pod ${name} did not finish: ${why}`);
}

/** A pod that may do nothing but this: restricted, without a token, with the client Secret. */
export function benchPod(cluster: KubeObject, journal: string, flags: BenchFlags): KubeObject {
  const { name, namespace = '' } = cluster.metadata;
  const plain = textAt(cluster, 'spec', 'tls', 'mode') === 'Disabled';
  const tls = plain
    ? []
    : ['--tls-ca=/tls/ca.crt', '--tls-cert=/tls/tls.crt', '--tls-key=/tls/tls.key'];
  const { size, records, outstanding, seconds, json } = flags;
  const image = flags.image ?? textAt(cluster, 'status', 'resolved', 'image') ?? '';
  const secret = {
    name: 'tls',
    secret: { secretName: namesOf(name).clientSecret, defaultMode: 0o440 },
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${name}-${journal}`,
      namespace,
      // As logs.ts finds the container.
      labels: { 'app.kubernetes.io/name': 'journal-bench', 'app.kubernetes.io/component': 'bench' },
    },
    spec: {
      restartPolicy: 'Never',
      imagePullSecrets: listAt(cluster, 'spec', 'imagePullSecrets'),
      activeDeadlineSeconds: seconds + SLACK_MILLIS / 1_000,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        fsGroup: USER,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'bench',
          image,
          imagePullPolicy: textAt(cluster, 'spec', 'imagePullPolicy') ?? 'IfNotPresent',
          args: [
            ...['bench', 'append', '--journal', journal, '--size', String(size)],
            ...['--records', String(records), '--outstanding', String(outstanding)],
            ...['--seconds', String(seconds), `--endpoints=${name}.${namespace}.svc:7400`],
            ...tls,
            ...(json ? ['--json'] : []),
          ],
          resources: resourcesOf({}),
          securityContext: containerSecurity,
          volumeMounts: plain ? [] : [{ name: 'tls', mountPath: '/tls', readOnly: true }],
        },
      ],
      volumes: plain ? [] : [secret],
    },
  };
}
