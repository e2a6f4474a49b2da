// A client inside a JournalCluster from outside of Kubernetes: through port-forwards, with a Secret
// that the user's own kubeconfig may read.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, connectWith } from '../../client/index.ts';
import { silent } from '../../io/logger.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { nodeHold } from '../../io/node-hold.ts';
import { CLIENT_PORT } from '../../operator/journal/settle.ts';
import { type KubeObject, RESOURCES } from '../../operator/kube/api.ts';
import { conditionOf, labelsOf, textAt } from '../../operator/kube/fields.ts';
import { getObject } from '../../operator/kube/objects.ts';
import { COMPONENT_LABEL, namesOf } from '../../operator/manifests/common.ts';
import { decodedAt } from '../../operator/manifests/secret.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { Forwards, ledThrough } from './forward.ts';
import { asking, type Place, podsOf } from './place.ts';

/** Whose rights are used: clients read, append and make journals, the operator moves heads. */
export type As = 'client' | 'operator';

export interface Reached {
  readonly client: Client;
  readonly forwards: Forwards;
}

/** Tunnels through an API server take their time. */
const CALL_MILLIS = 20_000;

/** Runs `work` with a client of the cluster, and closes everything after it. */
export async function reached<Result>(
  place: Place,
  cluster: KubeObject,
  as: As,
  work: (reached: Reached) => Promise<Result>,
): Promise<Result> {
  const { name } = cluster.metadata;
  const pods = (await podsOf(place, name)).filter(isReachable);
  if (pods.length === 0) {
    throw new Error(`no replica of JournalCluster ${name} runs: there is nobody to ask`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'journal-kube-'));
  const forwards = new Forwards(place.config, place.namespace);
  try {
    const tls = await tlsFiles(place, cluster, as, folder);
    const local = new Map<string, string>();
    for (const pod of pods) {
      local.set(addressOf(pod), await forwards.open(pod.metadata.name, CLIENT_PORT));
    }
    const network = grpcNetwork({ clock: nodeClock, logger: silent, tls });
    await using client = connectWith({
      endpoints: [...local.keys()],
      timeoutMillis: CALL_MILLIS,
      clock: nodeClock,
      random: nodeRandom(),
      network: ledThrough(network, (address) => local.get(address) ?? address),
      hold: nodeHold,
    });
    return await work({ client, forwards });
  } finally {
    await forwards.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const isReachable = (pod: KubeObject): boolean =>
  labelsOf(pod.metadata)[COMPONENT_LABEL] === 'replica' &&
  textAt(pod, 'status', 'podIP') !== undefined &&
  conditionOf(pod, 'Ready') === 'True';

/** As the member registered it. */
function addressOf(pod: KubeObject): string {
  const ip = textAt(pod, 'status', 'podIP') ?? '';
  return `${ip.includes(':') ? `[${ip}]` : ip}:${CLIENT_PORT}`;
}

async function tlsFiles(place: Place, cluster: KubeObject, as: As, folder: string) {
  if (textAt(cluster, 'spec', 'tls', 'mode') === 'Disabled') return undefined;
  const { name, namespace = '' } = cluster.metadata;
  const names = namesOf(name);
  const secretName = as === 'client' ? names.clientSecret : names.operatorSecret;
  const { api } = place;
  const secret = await asking(() => getObject(api, RESOURCES.Secret, namespace, secretName));
  if (secret === null)
    throw new Error(`there is no Secret ${secretName} in namespace ${namespace}`);
  const file = (key: string): string => {
    const text = decodedAt(secret, key);
    if (text === '') throw new Error(`Secret ${secretName} has no ${key}`);
    const path = join(folder, key);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    ca: file('ca.crt'),
    cert: file('tls.crt'),
    key: file('tls.key'),
    serverName: `${name}.${namespace}.svc`,
  };
}
