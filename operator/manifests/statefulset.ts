// One StatefulSet of one pod for each process.
//
// Kubernetes starts the pod again when the operator is away; any member can be taken out; the pod
// is restarted only by the operator (`OnDelete`), after its gates.

import { createHash } from 'node:crypto';
import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { isObject, textAt } from '../kube/fields.ts';
import { MEMBER_LABEL, made, namesOf, selectorFor } from './common.ts';
import { type Process, podLabels, podTemplate } from './pod.ts';

/** What a user can change about a pod, as text: while it is the same, the template stays. */
export const INPUTS_ANNOTATION = 'journal.dev/template-inputs';
/** The template as it was made, so that a newer operator can keep to it. */
export const TEMPLATE_ANNOTATION = 'journal.dev/template';
/** Of inputs and template: what somebody changes of them is seen, and is not rolled out. */
const CHECKSUM_ANNOTATION = 'journal.dev/template-checksum';

export function statefulSet(
  settled: Settled,
  process: Process,
  present: KubeObject | undefined,
): KubeObject {
  const names = namesOf(settled.name);
  const inputs = inputsOf(settled, process);
  const template = keptTemplate(present, inputs) ?? podTemplate(settled, process);
  const text = JSON.stringify(template);
  const selector = { ...selectorFor(settled.name, process.component), [MEMBER_LABEL]: process.id };
  return made(
    settled,
    'StatefulSet',
    names.process(process.id),
    {
      spec: {
        replicas: settled.hibernate ? 0 : 1,
        serviceName: names.process(process.id),
        podManagementPolicy: 'Parallel',
        updateStrategy: { type: 'OnDelete' },
        revisionHistoryLimit: 3,
        selector: { matchLabels: selector },
        template,
      },
    },
    {
      labels: podLabels(settled, process),
      annotations: {
        [INPUTS_ANNOTATION]: inputs,
        [TEMPLATE_ANNOTATION]: text,
        [CHECKSUM_ANNOTATION]: checksumOf(inputs, text),
      },
    },
  );
}

const checksumOf = (inputs: string, template: string): string =>
  createHash('sha256')
    .update(JSON.stringify([inputs, template]))
    .digest('hex');

/** An upgrade of the operator restarts no pod: the same wishes mean the same template. */
function keptTemplate(present: KubeObject | undefined, inputs: string) {
  const said = (name: string): string | undefined =>
    textAt(present, 'metadata', 'annotations', name);
  const text = said(TEMPLATE_ANNOTATION) ?? '';
  // What an older operator made has no checksum yet.
  const checksum = said(CHECKSUM_ANNOTATION);
  const edited = checksum !== undefined && checksum !== checksumOf(inputs, text);
  if (said(INPUTS_ANNOTATION) !== inputs || edited) return undefined;
  try {
    const template: unknown = JSON.parse(text);
    return isObject(template) ? template : undefined;
  } catch {
    return undefined;
  }
}

function inputsOf(settled: Settled, { component, id, zone }: Process): string {
  const template = component === 'replica' ? settled.podTemplate : settled.controllerTemplate;
  const { image, imagePullPolicy, imagePullSecrets, clusterId, tls } = settled;
  const wishes = { id, zone, clusterId, image, imagePullPolicy, imagePullSecrets, template };
  // Only where it is asked for, so that an older set of those who never did stays the same.
  const records = settled.consoleRecords ? { consoleRecords: true } : {};
  const { copies: replicationFactor, minReplicas } = settled;
  const data = component === 'replica' ? { replicationFactor, minReplicas, ...records } : {};
  const spread = settled.zones.length > 0;
  return JSON.stringify({ ...wishes, tls: tls.enabled, spread, ...data });
}
