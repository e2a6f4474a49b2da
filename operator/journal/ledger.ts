// What the operator must remember of a cluster and cannot read off anything else: one ConfigMap.
//
// Identity, the values that were left out of the spec, and who the members are: their numbers are
// never given again. Written only under the resource version that it was read with, so that two
// operators never both add a member. Kept, with the volumes, under `deletionPolicy: Retain`.

import type { KubeObject } from '../kube/api.ts';
import { at, isObject, type Json, listAt, numberAt, textAt } from '../kube/fields.ts';

export interface Ledger {
  /** UID of the JournalCluster that it belongs to. */
  readonly ownerUid: string;
  /** 32 hexadecimal digits, drawn once; what volumes carry. */
  readonly clusterId: string;
  /** Once true it stays so: from then on an empty volume of a controller is a lost one. */
  readonly formatted: boolean;
  /** Values that the spec leaves out, decided once. */
  readonly decided: Decided;
  readonly replicas: readonly ReplicaEntry[];
  readonly controllers: readonly ControllerEntry[];
  /** Numbers of the next ones. */
  readonly nextReplica: number;
  readonly nextController: number;
  /** The restore was carried out. */
  readonly restored: boolean;
  /** The wish to build the registers again that was taken up last; empty for none. */
  readonly recovery: string;
  /** The same, once that was carried out. */
  readonly recovered: string;
}

export interface Decided {
  readonly image: string;
  /** Named by the spec last, or picked from the nodes for `zoneCount`; empty without either. */
  readonly zones: readonly string[];
  readonly members: number;
  readonly replicationFactor: number;
  readonly controllers: number;
  /** Pods have IPv6 addresses. */
  readonly ipv6: boolean;
  /** By TLS, as the spec says: what is kept of it has an authority. */
  readonly secured: boolean;
}

export interface ReplicaEntry {
  /** `replica-1`: the member id, and the end of the names of its objects. */
  readonly id: string;
  readonly zone: string;
  /** UID of its volume claim, once made; another one, or none, means that the volume is lost. */
  readonly claimUid: string;
  /** The controllers granted its first start. */
  readonly granted: boolean;
  /** Why it is to leave; empty while it stays. */
  readonly leaving: string;
  /** The one that takes its place; empty for none. */
  readonly by: string;
  /** The controllers were told to let it go. */
  readonly ordered: boolean;
  /** It is out of every journal: what belongs to it is being deleted, and not made again. */
  readonly removing: boolean;
}

export interface ControllerEntry {
  /** `controller-1`. */
  readonly id: string;
  readonly zone: string;
  readonly claimUid: string;
  /** Came later: its volume was formatted to join the set. True once it may start. */
  readonly formatted: boolean;
  readonly leaving: string;
  readonly by: string;
  readonly removing: boolean;
}

/** Whether it is of this JournalCluster, and not of an older one of the name. */
export const isOwn = (
  { cluster }: { readonly cluster: { readonly metadata: { readonly uid: string } } },
  { ownerUid }: Ledger,
): boolean => ownerUid === cluster.metadata.uid;

export const LEDGER_KEY = 'ledger.json';

/** Null where the ConfigMap holds no ledger; never thrown, since people edit things. */
export function readLedger(object: KubeObject | undefined): Ledger | null {
  const text = textAt(object, 'data', LEDGER_KEY);
  if (text === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const clusterId = textAt(value, 'clusterId') ?? '';
  if (!isObject(value) || !/^[0-9a-f]{32}$/.test(clusterId)) return null;
  const decided = value.decided;
  return {
    ownerUid: textAt(value, 'ownerUid') ?? '',
    clusterId,
    formatted: value.formatted === true,
    restored: value.restored === true,
    recovery: textAt(value, 'recovery') ?? '',
    recovered: textAt(value, 'recovered') ?? '',
    decided: {
      image: textAt(decided, 'image') ?? '',
      zones: texts(listAt(decided, 'zones')),
      members: numberAt(decided, 'members') ?? 3,
      replicationFactor: numberAt(decided, 'replicationFactor') ?? 3,
      controllers: numberAt(decided, 'controllers') ?? 3,
      ipv6: at(decided, 'ipv6') === true,
      secured: at(decided, 'secured') !== false,
    },
    replicas: listAt(value, 'replicas').filter(isObject).map(replicaOf),
    controllers: listAt(value, 'controllers').filter(isObject).map(controllerOf),
    nextReplica: numberAt(value, 'nextReplica') ?? 1,
    nextController: numberAt(value, 'nextController') ?? 1,
  };
}

const texts = (values: readonly unknown[]): readonly string[] =>
  values.filter((one) => typeof one === 'string');

function replicaOf(entry: Json): ReplicaEntry {
  return {
    id: textAt(entry, 'id') ?? '',
    zone: textAt(entry, 'zone') ?? '',
    claimUid: textAt(entry, 'claimUid') ?? '',
    granted: entry.granted === true,
    leaving: textAt(entry, 'leaving') ?? '',
    by: textAt(entry, 'by') ?? '',
    ordered: entry.ordered === true,
    removing: entry.removing === true,
  };
}

function controllerOf(entry: Json): ControllerEntry {
  return {
    id: textAt(entry, 'id') ?? '',
    zone: textAt(entry, 'zone') ?? '',
    claimUid: textAt(entry, 'claimUid') ?? '',
    formatted: entry.formatted === true,
    leaving: textAt(entry, 'leaving') ?? '',
    by: textAt(entry, 'by') ?? '',
    removing: entry.removing === true,
  };
}

export const writeLedger = (ledger: Ledger): string => `${JSON.stringify(ledger, null, 1)}\n`;
