// The volume claim of one process: made by the operator, grown by it, never made twice.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { COMPONENT_LABEL, MEMBER_LABEL, made, namesOf, ZONE_LABEL } from './common.ts';
import type { Process } from './pod.ts';

export function claim(settled: Settled, { component, id, zone }: Process): KubeObject {
  const { size, className } = component === 'replica' ? settled.storage : settled.controllerStorage;
  const spec = {
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: size } },
    ...(className === '' ? {} : { storageClassName: className }),
  };
  const labels = { [COMPONENT_LABEL]: component, [MEMBER_LABEL]: id, [ZONE_LABEL]: zone };
  const options = { labels, kept: true };
  return made(settled, 'PersistentVolumeClaim', namesOf(settled.name).claim(id), { spec }, options);
}
