// The volume claim of one process: made by the operator, grown by it, never made twice.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { quantity } from '../kube/covers.ts';
import { textAt } from '../kube/fields.ts';
import { COMPONENT_LABEL, MEMBER_LABEL, made, namesOf, ZONE_LABEL } from './common.ts';
import type { Process } from './pod.ts';

/** A claim that somebody grew beyond the wish stays as it is: volumes do not shrink. */
export function claim(
  settled: Settled,
  { component, id, zone }: Process,
  present: KubeObject | undefined,
): KubeObject {
  const { size, className } = component === 'replica' ? settled.storage : settled.controllerStorage;
  const spec = {
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: larger(size, present) } },
    ...(className === '' ? {} : { storageClassName: className }),
  };
  const labels = { [COMPONENT_LABEL]: component, [MEMBER_LABEL]: id, [ZONE_LABEL]: zone };
  const options = { labels, kept: true };
  return made(settled, 'PersistentVolumeClaim', namesOf(settled.name).claim(id), { spec }, options);
}

function larger(size: string, present: KubeObject | undefined): string {
  const there = textAt(present, 'spec', 'resources', 'requests', 'storage') ?? '';
  return (quantity(there) ?? 0) > (quantity(size) ?? 0) ? there : size;
}
