// The volume claim of one process: made by the operator, grown by it, never made twice.

import type { Settled, Volume } from '../journal/settle.ts';
import { isBound } from '../journal/world.ts';
import type { KubeObject } from '../kube/api.ts';
import { quantity } from '../kube/covers.ts';
import { isObject, labelsOf, textAt } from '../kube/fields.ts';
import {
  COMPONENT_LABEL,
  MEMBER_LABEL,
  made,
  namesOf,
  OWNER_ANNOTATION,
  ZONE_LABEL,
} from './common.ts';
import type { Process } from './pod.ts';

/** A claim that somebody grew beyond the wish stays as it is: volumes do not shrink. */
export function claim(
  settled: Settled,
  process: Process,
  present: KubeObject | undefined,
): KubeObject {
  const { size } = volumeOf(settled, process);
  return claimOf(settled, process, larger(size, present), present);
}

/** That of a process which has left: it is kept or goes as the others do, and grows no more. */
export function retiredClaim(settled: Settled, present: KubeObject): KubeObject {
  const labels = labelsOf(present.metadata);
  const component = labels[COMPONENT_LABEL] === 'controller' ? 'controller' : 'replica';
  const process = { component, id: labels[MEMBER_LABEL] ?? '', zone: labels[ZONE_LABEL] ?? '' };
  return claimOf(settled, { ...process, component }, sizeOf(present), present);
}

/** A claim that asks for as much as there is. */
export function asLarge(wanted: KubeObject, present: KubeObject): KubeObject {
  const resources = { requests: { storage: sizeOf(present) } };
  return { ...wanted, spec: { ...(isObject(wanted.spec) ? wanted.spec : {}), resources } };
}

/**
 * No volume, and none that will be: an unbound claim of an older JournalCluster, whose class may be
 * another one, or of a controller that goes to another zone, which a node may have been chosen for.
 */
export const isStale = (settled: Settled, { zone }: Process, present: KubeObject): boolean =>
  !isBound(present) &&
  (textAt(present, 'metadata', 'annotations', OWNER_ANNOTATION) !== settled.uid ||
    labelsOf(present.metadata)[ZONE_LABEL] !== zone);

const volumeOf = (settled: Settled, { component }: Process): Volume =>
  component === 'replica' ? settled.storage : settled.controllerStorage;

/** One that was kept may be of another class than is asked for: that of a claim stays for good. */
function claimOf(
  settled: Settled,
  process: Process,
  storage: string,
  present: KubeObject | undefined,
): KubeObject {
  const { component, id, zone } = process;
  const wished = volumeOf(settled, process).className;
  const className = textAt(present, 'spec', 'storageClassName') ?? wished;
  const spec = {
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage } },
    ...(className === '' ? {} : { storageClassName: className }),
  };
  const labels = { [COMPONENT_LABEL]: component, [MEMBER_LABEL]: id, [ZONE_LABEL]: zone };
  const options = { labels, kept: true };
  return made(settled, 'PersistentVolumeClaim', namesOf(settled.name).claim(id), { spec }, options);
}

const sizeOf = (present: KubeObject | undefined): string =>
  textAt(present, 'spec', 'resources', 'requests', 'storage') ?? '';

function larger(size: string, present: KubeObject | undefined): string {
  const there = sizeOf(present);
  return (quantity(there) ?? 0) > (quantity(size) ?? 0) ? there : size;
}
