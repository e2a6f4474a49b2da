// The state of one journal on one member: positions and small windows, never payloads.

import {
  type Configuration,
  findMember,
  head,
  type JournalSettings,
  type Member,
  type MemberKey,
  order,
  predecessor,
  sameMember,
  successor,
} from '../configuration.ts';
import type { Refusal } from '../errors.ts';
import type { JournalId, Lsn, Micros, StoreId, WriterId } from '../types.ts';
import { micros, NO_EPOCH, NO_LSN } from '../types.ts';
import type {
  AckEntry,
  ChainRecord,
  ChainReply,
  ChainReport,
  Floor,
  LogShape,
  ReadIndex,
  RequestId,
  TablesSnapshot,
} from './messages.ts';
import { endEpoch, epochAt } from './shape.ts';
import { openTables, type Tables } from './tables.ts';

/** What a process knows of a journal when it starts, read from its volume. */
export interface ChainStart {
  readonly journal: JournalId;
  readonly me: MemberKey;
  /** As it was last saved; null for a journal that this volume never was a member of. */
  readonly record: ChainRecord | null;
  /** Of the log as it was recovered: all of it is durable. */
  readonly shape: LogShape;
  /** Folded to the end of that log. */
  readonly tables: TablesSnapshot | null;
  readonly settings: JournalSettings;
}

/**
 * What the process is for the journal:
 *
 *     none ──learn──▶ learner ──configure──▶ member ──configure──▶ retired ──learn──▶ learner
 *     restarted (was a member before this start) ──learn──▶ learner, ──configure──▶ member
 */
export type Standing = 'none' | 'restarted' | 'learner' | 'member' | 'retired';

/** A request of this member's clients that is answered once `untilLsn` is committed. */
export interface WaitingAppend {
  readonly request: RequestId;
  readonly untilLsn: Lsn;
  /** By `awake`. */
  readonly since: Micros;
  readonly reply: ChainReply;
}

/**
 * An answer that must prove that nothing newer exists: `untilLsn` is committed, the epoch's own
 * start is, and every member has answered a barrier that was drawn after the question came.
 */
export interface WaitingRead {
  readonly to: ReadTarget;
  readonly untilLsn: Lsn;
  /** By `awake`. */
  readonly since: Micros;
  /** Null until the next barrier is drawn. */
  barrier: number | null;
}

/** Why an append may not be made. */
export interface Failed {
  readonly refused: Refusal;
  /** The entry that made it fail: "no" is said once it is committed. */
  readonly becauseLsn: Lsn;
}

export interface Burned extends Failed {
  readonly sequence: number;
}

export interface PendingTrim {
  readonly lsn: Lsn;
  readonly through: Lsn;
}

export type ReadTarget =
  /** Of this member's own client; `reply` null for a read index, which is filled in when it ends. */
  | { readonly kind: 'client'; readonly request: RequestId; readonly reply: ChainReply | null }
  | { readonly kind: 'member'; readonly member: Member; readonly read: number };

/** A read index that this member asked the head for. */
export interface RemoteRead {
  readonly request: RequestId;
  sentAt: Micros;
  /** The head's answer, awaited by the local committed position; null before. */
  answer: ReadIndex | null;
}

export interface ChainState {
  readonly journal: JournalId;
  readonly me: MemberKey;
  settings: JournalSettings;
  now: Micros;
  /** Time in which this process was not at work: longer than ticks are apart. */
  missed: Micros;
  wall: Micros;
  standing: Standing;
  record: ChainRecord | null;
  /** The newest configuration heard of: a learner's, a member's. */
  known: Configuration | null;
  nextSave: number;
  /** A save that the adoption of `record` waits for, 0 for none. */
  adopting: number;
  /** A save or truncation that the log waits for, 0 for none: nothing is appended meanwhile. */
  cutting: number;
  shape: LogShape;
  durableLsn: Lsn;
  committedLsn: Lsn;
  tables: Tables;
  /** Trims that are in the log and not committed yet, in order. */
  trims: PendingTrim[];

  /** Takes part in the epoch of `record`: adopted it in this life, and saved it. */
  live: boolean;
  wedged: boolean;
  synced: boolean;
  startLsn: Lsn | null;
  tooOld: boolean;
  /** Something that was sent before was seen to be missing. */
  gap: boolean;
  syncSentAt: Micros;
  floor: Floor | null;

  /** How far the successor was sent to, null until it said where its log is. */
  sentLsn: Lsn | null;
  /** Commit position and barrier that the successor was last told; null for nothing yet. */
  toldLsn: Lsn | null;
  toldBarrier: number;
  forwardedAt: Micros;
  /** What every member has acknowledged in this epoch, as far as it was heard. */
  readonly acked: Map<StoreId, AckEntry>;
  /** This member owes the head (and, more lazily, its predecessor) an acknowledgement. */
  ackDue: boolean;
  relayDue: boolean;
  relayedAt: Micros;
  /** Head: greatest one drawn; others: greatest one seen. */
  barrier: number;

  /** Head only. */
  appends: WaitingAppend[];
  /** Retries of appends that are in the log and not committed yet. */
  duplicates: WaitingAppend[];
  reads: WaitingRead[];
  /** The last refusal of each writer: it burns its sequence while this head lasts. */
  readonly burned: Map<WriterId, Burned>;
  readonly remoteReads: Map<number, RemoteRead>;
  nextRead: number;
  inquiredAt: Micros;
}

/** So long after the last turn this process itself was late: nobody else is to blame for that. */
export const LATE_MICROS = 150_000;
/** How long an answer of a peer is awaited before it is asked again. */
export const RESEND_MICROS = 100_000;
/**
 * Between two messages that pass acknowledgements on towards the head. Where a cut link leaves no
 * other way there, every commit waits for one at each hop.
 */
export const RELAY_MICROS = 20_000;

export function openChain(start: ChainStart): ChainState {
  const { record, shape } = start;
  const tables = openTables(start.tables, start.settings.limits);
  const state: ChainState = {
    journal: start.journal,
    me: start.me,
    settings: start.settings,
    now: micros(0),
    missed: micros(0),
    wall: micros(0),
    standing: record === null ? 'none' : record.retired ? 'retired' : 'restarted',
    record,
    known: record?.configuration ?? null,
    nextSave: 1,
    adopting: 0,
    cutting: 0,
    shape,
    durableLsn: shape.endLsn,
    committedLsn: shape.baseLsn,
    tables,
    trims: [],
    live: false,
    wedged: false,
    synced: false,
    startLsn: null,
    tooOld: false,
    gap: false,
    syncSentAt: micros(0),
    floor: null,
    sentLsn: null,
    toldLsn: null,
    toldBarrier: 0,
    forwardedAt: micros(0),
    acked: new Map(),
    ackDue: false,
    relayDue: false,
    relayedAt: micros(0),
    barrier: 0,
    appends: [],
    duplicates: [],
    reads: [],
    burned: new Map(),
    remoteReads: new Map(),
    nextRead: 1,
    inquiredAt: micros(0),
  };
  pendTrim(state);
  return state;
}

/** A trim that a log holds which was just opened, or cut, is due once all of it is committed. */
export function pendTrim(state: ChainState): void {
  const { trimmedLsn } = state.tables.scalars;
  const { baseLsn, endLsn } = state.shape;
  const pending = state.trims.at(-1)?.through ?? baseLsn;
  if (trimmedLsn > pending) state.trims.push({ lsn: endLsn, through: trimmedLsn });
}

// ── Who is who, in the epoch that this member is live in ───────────────────────────────────────

export interface Place {
  readonly configuration: Configuration;
  readonly head: Member;
  readonly predecessor: Member | undefined;
  readonly successor: Member | undefined;
}

/** This member's place, or null where it takes part in no epoch. */
export function place(state: ChainState): Place | null {
  const configuration = state.record?.configuration;
  if (!state.live || configuration === undefined) return null;
  const first = head(configuration);
  if (first === undefined || findMember(configuration, state.me) === undefined) return null;
  return {
    configuration,
    head: first,
    predecessor: predecessor(configuration, state.me),
    successor: successor(configuration, state.me),
  };
}

/** Whether this member is the head of the epoch it is live in. */
export function isHead(state: ChainState): boolean {
  const here = place(state);
  return here !== null && sameMember(here.head, state.me);
}

/** Last position of this member's log that it may vouch for in its epoch. */
export function vouchedLsn(state: ChainState): Lsn {
  return state.live && state.synced && !state.wedged ? state.durableLsn : NO_LSN;
}

/**
 * Whether the driver must go on ticking this journal every 50 ms although nothing comes in: an
 * answer is awaited, or a lost message would not show otherwise.
 */
export function outstanding(state: ChainState): boolean {
  if (state.adopting !== 0 || state.remoteReads.size > 0) return true;
  const here = place(state);
  if (here === null) return false;
  if (!state.synced || state.gap || state.relayDue) return true;
  if (state.appends.length > 0 || state.reads.length > 0) return true;
  return here.successor !== undefined && !successorHasAll(state, here.successor);
}

/** Whether the successor is known to hold and know everything that this member does. */
export function successorHasAll(state: ChainState, next: Member): boolean {
  const entry = state.acked.get(next.store);
  return (
    entry !== undefined &&
    entry.durableLsn >= state.shape.endLsn &&
    entry.barrier >= state.barrier &&
    state.toldLsn !== null &&
    state.toldLsn >= state.committedLsn
  );
}

// ── What it tells the controllers ──────────────────────────────────────────────────────────────

function role(state: ChainState): ChainReport['role'] {
  if (state.standing !== 'member') return state.standing;
  const configuration = state.record?.configuration;
  if (configuration === undefined) return 'none';
  const at = order(configuration).findIndex((member) => sameMember(member, state.me));
  if (at === 0) return 'head';
  return at === order(configuration).length - 1 ? 'tail' : 'middle';
}

/** A log that ends below the mark of its epoch lost acknowledged entries: it is no survivor. */
export function isDamaged(state: ChainState): boolean {
  const { record } = state;
  return record !== null && !state.live && state.durableLsn < record.markLsn;
}

/** What others are waited for in: the time but for what this process slept through. */
export const awake = ({ now, missed }: ChainState): Micros => micros(now - missed);

/** See `ChainRecord.elderLsn`. */
export const elderLsn = ({ record }: ChainState): Lsn => record?.elderLsn ?? NO_LSN;

export function report(state: ChainState): ChainReport {
  const oldest = [state.appends[0], state.reads[0]].flatMap((one) => one?.since ?? []);
  return {
    journal: state.journal,
    lineage: state.record?.configuration.lineage ?? 0,
    epoch: state.record?.epoch ?? NO_EPOCH,
    role: role(state),
    live: state.live,
    synced: state.live && state.synced,
    wedged: state.wedged,
    damaged: isDamaged(state),
    tooOld: state.tooOld || (!state.live && elderLsn(state) > NO_LSN),
    endLsn: state.shape.endLsn,
    endEpoch: endEpoch(state.shape),
    durableLsn: state.durableLsn,
    committedLsn: state.committedLsn,
    baseLsn: state.shape.baseLsn,
    startLsn: state.live ? state.startLsn : null,
    waitingMicros: micros(Math.max(0, ...oldest.map((since) => awake(state) - since))),
    acked: isHead(state) ? [...state.acked.values()] : [],
    floor: state.floor,
  };
}

/**
 * Where a writer that opens its session now begins, see `openedAt`. An end that is not committed
 * may be cut: what comes in its place lies below, and a writer evicted with that would look new.
 */
export const openingLsn = ({ committedLsn }: ChainState): Lsn => committedLsn;

/**
 * Of a log whose bytes are too bad to open it: there is something of the journal, whatever it is
 * worth. It goes on from there once a peer has mended it, or else learns all anew.
 */
export function reportUnopened(
  journal: JournalId,
  record: ChainRecord | null,
  shape: LogShape,
): ChainReport {
  return {
    journal,
    lineage: record?.configuration.lineage ?? 0,
    epoch: record?.epoch ?? NO_EPOCH,
    role: 'none',
    live: false,
    synced: false,
    wedged: false,
    damaged: true,
    tooOld: true,
    endLsn: shape.endLsn,
    endEpoch: endEpoch(shape),
    durableLsn: shape.endLsn,
    committedLsn: shape.baseLsn,
    baseLsn: shape.baseLsn,
    startLsn: null,
    waitingMicros: micros(0),
    acked: [],
    floor: null,
  };
}

/** Whether it is such a report: a log that lost its end has a role. */
export const isUnopened = ({ role, damaged }: ChainReport): boolean => damaged && role === 'none';

/** Notes what this disk has now acknowledged: no older copy of it may count as a survivor. */
export function raiseFloor(state: ChainState, acknowledged: Lsn): void {
  const entryEpoch = epochAt(state.shape, acknowledged);
  if (state.record === null || entryEpoch === undefined) return;
  state.floor = { epoch: state.record.epoch, lsn: acknowledged, entryEpoch };
}
