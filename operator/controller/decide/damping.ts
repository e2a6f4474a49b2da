// How soon a member that was put out may come back. Pure: time is an argument.
//
// From its third removal within 30 s a member waits 1 s, then twice as long each time, at most
// 10 s: a removal is never delayed, a return is. One that was put out for its disk first shows a
// second of good syncs: else a disk that holds each sync for 2 s comes back between two of them.
// One that was put out because a link to it is cut waits 3 s: else appends wait for it once more.

import { type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import { TIMING } from '../config.ts';

const WINDOW = 30_000_000;
const FREE_REMOVALS = 2;
const WAIT_MIN = 1_000_000;
const WAIT_MAX = 10_000_000;

interface Past {
  /** Removals of the last 30 s. */
  removals: readonly Micros[];
  /** Out for its disk, and since when its syncs have been good; null while they are not. */
  quarantine: { readonly goodSince: Micros | null } | null;
  /** When it was last put out for a link; 0 for never. */
  cutOffAt: Micros;
}

export type Damping = Map<StoreId, Past>;

const past = (damping: Damping, store: StoreId): Past =>
  damping.get(store) ?? { removals: [], quarantine: null, cutOffAt: micros(0) };

export function noteRemoval(damping: Damping, store: StoreId, now: Micros): void {
  const before = past(damping, store);
  const recent = before.removals.filter((at) => now - at < WINDOW);
  damping.set(store, { ...before, removals: [...recent, now] });
}

/** Appends waited for the member, which others could not reach. */
export function noteCutOff(damping: Damping, store: StoreId, now: Micros): void {
  damping.set(store, { ...past(damping, store), cutOffAt: now });
}

/** The member's disk hung or was slow: it is in quarantine until it shows otherwise. */
export function noteBadDisk(damping: Damping, store: StoreId): void {
  damping.set(store, { ...past(damping, store), quarantine: { goodSince: null } });
}

/** How its disk is now: `good` where syncs complete, in less than 50 ms. */
export function noteSyncs(damping: Damping, store: StoreId, good: boolean, now: Micros): void {
  const before = past(damping, store);
  const { quarantine } = before;
  if (quarantine === null) return;
  const goodSince = good ? (quarantine.goodSince ?? now) : null;
  const over = goodSince !== null && now - goodSince >= TIMING.quarantine;
  damping.set(store, { ...before, quarantine: over ? null : { goodSince } });
}

export const inQuarantine = (damping: Damping, store: StoreId): boolean =>
  past(damping, store).quarantine !== null;

/** When the member may come back, as far as its removals go; a time that is over for at once. */
export function returnsAt(damping: Damping, store: StoreId, now: Micros): Micros {
  const { removals, cutOffAt } = past(damping, store);
  const linked = cutOffAt === 0 ? 0 : cutOffAt + TIMING.cutOff;
  const recent = removals.filter((at) => now - at < WINDOW);
  const last = recent.at(-1);
  if (last === undefined || recent.length <= FREE_REMOVALS) return micros(linked);
  const wait = WAIT_MIN * 2 ** (recent.length - FREE_REMOVALS - 1);
  return micros(Math.max(linked, last + Math.min(WAIT_MAX, wait)));
}
