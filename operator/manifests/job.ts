// Jobs: formatting the volume of one controller, once for each cluster.
//
// A step of its own and no part of the controller's pod: a pod template that formats would format
// the empty volume that comes after a lost one, too.

import type { Ledger } from '../journal/ledger.ts';
import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import {
  CLUSTER_LABEL,
  COMPONENT_LABEL,
  labelsFor,
  MEMBER_LABEL,
  made,
  namesOf,
} from './common.ts';
import {
  affinity,
  containerSecurity,
  controllerAddress,
  jobMetadata,
  type Process,
  podBase,
  resourcesOf,
  tolerations,
} from './pod.ts';

const FORMAT = 'format';
/** What a Job runs cannot be changed: by this it is seen that it was made for another wish. */
export const INPUTS_ANNOTATION = 'journal.dev/job-inputs';

/**
 * Where a controller is formatted its volume stays, and with it the controller: so these pods keep
 * away from each other already, and from controllers that run.
 */
const apartFrom = ({ name }: Settled): unknown => ({
  matchLabels: { [CLUSTER_LABEL]: name },
  matchExpressions: [{ key: COMPONENT_LABEL, operator: 'In', values: ['controller', FORMAT] }],
});

export function formatJob(
  settled: Settled,
  ledger: Ledger,
  { id, zone }: { readonly id: string; readonly zone: string },
): KubeObject {
  const names = namesOf(settled.name);
  const { replicas, clusterId, formatted, recovery } = ledger;
  const controllers = ledger.controllers.filter(({ removing }) => !removing);
  // The first ones are the set; one that comes later is told whom to ask to be let in.
  const seated = formatted ? controllers.filter((one) => one.formatted) : controllers;
  const known = formatted ? seated.slice(0, 1) : seated;
  const set = known.map((one) => `${one.id}=${controllerAddress(settled, one.id)}`);
  const staying = replicas.filter(({ removing }) => !removing);
  const grants = staying.map((one) => `${one.id}=${one.zone}`);
  const args = ['controller', 'format', '--if-absent', '--data', '/var/lib/journal/controller'];
  args.push('--cluster', clusterId, '--id', id, '--set', set.join(','));
  args.push(...(formatted ? ['--join'] : ['--grant', grants.join(',')]));
  if (!formatted && recovery !== '') {
    // People choose it: it may begin with a dash.
    args.push(`--recovery=${recovery}`);
  }
  const process: Process = { component: 'controller', id, zone };
  const labels = { ...labelsFor(settled.name), [COMPONENT_LABEL]: FORMAT, [MEMBER_LABEL]: id };
  const template = settled.controllerTemplate;
  const spec = {
    backoffLimit: 20,
    template: {
      metadata: jobMetadata(template, labels),
      spec: {
        ...podBase(settled, template),
        restartPolicy: 'OnFailure',
        affinity: affinity(settled, process, template.affinity, apartFrom(settled)),
        nodeSelector: { ...template.nodeSelector },
        tolerations: tolerations(template),
        containers: [
          {
            name: 'format',
            image: settled.image,
            imagePullPolicy: settled.imagePullPolicy,
            args,
            resources: resourcesOf(template),
            // What it said last is told in the status of the JournalCluster.
            terminationMessagePolicy: 'FallbackToLogsOnError',
            securityContext: containerSecurity,
            volumeMounts: [
              { name: 'data', mountPath: '/var/lib/journal' },
              { name: 'tmp', mountPath: '/tmp' },
            ],
          },
        ],
        volumes: [
          { name: 'data', persistentVolumeClaim: { claimName: names.claim(id) } },
          { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
        ],
      },
    },
  };
  const annotations = { [INPUTS_ANNOTATION]: JSON.stringify(spec.template) };
  return made(settled, 'Job', names.format(id), { spec }, { labels, annotations });
}
