// Installs the operator by its chart on a lab, from the project's own image.

import { join } from 'node:path';
import { textAt } from '../../../operator/kube/fields.ts';
import type { KubeObject } from './api.ts';
import { run, until } from './commands.ts';
import { PROJECT_IMAGE, PUBLISHED_IMAGE, projectImage, type Say } from './images.ts';
import type { Lab } from './lab.ts';

/** The folder of the operator's chart. */
export const chart = join(import.meta.dirname, '..', '..', '..', 'charts', 'journal-operator');
const READY_SECONDS_MAX = 120;

export const OPERATOR = 'journal-operator';
export const OPERATOR_NAMESPACE = 'journal-system';
const deployments = `/apis/apps/v1/namespaces/${OPERATOR_NAMESPACE}/deployments`;
export const OPERATOR_PATH = `${deployments}/${OPERATOR}`;

/** Runs Helm against the lab and answers what it prints. */
export type Helm = (args: readonly string[]) => Promise<string>;

/** Its files are in the lab's folder, not in the home of whoever runs the tests. */
export function helmOf(lab: Lab, program: string): Helm {
  const home = join(lab.state.folder, 'helm');
  const homes = { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  const env = { ...process.env, ...homes };
  return (args) => run(lab.inside([program, '--kubeconfig', lab.kubeconfig, ...args]), { env });
}

/** What tells the chart to run an image that was brought to the nodes. */
export function imageValues(name = PROJECT_IMAGE): readonly string[] {
  const [repository = '', tag = ''] = name.split(/:(?=[^:/]+$)/);
  const image = Object.entries({ repository, tag, pullPolicy: 'Never' });
  return image.flatMap(([key, value]) => ['--set', `image.${key}=${value}`]);
}

/** Builds the project's image and brings it to every node, also under its published name. */
export async function bringImage(lab: Lab, say: Say): Promise<void> {
  await lab.importImage(await projectImage(say));
  await lab.tagImage(PROJECT_IMAGE, PUBLISHED_IMAGE);
}

/** Brings the image and installs the operator by its chart. */
export async function installOperator(lab: Lab, helm: Helm, say: Say): Promise<void> {
  await bringImage(lab, say);
  await helm(['install', ...release(), '--create-namespace']);
  await operatorReady(lab);
}

/** The release as both `install` and `upgrade` are told it. */
const release = (): readonly string[] => {
  // Secrets reach pods of the lab in seconds: kubelets are told to look often.
  const spread = ['--set', 'trustSpreadSeconds=45'];
  return [OPERATOR, chart, '--namespace', OPERATOR_NAMESPACE, ...spread, ...imageValues()];
};

/** Brings what the sources and the chart have become since then to an operator that is there. */
export async function renewOperator(lab: Lab, helm: Helm, say: Say): Promise<void> {
  await bringImage(lab, say);
  await helm(['upgrade', ...release()]);
  // The image has the name that it had: nothing but its pods shows that it is another one.
  const restart = ['rollout', 'restart', `deployment/${OPERATOR}`];
  await lab.kubectl(['--namespace', OPERATOR_NAMESPACE, ...restart]);
  await operatorReady(lab);
}

/** So many processes of the operator; none is an operator that was stopped. */
export async function scaleOperator(lab: Lab, replicas: number): Promise<void> {
  const scale = ['scale', `deployment/${OPERATOR}`, `--replicas=${replicas}`];
  await lab.kubectl(['--namespace', OPERATOR_NAMESPACE, ...scale]);
  if (replicas > 0) return operatorReady(lab);
  await until('the operator has ended', READY_SECONDS_MAX * 1_000, async () =>
    (await operatorPods(lab)).length === 0 ? true : undefined,
  );
}

/** Without the pod of `helm test`, which stays, and is over. */
export async function operatorPods(lab: Lab): Promise<readonly KubeObject[]> {
  const pods = await lab.api.list(`/api/v1/namespaces/${OPERATOR_NAMESPACE}/pods`);
  return pods.filter((pod) => textAt(pod, 'status', 'phase') !== 'Succeeded');
}

export async function operatorReady(lab: Lab): Promise<void> {
  await lab.kubectl([
    ...['--namespace', OPERATOR_NAMESPACE, 'rollout', 'status', `deployment/${OPERATOR}`],
    `--timeout=${READY_SECONDS_MAX}s`,
  ]);
}
