// What has to be written so that an object is as it should be: nothing, where it already is.

import type { KubeObject } from '../kube/api.ts';
import { difference } from '../kube/covers.ts';
import type { Action } from './steps.ts';
import { find, type World } from './world.ts';

/** The write that is needed, if any. */
export function ensure(world: World, wanted: KubeObject): readonly Action[] {
  const { kind, metadata } = wanted;
  const present = find(world, kind, metadata.name);
  if (present === undefined) {
    const why = `${kind} ${metadata.name} is missing`;
    return [{ kind: 'apply', object: wanted, before: null, why }];
  }
  if (present.metadata.deletionTimestamp !== undefined) return [];
  const wrong = difference(wanted, present) ?? ownerDifference(wanted, present);
  if (wrong === null) return [];
  const why = `${kind} ${metadata.name}: ${wrong} is not as it should be`;
  return [{ kind: 'apply', object: wanted, before: present, why }];
}

/** An owner that should be there no more: what is kept must not go with the JournalCluster. */
function ownerDifference(wanted: KubeObject, present: KubeObject): string | null {
  const owned = (object: KubeObject): boolean =>
    (object.metadata.ownerReferences ?? []).some(({ kind }) => kind === 'JournalCluster');
  return owned(present) && !owned(wanted) ? 'metadata.ownerReferences' : null;
}
