// What this controller remembers of one journal between two looks at it. All of it may be lost:
// the next look begins again from what the members and the registers say.

import type { Floor } from '../../../protocol/chain/messages.ts';
import {
  type Configuration,
  findMember,
  type Member,
  order,
} from '../../../protocol/configuration.ts';
import { type Epoch, type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import { isReordered } from '../decide/chains.ts';

const ZERO = micros(0);
/** A change that comes so soon after a stall was made because of it. */
const STALL_MEMORY = 1_000_000;

export interface Memory {
  /** Members that were told to wedge, in which epoch, since when. */
  wedge: { readonly epoch: Epoch; readonly at: Micros; readonly members: readonly Member[] } | null;
  /** A member was first seen wedged in this epoch. */
  orphan: { readonly epoch: Epoch; readonly at: Micros } | null;
  /** When some serving member was last a possible survivor. */
  goodAt: Micros;
  /** Since when the chain has been too short; null while it is not. */
  missingAt: Micros | null;
  /** When the same members were last put in another order; 0 for never. */
  reorderedAt: Micros;
  /** When appends were last seen to wait for too long; 0 for never. */
  stalledAt: Micros;
  /** What a majority of controllers knew a moment ago. */
  floors: { readonly at: Micros; readonly of: ReadonlyMap<StoreId, Floor> } | null;
  learn: { readonly store: StoreId; readonly source: Member } | null;
  readonly probing: Set<StoreId>;
  /** The same step has been due since: controllers further back in rank wait longer. */
  due: { readonly step: string; readonly at: Micros } | null;
  /** When another controller was last seen to begin a change of this journal. */
  othersAt: Micros;
  /** When trouble began, to know how long a reconfiguration took; null while all is well. */
  troubleAt: Micros | null;
  /** A change of the register is under way. */
  busy: boolean;
  /** What is going on, in words, for status. */
  note: string;
  /** No member with the whole log is left: `note` says who is missing. */
  lost: boolean;
  /** Needs a look at every beat. */
  restless: boolean;
  lookedAt: Micros;
}

export function freshMemory(now: Micros): Memory {
  return {
    wedge: null,
    orphan: null,
    goodAt: now,
    missingAt: null,
    reorderedAt: ZERO,
    stalledAt: ZERO,
    floors: null,
    learn: null,
    probing: new Set(),
    due: null,
    othersAt: ZERO,
    troubleAt: null,
    busy: false,
    note: '',
    lost: false,
    restless: true,
    lookedAt: ZERO,
  };
}

/** Members of `before` that are none of `next`. */
export const putOut = (before: Configuration, next: Configuration): readonly Member[] =>
  order(before).filter((old) => findMember(next, old) === undefined);

/**
 * Who went out because the others do not reach it, whichever controller decided that: appends
 * waited, and it `works` as far as this one can see.
 */
export function cutOff(
  { stalledAt }: Memory,
  before: Configuration,
  next: Configuration,
  works: (member: Member) => boolean,
  now: Micros,
): readonly Member[] {
  const stalled = stalledAt > 0 && now - stalledAt < STALL_MEMORY;
  return stalled ? putOut(before, next).filter(works) : [];
}

/** What was under way in an older epoch is over; that it was another order is kept. */
export function turnPage(
  memory: Memory,
  next: Configuration,
  before: Configuration | null,
  now: Micros,
): void {
  const { epoch, deleted } = next;
  if (before !== null && isReordered(before, next)) memory.reorderedAt = now;
  if (memory.wedge !== null && memory.wedge.epoch !== epoch) memory.wedge = null;
  if (memory.orphan !== null && memory.orphan.epoch !== epoch) memory.orphan = null;
  memory.learn = null;
  memory.due = null;
  memory.lost = false;
  memory.probing.clear();
  memory.restless = !deleted;
}
