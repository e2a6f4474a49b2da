// The beginning of a cluster: a new ledger, or the adoption of what an older one left behind.
//
// Volumes, ledger and authority are adopted together or not at all: a part of them is a cluster
// that could answer wrongly. What an older JournalCluster of the name takes with it as it goes is
// no part of either.

import { KIND } from '../crd.ts';
import type { KubeObject } from '../kube/api.ts';
import { textAt } from '../kube/fields.ts';
import { namesOf } from '../manifests/common.ts';
import type { Ledger } from './ledger.ts';
import { decide, zonesMissing } from './settle.ts';
import { askedFor, claimState, find, giveUp, isBound, type World } from './world.ts';

/** Nothing may be made yet; what is `waiting` ends by itself. */
export interface NotMade {
  readonly kind: 'stalled' | 'waiting';
  readonly reason: string;
  readonly message: string;
}

export type Found =
  | { readonly kind: 'ledger'; readonly ledger: Ledger; readonly why: string }
  | NotMade;

/** What to write as the ledger, or null where the one that is there is right. */
export function found(world: World, present: Ledger | null, draw: () => string): Found | null {
  const names = namesOf(world.cluster.metadata.name);
  const { spec, metadata } = world.cluster;
  const going = present?.ownerUid === metadata.uid ? undefined : leftToGo(world);
  if (going !== undefined) return goingFirst(world, going);
  const decided = decide(world.cluster, present?.decided, world.defaults);
  if (decided.image === '' && spec.image === undefined) {
    return stalled('NoImage', 'no image is given: set spec.image, or give the operator one');
  }
  if (present === null) {
    const object = find(world, 'ConfigMap', names.ledger);
    if (object !== undefined) {
      return stalled('LedgerUnreadable', `ConfigMap ${names.ledger} holds no ledger: restore it`);
    }
    const left = leftovers(world.objects);
    if (left.length > 0) return stalled('AdoptionIncomplete', incomplete(left, [names.ledger]));
    return begun(world, metadata.uid, draw(), decided);
  }
  if (present.ownerUid !== metadata.uid) {
    // Where no volume was ever there, nothing is left of the older one but its name.
    if (present.formatted || world.objects.some(isVolume)) return adoption(world, present);
    const anew = decide(world.cluster, undefined, world.defaults);
    return begun(world, metadata.uid, draw(), anew);
  }
  const same = JSON.stringify(decided) === JSON.stringify(present.decided);
  return same ? null : { kind: 'ledger', ledger: { ...present, decided }, why: '' };
}

/** One that runs goes on with the zones that it has; there is nothing to go on with here. */
function begun(world: World, uid: string, id: string, decided: Ledger['decided']): Found {
  const missing = zonesMissing(world.cluster, world.defaults, decided.zones);
  if (missing !== '') return stalled('ZonesMissing', missing);
  return { kind: 'ledger', ledger: fresh(uid, id, decided), why: '' };
}

function adoption(world: World, present: Ledger): Found {
  const names = namesOf(world.cluster.metadata.name);
  // Who was to leave already, such as for a volume that was lost, is not missed; nor is one that
  // is given up: its place is taken as if it had lost its volume while the cluster was there.
  const kept = { ...present, ...remade(world, present) };
  const lost = [...kept.replicas, ...kept.controllers]
    .filter((entry) => entry.leaving === '' && claimState(world, entry) === 'lost')
    .map(({ id }) => id)
    .filter((id) => !askedFor(world, id));
  const missing = lost.map(names.claim);
  // Of one that ran without TLS there never was an authority.
  const tls = world.cluster.spec.tls?.mode !== 'Disabled' && present.decided.secured;
  if (tls && find(world, 'Secret', names.authority) === undefined) missing.push(names.authority);
  if (missing.length > 0) {
    const wayOut = lost.length > 0 ? `; ${giveUp(lost.join(','))}` : '';
    const message = `${incomplete(leftovers(world.objects), missing)}${wayOut}`;
    return stalled('AdoptionIncomplete', message);
  }
  const restored = present.restored && world.cluster.spec.restore !== undefined;
  const why =
    `adopted the volumes, controllers and authority of an older ${names.service}` +
    (restored ? ', which was restored then: nothing is restored anew' : '');
  const ledger = { ...kept, ownerUid: world.cluster.metadata.uid };
  return { kind: 'ledger', ledger, why };
}

/**
 * With claims that somebody made again on the volumes that were kept, such as out of a backup of
 * objects: each process knows its volume, and serves from no other.
 */
function remade(world: World, { replicas, controllers }: Ledger) {
  const names = namesOf(world.cluster.metadata.name);
  const note = <Entry extends { readonly id: string; readonly claimUid: string }>(
    entry: Entry,
  ): Entry => {
    const claim = find(world, 'PersistentVolumeClaim', names.claim(entry.id));
    const { uid = '', deletionTimestamp } = claim?.metadata ?? {};
    const phase = textAt(claim, 'status', 'phase');
    const there = phase === 'Bound' && deletionTimestamp === undefined;
    return entry.claimUid === '' || !there ? entry : { ...entry, claimUid: uid };
  };
  return { replicas: replicas.map(note), controllers: controllers.map(note) };
}

const isVolume = (object: KubeObject): boolean =>
  object.kind === 'PersistentVolumeClaim' && isBound(object);

/** What goes with a JournalCluster of this name that is no more; its volumes go last. */
function leftToGo({ cluster, objects }: World): KubeObject | undefined {
  const left = objects.filter(({ metadata }) =>
    (metadata.ownerReferences ?? []).some(
      ({ kind, uid }) => kind === KIND && uid !== cluster.metadata.uid,
    ),
  );
  return left.find(isVolume) ?? left[0];
}

/** Whatever was made of it now would go with it, volumes among it. */
function goingFirst({ cluster }: World, { kind, metadata }: KubeObject): Found {
  const message =
    `${kind} ${metadata.name} of an older ${cluster.metadata.name} is still being deleted: ` +
    'the new one is made when all of that is gone';
  return { kind: 'waiting', reason: 'OlderOneIsGoing', message };
}

/** Volumes that no ledger tells of: kept from a JournalCluster of this name, or of this one. */
const leftovers = (objects: readonly KubeObject[]): readonly string[] =>
  objects.filter(isVolume).map(({ metadata }) => metadata.name);

const incomplete = (left: readonly string[], missing: readonly string[]): string =>
  `of an older cluster of this name ${left.join(', ') || 'nothing'} is left, and ` +
  `${missing.join(', ')} is missing: restore that, or delete what is left to begin anew`;

const stalled = (reason: string, message: string): Found => ({ kind: 'stalled', reason, message });

const fresh = (ownerUid: string, clusterId: string, decided: Ledger['decided']): Ledger => ({
  ownerUid,
  clusterId,
  formatted: false,
  restored: false,
  recovery: '',
  recovered: '',
  decided,
  replicas: [],
  controllers: [],
  nextReplica: 1,
  nextController: 1,
});
