// Turns what was observed into the plain values that decisions are made from.

import { type Configuration, order } from '../../../protocol/configuration.ts';
import { type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import type { Catalog } from '../catalog.ts';
import { TIMING } from '../config.ts';
import { type Damping, inQuarantine, returnsAt } from '../decide/damping.ts';
import { clockError } from '../decide/detector.ts';
import type { MemberFacts, Situation } from '../decide/situation.ts';
import type { Observer, Seen } from '../observe/observer.ts';
import { growthOf, type SeenReport } from '../observe/reports.ts';
import type { GrantRecord, NodeRecord } from '../register/records.ts';
import type { VerdictKind } from '../register/wire.ts';
import type { Memory } from './memory.ts';

export interface World {
  readonly now: Micros;
  readonly catalog: Pick<Catalog, 'nodes' | 'grant' | 'configuration' | 'decidedAt'>;
  readonly observer: Pick<Observer, 'find'>;
  /** What a majority of controllers thinks. */
  readonly verdicts: ReadonlyMap<StoreId, VerdictKind>;
  readonly damping: Damping;
  /** Clocks of the controllers less ours. */
  readonly offsets: readonly number[];
  /** Journals that each store is in. */
  readonly loads: ReadonlyMap<StoreId, number>;
}

export function situate(world: World, configuration: Configuration, memory: Memory): Situation {
  const { now, catalog } = world;
  const { journal } = configuration;
  const members = new Map<StoreId, MemberFacts>();
  for (const node of catalog.nodes()) {
    members.set(node.store, factsOf(world, node, configuration, memory));
  }
  const since = (at: Micros | null): Micros => micros(at === null ? 0 : Math.max(0, now - at));
  const { wedge, orphan } = memory;
  return {
    configuration,
    members,
    decidedFor: since(catalog.decidedAt(journal)),
    wedgedFor: wedge === null ? null : since(wedge.at),
    orphanFor: orphan === null ? null : since(orphan.at),
    stalledFor: stalledFor(world, configuration),
    silentFor: since(memory.goodAt),
    missingFor: since(memory.missingAt),
    reordered: memory.reorderedAt > 0 && now - memory.reorderedAt < TIMING.reorderMemory,
    floorsKnown: memory.floors !== null && now - memory.floors.at < TIMING.cold,
  };
}

function factsOf(
  world: World,
  node: NodeRecord,
  { journal, epoch }: Configuration,
  { wedge, floors }: Memory,
): MemberFacts {
  const { now, catalog, observer, verdicts, offsets } = world;
  const { store } = node;
  const seen = observer.find(store);
  const grant = catalog.grant(node.member);
  const report = seen?.reports.get(journal);
  const wedged = report?.report.wedged === true && report.report.epoch === epoch;
  const proved = wedged && wedge !== null && (seen?.lastSync ?? 0) > wedge.at;
  const offset = seen?.offset ?? 0;
  const known = seen !== undefined && seen.health !== null;
  return {
    store,
    id: node.member,
    zone: node.zone,
    address: node.address,
    incarnation: incarnationOf(node, seen),
    generation: node.startId === '' ? 0 : node.generation,
    verdict: verdictOf(seen, verdicts.get(store)),
    syncs: syncsNow(seen, now),
    syncing: isSyncing(seen),
    proved,
    leaving: leavingOf(seen, grant, store),
    clockOff: known && clockError(offset, offsets) > TIMING.clockError,
    admissible: grant !== undefined && grant.store === store && grant.leaving === null,
    heldBack: heldBack(world, store),
    slowNow: isSlowNow(seen),
    report: report?.report ?? null,
    restsFor: restsFor(seen, report),
    learnedPerSecond: growthOf(report),
    floor: floors?.of.get(store) ?? null,
    load: world.loads.get(store) ?? 0,
  };
}

/** A process that was overtaken by a newer start of its store counts as gone. */
function incarnationOf(node: NodeRecord, seen: Seen | undefined): number {
  const incarnation = seen?.hello?.incarnation ?? 0;
  const superseded = node.startId !== '' && incarnation < node.generation;
  return superseded ? 0 : incarnation;
}

/** What the process says of itself counts at once, what we think of it needs a majority. */
function verdictOf(seen: Seen | undefined, agreed: VerdictKind | undefined): VerdictKind {
  if (seen === undefined || seen.hello === null) return 'silent';
  if (seen.health !== null && seen.health.failed !== '') return 'failed';
  return agreed ?? 'fine';
}

function leavingOf(
  seen: Seen | undefined,
  grant: GrantRecord | undefined,
  store: StoreId,
): MemberFacts['leaving'] {
  if (seen?.health?.draining === true) return 'drain';
  // The label went to another store, or people want it out.
  return grant !== undefined && grant.store === store && grant.leaving === null ? 'no' : 'remove';
}

export const syncsNow = (seen: Seen | undefined, now: Micros): boolean =>
  seen !== undefined && seen.lastSync > 0 && now - seen.lastSync < TIMING.syncFresh;

function isSyncing(seen: Seen | undefined): boolean {
  const age = seen?.health?.syncAge ?? 0;
  return age > 0 && age < TIMING.stuck;
}

export const isSlowNow = (seen: Seen | undefined): boolean =>
  (seen?.health?.syncMedian ?? 0) >= TIMING.slowSync ||
  (seen?.health?.syncAge ?? 0) >= TIMING.slowSync;

/** As of its last pong: what it did since then is not known. */
function restsFor(seen: Seen | undefined, report: SeenReport | undefined): Micros {
  const since = report?.restAt ?? null;
  return micros(seen === undefined || since === null ? 0 : Math.max(0, seen.lastPong - since));
}

function heldBack({ damping, now }: World, store: StoreId): MemberFacts['heldBack'] {
  if (inQuarantine(damping, store)) return 'disk';
  return returnsAt(damping, store, now) > now ? 'damped' : '';
}

/** How many journals each store is in, all roles. */
export function loadsOf(configurations: readonly Configuration[]): Map<StoreId, number> {
  const loads = new Map<StoreId, number>();
  for (const { store } of configurations.flatMap(order)) {
    loads.set(store, (loads.get(store) ?? 0) + 1);
  }
  return loads;
}

/**
 * How long appends or reads have waited at the head without a commit, as of its last pong; 0 where
 * none does. That the head is silent says nothing of the others.
 */
function stalledFor({ observer }: World, configuration: Configuration): Micros {
  const first = configuration.serving[0];
  const seen = first === undefined ? undefined : observer.find(first.store);
  const report = seen?.reports.get(configuration.journal);
  if (seen === undefined || report === undefined || report.report.epoch !== configuration.epoch)
    return micros(0);
  const { waitingMicros } = report.report;
  if (waitingMicros === 0) return micros(0);
  const { lastPong } = seen;
  const waited = waitingMicros + Math.max(0, lastPong - report.at);
  return micros(Math.round(Math.max(0, Math.min(waited, lastPong - report.committedAt))));
}
