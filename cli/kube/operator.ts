// Whether an operator is at work: clusters live without one, and nothing of theirs says that it is
// gone.

import { isStatus, KubeError, type KubeObject, RESOURCES } from '../../operator/kube/api.ts';
import { numberAt, textAt } from '../../operator/kube/fields.ts';
import { OPERATOR_LEASE } from '../../operator/kube/lease.ts';
import { listObjects } from '../../operator/kube/objects.ts';
import { asking, type Place, sinceText } from './place.ts';

/** A Lease is renewed every few seconds; clocks of people's machines may be off a little. */
const GONE_MILLIS = 60_000;

/** A line where no operator is at work; empty where one is, or the caller may not know. */
export async function operatorLine(place: Place, cluster: KubeObject): Promise<string> {
  const leases = await leasesOf(place);
  return leases === null ? '' : operatorText(cluster, leases, Date.now());
}

/** The Leases of operators in all namespaces; null where the caller may not see them. */
async function leasesOf({ api }: Place): Promise<readonly KubeObject[] | null> {
  try {
    // Every node has a Lease, too.
    const fieldSelector = `metadata.name=${OPERATOR_LEASE}`;
    const all = await asking(() => listObjects(api, RESOURCES.Lease, undefined, { fieldSelector }));
    return all.objects;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof KubeError && isStatus(cause, 403)) return null;
    throw error;
  }
}

/** Empty where an operator is at work; else since when none is, and what that means. */
export function operatorText(
  { metadata, status }: KubeObject,
  leases: readonly KubeObject[],
  nowMillis: number,
): string {
  const held = leases.filter((lease) => textAt(lease, 'spec', 'holderIdentity') !== '');
  const times = held.map((lease) => textAt(lease, 'spec', 'renewTime') ?? '').sort();
  const renewed = times.at(-1);
  if (renewed !== undefined && nowMillis - Date.parse(renewed) < GONE_MILLIS) return '';
  const since = renewed === undefined ? '' : ` for ${sinceText(renewed, nowMillis)}`;
  const seen = numberAt(status, 'observedGeneration');
  if (seen === undefined)
    return `  No operator is at work${since}: nothing is made before one is\n`;
  const isSeen = seen === metadata.generation;
  const spec = isSeen ? '' : ', and nobody has looked at the spec as it is now';
  return `  No operator is at work${since}: appends go on, nothing is changed or replaced${spec}\n`;
}
