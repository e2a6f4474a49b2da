// How a member enters an epoch, leaves it, learns without being in one, and cuts its log.

import {
  type Configuration,
  compareConfigurations,
  findMember,
  head,
  namesStore,
  order,
  sameMember,
} from '../configuration.ts';
import { invariant } from '../errors.ts';
import type { Epoch, Lsn } from '../types.ts';
import { higher, lower, micros, NO_LSN } from '../types.ts';
import { carryOutTrims, refuseWaiting } from './commit.ts';
import { prove } from './entry.ts';
import type { ChainEffect, ChainRecord, LogShape, TablesSnapshot } from './messages.ts';
import { cutShape, EMPTY_SHAPE, filled, rebased } from './shape.ts';
import { type ChainState, elderLsn, isHead, pendTrim, place } from './state.ts';
import { canCut, cutTables, emptyTables, openTables } from './tables.ts';

/**
 * The control plane decided `next` (spec: Adopt, Retire). Nothing of it is acted on before it is
 * saved, and the old epoch is left at once. A configuration that names this store under another
 * start saves nothing: an epoch that rises without its log would defeat the floor.
 */
export function takeConfiguration(
  state: ChainState,
  next: Configuration,
  effects: ChainEffect[],
): void {
  if (next.journal !== state.journal) return;
  // Late news: what was copied since may be of a later epoch than this one.
  if (state.known !== null && compareConfigurations(next, state.known) < 0) return;
  const older = isOfOlderLineage(state, next);
  state.known = next;
  const current = state.record;
  if (current !== null) {
    const { lineage } = current.configuration;
    if (compareConfigurations(next, { lineage, epoch: current.epoch }) <= 0) return;
  }
  const named = findMember(next, state.me) !== undefined && !next.deleted;
  if (!named && namesStore(next, state.me.store) && !next.deleted) return;
  if (!named && (current === null || current.retired)) return;
  const leads = head(next);
  const leading = leads !== undefined && sameMember(leads, state.me);
  const given = older && leads !== undefined && !leading;
  // What an older lineage committed may be cut where the new one never had it.
  if (given) state.committedLsn = state.shape.baseLsn;
  // The log of who leads is the new lineage's.
  const kept = leading ? NO_LSN : elderLsn(state);
  state.live = false;
  state.record = {
    configuration: next,
    epoch: next.epoch,
    markLsn: state.durableLsn,
    retired: !named,
    elderLsn: given && !goesOn(current, next) ? state.shape.endLsn : kept,
  };
  state.adopting = save(state, state.record, effects);
}

/**
 * The registers were built again, and the chain goes on as it was: every acknowledged entry is in
 * the log of its head, and what that lacks may be cut as ever.
 */
function goesOn(current: ChainRecord | null, next: Configuration): boolean {
  if (current === null || current.retired) return false;
  const [before, now] = [order(current.configuration), order(next)];
  return (
    before.length === now.length &&
    now.every((one) => before.some((other) => sameMember(one, other)))
  );
}

/** Whether this log is of a lineage that `next` has given up. A learner's is of what it knew. */
function isOfOlderLineage(state: ChainState, next: Configuration): boolean {
  const mine = state.record?.configuration ?? state.known;
  return mine !== null && mine.lineage < next.lineage && state.shape.endLsn > NO_LSN;
}

function save(state: ChainState, record: ChainRecord, effects: ChainEffect[]): number {
  const number = state.nextSave;
  state.nextSave += 1;
  effects.push({ kind: 'save', save: number, record });
  return number;
}

export function takeSaved(
  state: ChainState,
  number: number,
  tables: TablesSnapshot | undefined,
  effects: ChainEffect[],
): void {
  if (state.cutting !== 0 && state.cutting === number) {
    state.cutting = 0;
    if (tables !== undefined) state.tables = openTables(tables, state.settings.limits);
    invariant(
      state.tables.scalars.endLsn === state.shape.endLsn,
      'tables end where the log ends',
      () => `${state.tables.scalars.endLsn} and ${state.shape.endLsn}`,
    );
    state.syncSentAt = micros(0);
    pendTrim(state);
    // The commit may have risen while the cut was under way, and stays where it is for long.
    carryOutTrims(state, effects);
  }
  if (state.adopting !== 0 && number >= state.adopting) state.adopting = 0;
  const { record } = state;
  if (state.live || state.adopting !== 0 || state.cutting !== 0 || record === null) return;
  if (record.retired) retire(state, effects);
  else if (findMember(record.configuration, state.me) !== undefined) enter(state, record, effects);
}

/** The epoch is saved: act in it. A head starts it where its log ends. */
function enter(state: ChainState, record: ChainRecord, effects: ChainEffect[]): void {
  state.live = true;
  state.standing = 'member';
  state.settings = record.configuration.settings;
  state.wedged = false;
  state.gap = false;
  state.tooOld = false;
  state.acked.clear();
  state.sentLsn = null;
  state.toldLsn = null;
  state.toldBarrier = 0;
  state.barrier = 0;
  state.ackDue = false;
  state.relayDue = false;
  state.syncSentAt = micros(0);
  state.synced = isHead(state);
  state.startLsn = state.synced ? state.shape.endLsn : null;
  if (state.synced) {
    for (const read of state.reads) read.barrier = null;
    state.reads = state.reads.filter((read) => read.to.kind === 'client');
    // What was asked of the head before is for this one to answer.
    for (const { request } of state.remoteReads.values()) prove(state, request, NO_LSN, null);
    state.remoteReads.clear();
  } else {
    refuseWaiting(state, effects);
  }
  askForSync(state, effects);
}

function retire(state: ChainState, effects: ChainEffect[]): void {
  state.synced = false;
  if (state.standing !== 'learner') state.standing = 'retired';
  refuseWaiting(state, effects);
}

/** Tells the predecessor where this log is, so that it sends from where both agree. */
export function askForSync(state: ChainState, effects: ChainEffect[]): void {
  const to = place(state)?.predecessor;
  if (to === undefined || state.cutting !== 0) return;
  state.syncSentAt = state.now;
  effects.push({ kind: 'send', to, body: { kind: 'sync', shape: state.shape } });
}

/** Stops acknowledging this epoch, so that a controller knows what there is before it decides. */
export function wedge(state: ChainState, epoch: Epoch): void {
  if (state.live && state.record?.epoch === epoch) state.wedged = true;
}

/** Catches up without being a member. A log of a lineage that was given up is put aside first. */
export function learn(state: ChainState, next: Configuration, effects: ChainEffect[]): void {
  if (next.journal !== state.journal || next.deleted) return;
  if (state.live || state.adopting !== 0 || state.cutting !== 0) return;
  if (findMember(next, state.me) !== undefined) return;
  const older =
    isOfOlderLineage(state, next) || lower(elderLsn(state), state.shape.endLsn) > NO_LSN;
  if (state.known === null || compareConfigurations(next, state.known) > 0) state.known = next;
  state.settings = next.settings;
  // Named under another start, it may hold the very log that the new lineage goes on with.
  if (older && !namesStore(next, state.me.store)) {
    const { epoch } = next;
    putAside(state, { configuration: next, epoch, markLsn: NO_LSN, retired: true }, effects);
  }
  state.standing = 'learner';
}

/** A log that its lineage gave up is kept beside, whole; an empty one begins. */
export function putAside(
  state: ChainState,
  record: Omit<ChainRecord, 'elderLsn'>,
  effects: ChainEffect[],
): void {
  effects.push({ kind: 'setAside' });
  state.shape = EMPTY_SHAPE;
  state.durableLsn = NO_LSN;
  state.committedLsn = NO_LSN;
  state.trims = [];
  state.tables = emptyTables(state.settings.limits);
  state.record = { ...record, elderLsn: NO_LSN };
  state.cutting = save(state, state.record, effects);
}

/** The log agrees with the new lineage's up to where that began: nothing of it needs to be kept. */
export function agree(state: ChainState, effects: ChainEffect[]): void {
  const { record } = state;
  if (record === null || record.elderLsn === NO_LSN) return;
  state.record = { ...record, elderLsn: NO_LSN };
  save(state, state.record, effects);
}

/**
 * Drops everything after `endLsn`. The mark goes down first: between the two a log may be longer
 * than its mark, never shorter.
 */
export function cut(state: ChainState, endLsn: Lsn, effects: ChainEffect[]): void {
  invariant(
    endLsn >= state.committedLsn,
    'a cut never reaches what is committed',
    () => `cut to ${endLsn}, committed ${state.committedLsn}`,
  );
  lowerMark(state, endLsn, effects);
  const refold = !canCut(state.tables, endLsn);
  if (!refold) cutTables(state.tables, endLsn);
  state.shape = cutShape(state.shape, endLsn);
  state.durableLsn = lower(state.durableLsn, endLsn);
  state.trims = state.trims.filter((trim) => trim.lsn <= endLsn);
  state.cutting = state.nextSave;
  state.nextSave += 1;
  effects.push({ kind: 'truncate', save: state.cutting, endLsn, refold });
}

/**
 * A source's base is about to take the place of the log, which may have gone beyond it by entries
 * that were never committed: as before a cut, the mark goes down first.
 */
export function lowerMark(state: ChainState, endLsn: Lsn, effects: ChainEffect[]): void {
  const { record } = state;
  if (record === null || endLsn >= record.markLsn) return;
  state.record = { ...record, markLsn: endLsn };
  save(state, state.record, effects);
}

/** The log starts later now, by its own trim or a source's base; or what was bad is mended. */
export function rebase(state: ChainState, shape: LogShape, tables: TablesSnapshot | null): void {
  // Of a log that goes aside: the disk is on its way there.
  if (state.cutting !== 0 && state.shape.endLsn === NO_LSN) return;
  if (tables === null) {
    state.shape = filled(state.shape, shape);
    if (shape.baseLsn > state.shape.baseLsn) {
      state.shape = rebased(state.shape, shape.baseLsn, shape.baseEpoch);
    }
    return;
  }
  state.shape = shape;
  state.tables = openTables(tables, state.settings.limits);
  state.durableLsn = shape.endLsn;
  state.committedLsn = higher(state.committedLsn, shape.baseLsn);
  state.trims = [];
}
