// Backups: a CronJob that exports every journal onto a volume, and the Job that brings one back.
//
// Both are clients like any other, with the certificate of clients.

import type { Resources } from '../crd.ts';
import { CLIENT_PORT, type Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { COMPONENT_LABEL, labelsFor, made, namesOf } from './common.ts';
import { INPUTS_ANNOTATION } from './job.ts';
import { containerSecurity, jobMetadata, podBase, resourcesOf } from './pod.ts';

const FOLDER = '/backups';
const TLS = '/etc/journal/tls';

export interface Backup {
  readonly schedule: string;
  readonly claimName: string;
  readonly keep: number;
  readonly resources?: Resources;
}

export interface Restore {
  readonly claimName: string;
  readonly path: string;
  readonly resources?: Resources;
}

/** The longest that one backup may take. */
const DAY_SECONDS = 86_400;

/** `held`: none is made for now, since what is to be restored may be among those it removes. */
export function backupJob(settled: Settled, backup: Backup, held: boolean): KubeObject {
  const { schedule, keep } = backup;
  const args = ['backup', `${FOLDER}/${settled.name}`, '--keep', String(keep)];
  const pod = template(settled, 'backup', backup, args);
  // One that hangs would keep all later ones away without a word.
  const limits = { backoffLimit: 3, activeDeadlineSeconds: DAY_SECONDS };
  const spec = {
    schedule,
    timeZone: 'Etc/UTC',
    concurrencyPolicy: 'Forbid',
    startingDeadlineSeconds: 3_600,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 3,
    suspend: settled.hibernate || held,
    jobTemplate: { metadata: pod.metadata, spec: { ...limits, template: pod } },
  };
  const annotations = { [INPUTS_ANNOTATION]: JSON.stringify(pod) };
  return made(settled, 'CronJob', namesOf(settled.name).backup, { spec }, { annotations });
}

/** Never again once it succeeded: the ledger remembers. */
export function restoreJob(settled: Settled, restore: Restore): KubeObject {
  const args = ['restore', `${FOLDER}/${restore.path}`];
  const spec = { backoffLimit: 10, template: template(settled, 'restore', restore, args) };
  const annotations = { [INPUTS_ANNOTATION]: JSON.stringify(spec.template) };
  const labels = { [COMPONENT_LABEL]: 'restore' };
  return made(settled, 'Job', namesOf(settled.name).restore, { spec }, { annotations, labels });
}

function template(
  settled: Settled,
  component: 'backup' | 'restore',
  { claimName, resources }: { readonly claimName: string; readonly resources?: Resources },
  args: readonly string[],
) {
  const readOnly = component === 'restore';
  const endpoints = `${settled.name}.${settled.namespace}.svc:${CLIENT_PORT}`;
  const secure = settled.tls.enabled;
  const files = ['--tls-ca', `${TLS}/ca.crt`, '--tls-cert', `${TLS}/tls.crt`];
  const tls = secure ? [...files, '--tls-key', `${TLS}/tls.key`] : [];
  const secretName = namesOf(settled.name).clientSecret;
  // Where the replicas may run, so may this; but it moves away from a node that does not answer.
  const { affinity, nodeSelector, tolerations, priorityClassName } = settled.podTemplate;
  const labels = { ...labelsFor(settled.name), [COMPONENT_LABEL]: component };
  return {
    metadata: jobMetadata(settled.podTemplate, labels),
    spec: {
      ...podBase(settled, priorityClassName === undefined ? {} : { priorityClassName }),
      ...(affinity === undefined ? {} : { affinity }),
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
      ...(tolerations === undefined ? {} : { tolerations }),
      restartPolicy: 'OnFailure',
      containers: [
        {
          name: component,
          image: settled.image,
          imagePullPolicy: settled.imagePullPolicy,
          args: [...args, '--endpoints', endpoints, '--timeout', '60s', ...tls],
          resources: resourcesOf({ resources }),
          // What it said last is told in the status of the JournalCluster.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: containerSecurity,
          volumeMounts: [
            { name: 'backups', mountPath: FOLDER, ...(readOnly ? { readOnly } : {}) },
            { name: 'tmp', mountPath: '/tmp' },
            ...(secure ? [{ name: 'tls', mountPath: TLS, readOnly: true }] : []),
          ],
        },
      ],
      volumes: [
        { name: 'backups', persistentVolumeClaim: { claimName } },
        { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
        ...(secure ? [{ name: 'tls', secret: { secretName, defaultMode: 0o440 } }] : []),
      ],
    },
  };
}
