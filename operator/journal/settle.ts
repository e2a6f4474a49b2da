// The spec with everything decided: what was given, else what was decided before, else a default.

import { zone } from '../../protocol/types.ts';
import type { JournalCluster, PodTemplate } from '../crd.ts';
import type { Decided, Ledger } from './ledger.ts';

export const CLIENT_PORT = 7400;
export const CONTROLLER_PORT = 7410;
export const PROBE_PORT = 7480;

/** What the builders of manifests and the plan read; nothing in it is left open. */
export interface Settled {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly clusterId: string;
  /** Empty: spread over hosts, whatever their labels. */
  readonly zones: readonly string[];
  readonly members: number;
  readonly replicationFactor: number;
  readonly minReplicas: number;
  /** As `replicationFactor`, however few members there are: of journals that clients make. */
  readonly copies: number;
  readonly controllers: number;
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly { readonly name: string }[];
  readonly storage: Volume;
  readonly controllerStorage: Volume;
  readonly podTemplate: PodTemplate;
  readonly controllerTemplate: PodTemplate;
  readonly tls: {
    readonly enabled: boolean;
    /** Empty: the operator's own authority. */
    readonly issuerSecretName: string;
    readonly leafDays: number;
    readonly authorityDays: number;
  };
  readonly networkPolicy: {
    readonly enabled: boolean;
    readonly clientNamespaces: readonly string[];
  };
  readonly podMonitor: boolean;
  /** The page of a replica shows records to whoever reaches it. */
  readonly consoleRecords: boolean;
  /** Pods have IPv6 addresses. */
  readonly ipv6: boolean;
  /** Volumes, ledger and authority stay when the JournalCluster goes. */
  readonly keepVolumes: boolean;
  readonly hibernate: boolean;
}

export interface Volume {
  readonly size: string;
  /** Empty: the default class. */
  readonly className: string;
}

/** What a default is when nothing was decided yet. */
export interface Defaults {
  /** The operator's own image. */
  readonly image: string;
  /** Zones that the nodes have now, sorted; empty where they were not or cannot be read. */
  readonly nodeZones: readonly string[];
  /** Labels of PodMonitors; null where none can be made: nobody said so, or it is no kind here. */
  readonly podMonitors: Readonly<Record<string, string>> | null;
  /** Pods of this Kubernetes have IPv6 addresses, alone or first. */
  readonly ipv6: boolean;
}

const MEMBERS_DEFAULT = 3;
const REPLICATION_DEFAULT = 3;
const CONTROLLERS_DEFAULT = 3;
const MIN_REPLICAS_DEFAULT = 2;

/** The values that the spec leaves out, for good: what was decided before stays. */
export function decide(
  { spec }: JournalCluster,
  before: Decided | undefined,
  defaults: Defaults,
): Decided {
  const members = spec.members ?? spec.zones?.length ?? spec.zoneCount;
  return {
    // An operator that had none to give may have one by now.
    image: before?.image || defaults.image,
    zones: spec.zones ?? zonesFor(spec.zoneCount, before?.zones ?? [], defaults),
    members: before?.members ?? members ?? MEMBERS_DEFAULT,
    replicationFactor:
      before?.replicationFactor ?? Math.min(REPLICATION_DEFAULT, members ?? MEMBERS_DEFAULT),
    controllers: before?.controllers ?? CONTROLLERS_DEFAULT,
    ipv6: before?.ipv6 ?? defaults.ipv6,
    secured: spec.tls?.mode !== 'Disabled',
  };
}

/** Those in use stay, and others come; as they were where there are not enough. */
function zonesFor(
  count: number | undefined,
  used: readonly string[],
  { nodeZones }: Defaults,
): readonly string[] {
  const all = [...new Set([...used, ...nodeZones.filter(isZone)])];
  return count === undefined || all.length < count ? used : all.slice(0, count);
}

/** Nodes may carry labels that no process of a cluster takes, such as with capital letters. */
function isZone(given: string): boolean {
  try {
    return zone(given) !== '';
  } catch {
    return false;
  }
}

/** Why `zoneCount` zones cannot be had; empty where they are. */
export function zonesMissing(
  { spec }: JournalCluster,
  { nodeZones }: Defaults,
  zones: readonly string[],
): string {
  const { zoneCount = 0 } = spec;
  if (zones.length >= zoneCount) return '';
  const there = nodeZones.filter(isZone).join(', ') || 'none that the operator can read';
  const unfit = nodeZones.filter((one) => !isZone(one));
  const message = `zoneCount is ${zoneCount}, and zones of nodes are: ${there}`;
  if (unfit.length === 0) return message;
  return `${message}; not ${unfit.join(', ')}, since names are of a-z, 0-9, "-" and "."`;
}

/** What was asked for and cannot be had, where all the rest is made; null for nothing. */
export function unmet(
  cluster: JournalCluster,
  { podMonitor, zones, minReplicas, replicationFactor }: Settled,
  defaults: Defaults,
): { readonly reason: string; readonly message: string } | null {
  const missing = zonesMissing(cluster, defaults, zones);
  if (missing !== '') {
    const stays = zones.length === 0 ? 'spread over hosts' : `in ${zones.join(', ')}`;
    return { reason: 'ZonesMissing', message: `${missing}; until then it stays ${stays}` };
  }
  const { minReplicas: wanted = minReplicas } = cluster.spec;
  if (wanted > minReplicas) {
    const message =
      `minReplicas is ${wanted}, above the replicationFactor of ${replicationFactor} that was ` +
      'decided when nothing was said of it: set members and replicationFactor as well, or a ' +
      'smaller minReplicas';
    return { reason: 'TooFewCopies', message };
  }
  if (!podMonitor || defaults.podMonitors !== null) return null;
  const message =
    'spec.monitoring.podMonitor is true, and this operator makes none: set its value ' +
    'monitoring.podMonitors where the Prometheus operator is installed, or leave the field out';
  return { reason: 'PodMonitorsOff', message };
}

export function settle(cluster: JournalCluster, ledger: Ledger): Settled {
  const { spec, metadata } = cluster;
  const { decided } = ledger;
  const zones = spec.zones ?? (spec.zoneCount === undefined ? [] : decided.zones);
  const members = spec.members ?? (zones.length === 0 ? decided.members : zones.length);
  const copies = spec.replicationFactor ?? decided.replicationFactor;
  const replicationFactor = Math.min(copies, members);
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid,
    clusterId: ledger.clusterId,
    zones,
    members,
    replicationFactor,
    // A process that is told of more than there are copies would not start.
    minReplicas: Math.min(spec.minReplicas ?? MIN_REPLICAS_DEFAULT, replicationFactor),
    copies,
    controllers: spec.controllers?.count ?? decided.controllers,
    image: spec.image ?? decided.image,
    imagePullPolicy: spec.imagePullPolicy ?? 'IfNotPresent',
    imagePullSecrets: spec.imagePullSecrets ?? [],
    storage: { size: spec.storage.size, className: spec.storage.className ?? '' },
    controllerStorage: {
      size: spec.controllers?.storage?.size ?? '1Gi',
      className: spec.controllers?.storage?.className ?? '',
    },
    podTemplate: spec.podTemplate ?? {},
    controllerTemplate: spec.controllers?.podTemplate ?? {},
    tls: {
      enabled: spec.tls?.mode !== 'Disabled',
      issuerSecretName: spec.tls?.issuerSecretName ?? '',
      leafDays: spec.tls?.leafDays ?? 90,
      authorityDays: spec.tls?.authorityDays ?? 1095,
    },
    networkPolicy: {
      enabled: spec.networkPolicy?.enabled ?? true,
      clientNamespaces: spec.networkPolicy?.clientNamespaces ?? [],
    },
    podMonitor: spec.monitoring?.podMonitor ?? false,
    consoleRecords: spec.console?.records ?? false,
    ipv6: decided.ipv6,
    keepVolumes: spec.deletionPolicy !== 'Delete',
    hibernate: spec.hibernate ?? false,
  };
}

/** The zone for one more process: the one with the fewest, the first of several. */
export function nextZone(
  zones: readonly string[],
  present: readonly { readonly zone: string }[],
  number: number,
): string {
  if (zones.length === 0) return `host-${number}`;
  const count = (zone: string): number => present.filter((one) => one.zone === zone).length;
  return [...zones].sort((one, other) => count(one) - count(other))[0] ?? '';
}

interface Place {
  readonly id: string;
  readonly zone: string;
  readonly by: string;
  readonly removing: boolean;
}

/** Those that have a place: who is to take that of another has none until then. */
export function placesOf<Entry extends Place>(all: readonly Entry[]): readonly Entry[] {
  const coming = all.filter(({ removing }) => !removing).map(({ by }) => by);
  return all.filter(({ id, removing }) => !removing && !coming.includes(id));
}

/** How many more are in a zone than in the one that has the fewest; 0 where none is asked for. */
export function surplus(
  zones: readonly string[],
  present: readonly { readonly zone: string }[],
  zone: string,
): number {
  if (!zones.includes(zone)) return 0;
  const count = (which: string): number => present.filter((one) => one.zone === which).length;
  return count(zone) - Math.min(...zones.map(count));
}
