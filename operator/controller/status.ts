// The cluster as operators see it: processes, journals, what is wrong, in words.

import { type Configuration, compareConfigurations, order } from '../../protocol/configuration.ts';
import { type Lsn, NO_LSN, type StoreId } from '../../protocol/types.ts';
import type {
  ClusterStatus,
  JournalStatus,
  MemberStatus,
  ProcessStatus,
} from '../../transport/public.ts';
import type { Catalog } from './catalog.ts';
import { TIMING } from './config.ts';
import type { Gossiper } from './gossip.ts';
import type { Observer, Seen } from './observe/observer.ts';
import type { Reconfigurer } from './reconfigure/reconfigure.ts';
import type { GrantRecord, NodeRecord } from './register/records.ts';
import type { Register } from './register/register.ts';
import type { ControllerAbout } from './register/wire.ts';

export interface StatusParts {
  readonly now: () => number;
  readonly cluster: string;
  readonly id: string;
  readonly register: Register;
  readonly catalog: Catalog;
  readonly observer: Observer;
  readonly gossip: Gossiper;
  readonly reconfigurer: Reconfigurer;
  readonly about: () => ControllerAbout;
  /** Why a volume that came as this member may not serve; empty where none came lately. */
  readonly refusal: (member: string) => string;
}

/** What the note of a replica begins with whose volume may not serve. */
export const REFUSED_VOLUME = 'its volume is refused: ';
/** Epochs that a raised lineage skips are no reconfigurations. */
const EPOCH_STEP = 2 ** 20;

export function clusterStatus(parts: StatusParts): ClusterStatus {
  const { catalog, cluster } = parts;
  const journals = catalog
    .configurations()
    .filter(({ deleted }) => !deleted)
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map((configuration) => journalStatus(parts, configuration));
  const processes = [...replicas(parts), ...controllers(parts)];
  return {
    cluster,
    featureLevel: catalog.feature,
    ready: isReady(parts) && journals.every(({ writable }) => writable),
    partial: isPartial(parts),
    processes,
    journals,
  };
}

const isPartial = ({ catalog }: StatusParts): boolean => !catalog.complete || catalog.rebuilding;

/** Whether a journal could be created and written to: as many members as most journals need. */
function isReady(parts: StatusParts): boolean {
  const { catalog, observer, now } = parts;
  if (isPartial(parts)) return false;
  const granted = catalog.grants().filter(({ leaving }) => leaving === null);
  const up = granted.filter(({ store }) => {
    const seen = store === null ? undefined : observer.find(store);
    return isHeard(seen, now()) && (seen?.hello?.incarnation ?? 0) > 0;
  });
  return up.length >= Math.min(2, granted.length) && up.length > 0;
}

const isHeard = (seen: Seen | undefined, now: number): boolean =>
  seen !== undefined && seen.health !== null && now - seen.lastPong < TIMING.suspect;

function replicas(parts: StatusParts): readonly ProcessStatus[] {
  const { catalog, observer, now } = parts;
  const all = catalog.configurations();
  return catalog
    .nodes()
    .filter(({ member, store }) => {
      const heard = isHeard(observer.find(store), now());
      return isShown(store, catalog.grant(member), { heard, configurations: all });
    })
    .sort((one, other) => (one.member < other.member ? -1 : 1))
    .map((node) => replicaStatus(parts, node));
}

/**
 * Stores whose label went to another one are shown while some journal still names them, and so are
 * members that leave, or while they answer: who is out and ended is missed by nobody.
 */
export function isShown(
  store: StoreId,
  grant: Pick<GrantRecord, 'store' | 'leaving'> | undefined,
  seen: { readonly heard: boolean; readonly configurations: readonly Configuration[] },
): boolean {
  if (grant?.store === store && (grant.leaving === null || seen.heard)) return true;
  return seen.configurations.some(
    (one) => !one.deleted && order(one).some((member) => member.store === store),
  );
}

function replicaStatus(parts: StatusParts, node: NodeRecord): ProcessStatus {
  const { observer, reconfigurer, now } = parts;
  const seen = observer.find(node.store);
  const { hello = null } = seen ?? {};
  return {
    kind: 'replica',
    id: node.member,
    store: node.store,
    incarnation: hello?.incarnation ?? node.generation,
    zone: node.zone,
    address: node.address,
    pid: hello?.pid ?? 0,
    dataDirectory: hello?.dataDirectory ?? '',
    version: hello?.version ?? '',
    reachable: isHeard(seen, now()),
    note: noteOf(parts, node, seen, reconfigurer.verdicts.get(node.store)),
  };
}

function noteOf(
  { catalog, now, refusal }: StatusParts,
  node: NodeRecord,
  seen: Seen | undefined,
  verdict: string | undefined,
): string {
  const grant = catalog.grant(node.member);
  const stranger = refusal(node.member);
  if (stranger !== '' && !isHeard(seen, now())) return `${REFUSED_VOLUME}${stranger}`;
  if (seen === undefined || seen.hello === null)
    return 'not heard of since this controller started';
  if (seen.health !== null && seen.health.failed !== '') return seen.health.failed;
  if (!isHeard(seen, now())) return 'does not answer';
  if (seen.hello.incarnation === 0) return 'waits for its start';
  if (grant?.store !== node.store) return 'its label belongs to another store';
  if (grant.leaving !== null) return 'is to leave';
  if (seen.health?.draining === true) return 'is about to end';
  return verdict === undefined || verdict === 'fine' ? '' : `judged ${verdict}`;
}

function controllers(parts: StatusParts): readonly ProcessStatus[] {
  const { register, gossip, id, about } = parts;
  const { seats } = register.set;
  return register.needed.map((seat) => {
    const heard = seat.id === id ? { about: about(), alive: true } : gossip.about(seat.id);
    const known = heard?.about;
    return {
      kind: 'controller',
      id: seat.id,
      store: known?.store ?? seat.store,
      incarnation: 0,
      zone: known?.zone ?? '',
      address: seat.address,
      pid: known?.pid ?? 0,
      dataDirectory: known?.dataDirectory ?? '',
      version: known?.version ?? '',
      reachable: heard?.alive ?? false,
      note: seats.includes(seat) ? controllerNote(heard) : 'hands its registers over',
    };
  });
}

function controllerNote(heard: ReturnType<Gossiper['about']>): string {
  if (heard === null) return 'not heard of';
  return heard.alive ? heard.about.note : 'does not answer';
}

function journalStatus(parts: StatusParts, configuration: Configuration): JournalStatus {
  const { observer, reconfigurer, now } = parts;
  const { journal, name, lineage, epoch, serving } = configuration;
  const members = [...chain(parts, configuration), ...learners(parts, configuration)];
  const note = reconfigurer.memories.get(journal)?.note ?? '';
  const all = order(configuration).map(({ store }) => observer.find(store));
  const live = all.every((seen) => {
    const report = seen?.reports.get(journal)?.report;
    if (report === undefined || !isHeard(seen, now())) return false;
    return report.live && !report.wedged && compareConfigurations(report, configuration) === 0;
  });
  const synced = members.slice(0, serving.length).every((member) => member.synced);
  const enough = order(configuration).length >= configuration.settings.minReplicas;
  const full = fullDisk(parts, configuration);
  const writable = live && synced && enough && full === '';
  const short = `${serving.length} members serve, ${configuration.settings.minReplicas} must`;
  return {
    id: journal,
    name,
    lineage,
    epoch,
    writable,
    note:
      [note, full, writable ? '' : enough ? 'the chain is being formed' : short].find(
        (one) => one !== '',
      ) ?? '',
    members,
    reconfigurations: (epoch - 1) % EPOCH_STEP,
    minReplicas: configuration.settings.minReplicas,
  };
}

/** Whose disk has no room for records: an append needs every member. */
function fullDisk({ observer }: StatusParts, configuration: Configuration): string {
  for (const { id, store } of order(configuration)) {
    const why = observer.find(store)?.health?.full ?? '';
    if (why !== '') return `the disk of ${id} is full: trim, or make it larger (${why})`;
  }
  return '';
}

function chain(parts: StatusParts, configuration: Configuration): readonly MemberStatus[] {
  const { observer, now } = parts;
  const first = configuration.serving[0];
  const headSeen = first === undefined ? undefined : observer.find(first.store);
  const end = headSeen?.reports.get(configuration.journal)?.report.endLsn ?? NO_LSN;
  return order(configuration).map((member) => {
    const seen = observer.find(member.store);
    const report = seen?.reports.get(configuration.journal)?.report;
    const same = seen?.hello?.incarnation === member.incarnation;
    const joining = configuration.joining === member;
    return {
      id: member.id,
      store: member.store,
      zone: member.zone,
      address: member.address,
      role: joining ? 'joining' : (report?.role ?? 'none'),
      live: same && isHeard(seen, now()) && report?.live === true,
      synced: same && report?.synced === true,
      ...positions(report?.endLsn, report?.durableLsn, report?.committedLsn, end),
    };
  });
}

/**
 * Whether somebody who copies a journal is to become a member of its chain. Who is to leave never
 * is, and nobody while the chain is whole: a copy that another member made needless simply goes on.
 */
export function isToJoin(
  configuration: Configuration,
  grant: Pick<GrantRecord, 'store' | 'leaving'> | undefined,
  store: StoreId,
): boolean {
  if (grant?.store !== store || grant.leaving !== null) return false;
  return order(configuration).length < configuration.settings.replicationFactor;
}

function learners(parts: StatusParts, configuration: Configuration): readonly MemberStatus[] {
  const { catalog, observer, now } = parts;
  const { journal, serving } = configuration;
  const named = new Set(order(configuration).map(({ store }) => store));
  const first = serving[0];
  const head = first === undefined ? undefined : observer.find(first.store)?.reports.get(journal);
  return catalog.nodes().flatMap((node) => {
    const seen = observer.find(node.store);
    const report = seen?.reports.get(journal)?.report;
    if (named.has(node.store) || report === undefined || report.role !== 'learner') return [];
    if (!isToJoin(configuration, catalog.grant(node.member), node.store)) return [];
    const end = head?.report.endLsn ?? NO_LSN;
    return [
      {
        id: node.member,
        store: node.store,
        zone: node.zone,
        address: node.address,
        role: 'learner',
        live: isHeard(seen, now()),
        synced: false,
        ...positions(report.endLsn, report.durableLsn, report.committedLsn, end),
      },
    ];
  });
}

function positions(
  endLsn: Lsn = NO_LSN,
  durableLsn: Lsn = NO_LSN,
  committedLsn: Lsn = NO_LSN,
  headEnd: Lsn = NO_LSN,
): Pick<MemberStatus, 'endLsn' | 'durableLsn' | 'committedLsn' | 'lag'> {
  return { endLsn, durableLsn, committedLsn, lag: Math.max(0, headEnd - endLsn) };
}
