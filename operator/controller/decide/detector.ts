// Which members are not fine, by what one controller saw of them. Pure: time is an argument.
//
//   silent   no pong for 400 ms
//   stuck    a sync has been under way for 500 ms, and for twice as long as the longest of another
//            member in the last 5 s (2 s is enough), while that one has synced since it began
//   slow     median of the syncs of a second at least 50 ms and 20 times that of the others
//   failed   the member says itself that its volume gave up
//
// A hung disk and a stopped process so look alike to those who wait for them. A verdict is an
// opinion: `agreed` says what a majority of controllers thinks, and only that is acted upon. When
// the controller's own loop was late, the caller moves all `lastPong` forward: what was not seen
// then is no evidence.

import { type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import { SLOW_FACTOR, TIMING } from '../config.ts';
import type { VerdictKind } from '../register/wire.ts';

export interface Evidence {
  readonly store: StoreId;
  /** When the last pong came, or when observation began; monotonic here. */
  readonly lastPong: Micros;
  /** From the last pong: age of the oldest sync under way, 0 for none. */
  readonly syncAge: Micros;
  /** When a sync is last known to have completed; 0 for never. */
  readonly lastSync: Micros;
  /** The oldest that a sync was seen to get in the last seconds. */
  readonly syncPeak: Micros;
  /** From the last pong: median of the syncs of a second, 0 for none. */
  readonly syncMedian: Micros;
  readonly failed: boolean;
}

/** The verdict of one controller on each member. */
export function detect(
  members: readonly Evidence[],
  now: Micros,
): ReadonlyMap<StoreId, VerdictKind> {
  const verdicts = new Map<StoreId, VerdictKind>();
  for (const member of members) {
    const others = members.filter(({ store }) => store !== member.store);
    verdicts.set(member.store, judge(member, others, now));
  }
  return verdicts;
}

function judge(member: Evidence, others: readonly Evidence[], now: Micros): VerdictKind {
  if (member.failed) return 'failed';
  if (now - member.lastPong >= TIMING.suspect) return 'silent';
  if (isStuck(member, others)) return 'stuck';
  return isSlow(member, others) ? 'slow' : 'fine';
}

/**
 * Only while others make durable progress, and clearly faster: a disk that all share being slow is
 * nobody's fault, and taking a member out for it helps nobody.
 */
function isStuck(member: Evidence, others: readonly Evidence[]): boolean {
  const { lastPong, syncAge } = member;
  if (syncAge < TIMING.stuck) return false;
  const began = lastPong - syncAge;
  return others.some(({ lastSync, syncPeak }) => {
    return lastSync > began && syncAge >= Math.min(2 * syncPeak, TIMING.stuckAnyway);
  });
}

function isSlow(member: Evidence, others: readonly Evidence[]): boolean {
  if (member.syncMedian < TIMING.slowSync) return false;
  const peers = others.map(({ syncMedian }) => syncMedian).filter((median) => median > 0);
  const peer = median(peers);
  return peer !== null && member.syncMedian >= SLOW_FACTOR * peer;
}

/** The upper one of two middle values, so that one fast peer alone condemns nobody. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

/**
 * What a majority of `controllers` agrees on, member by member: the kinds may differ as long as
 * none of that majority calls it fine. What fewer think is `fine`.
 */
export function agreed(
  opinions: readonly ReadonlyMap<StoreId, VerdictKind>[],
  controllers: number,
): ReadonlyMap<StoreId, VerdictKind> {
  const votes = new Map<StoreId, VerdictKind[]>();
  for (const [store, kind] of opinions.flatMap((opinion) => [...opinion])) {
    if (kind === 'fine') continue;
    votes.set(store, [...(votes.get(store) ?? []), kind]);
  }
  const decided = new Map<StoreId, VerdictKind>();
  for (const [store, kinds] of votes) {
    if (2 * kinds.length <= controllers) continue;
    const order: readonly VerdictKind[] = ['failed', 'silent', 'stuck', 'slow'];
    // The mildest: to be called slow by one and stuck by another is to be slow for both.
    const mildest = order.findLast((kind) => kinds.includes(kind));
    decided.set(store, mildest ?? 'fine');
  }
  return decided;
}

/** Whether two opinions say the same of everybody: who is not named is fine. */
export function sameVerdicts(
  one: ReadonlyMap<StoreId, VerdictKind>,
  other: ReadonlyMap<StoreId, VerdictKind>,
): boolean {
  const held = (these: typeof one, those: typeof one): boolean => {
    for (const [store, kind] of these) if ((those.get(store) ?? 'fine') !== kind) return false;
    return true;
  };
  return held(one, other) && held(other, one);
}

/** How far a member's clock is from the median of the controllers' clocks, in microseconds. */
export function clockError(memberOffset: number, controllerOffsets: readonly number[]): Micros {
  return micros(Math.round(Math.abs(memberOffset - (median(controllerOffsets) ?? 0))));
}
