// What a decision is made from, and what it may be: one journal at one moment, as plain values.

import type { ChainReport, Floor } from '../../../protocol/chain/messages.ts';
import type { Configuration, Member } from '../../../protocol/configuration.ts';
import type { MemberId, Micros, StoreId, Zone } from '../../../protocol/types.ts';
import type { VerdictKind } from '../register/wire.ts';

/** One store that ever started in this cluster, and the process on it, for one journal. */
export interface MemberFacts {
  readonly store: StoreId;
  readonly id: MemberId;
  readonly zone: Zone;
  readonly address: string;
  /** Of the process that was heard last; 0 where it waits for its start, or none was heard. */
  readonly incarnation: number;
  /** Last start of the store by the register; 0 where that is no start but reserved. */
  readonly generation: number;
  /** What a majority of controllers thinks. */
  readonly verdict: VerdictKind;
  /** A sync completed within the last 400 ms. */
  readonly syncs: boolean;
  /** A sync is under way that is not overdue: what waits for it is not late yet. */
  readonly syncing: boolean;
  /** It answered the present wedge, and a sync completed since. */
  readonly proved: boolean;
  /** It ends its process (drain), or people want it out of all journals (remove). */
  readonly leaving: 'no' | 'drain' | 'remove';
  /** Its clock is too far from the controllers' median for a head. */
  readonly clockOff: boolean;
  /** It holds the grant of its label: it may be let in. */
  readonly admissible: boolean;
  /** Why it may not come back yet, in a word; empty where it may. */
  readonly heldBack: '' | 'damped' | 'disk';
  /** Its syncs are slow at this moment. */
  readonly slowNow: boolean;
  readonly report: ChainReport | null;
  /** Since it acts in its epoch, has on disk all that it got and gets nothing more; 0 for never. */
  readonly restsFor: Micros;
  /** Records that it copied in the last second. */
  readonly learnedPerSecond: number;
  /** Of its disk in this journal, over a majority of controllers; null for none. */
  readonly floor: Floor | null;
  /** Journals that it is in, all roles. */
  readonly load: number;
}

/** Longest log first: the epoch of its last entry, then its end. */
export function byLog(one: MemberFacts | undefined, other: MemberFacts | undefined): number {
  const [a, b] = [one?.report, other?.report];
  return (b?.endEpoch ?? 0) - (a?.endEpoch ?? 0) || (b?.endLsn ?? 0) - (a?.endLsn ?? 0);
}

export interface Situation {
  readonly configuration: Configuration;
  readonly members: ReadonlyMap<StoreId, MemberFacts>;
  /** Since this controller learned of the configuration. */
  readonly decidedFor: Micros;
  /** Since this controller wedged this epoch; null where it did not. */
  readonly wedgedFor: Micros | null;
  /** Since some member was seen wedged in this epoch; null for none. */
  readonly orphanFor: Micros | null;
  /** Since the head has had waiting appends and no commit; 0 where it has none. */
  readonly stalledFor: Micros;
  /** Since some serving member was last a possible survivor; 0 where one is. */
  readonly silentFor: Micros;
  /** Since the chain was last as long as it should be; 0 where it is. */
  readonly missingFor: Micros;
  /** The chain was reordered because of a stall a moment ago. */
  readonly reordered: boolean;
  /** `floor` of every member is what a majority of controllers knows. */
  readonly floorsKnown: boolean;
}

/** Why a configuration was decided: the label of the count in the metrics. */
export type Cause =
  | 'silent'
  | 'stuck'
  | 'slow'
  | 'failed'
  | 'restart'
  | 'behind'
  | 'tooOld'
  | 'leaving'
  | 'stall'
  | 'orphan'
  | 'cold'
  | 'promote'
  | 'join'
  | 'handOver'
  | 'spread'
  | 'forceLoss'
  | 'outside';

/** What to do next; `note` says why, in words. */
export type Decision =
  /** `lost`: no member with the whole log is left, so that nothing can be done. */
  | { readonly kind: 'nothing'; readonly note: string; readonly lost?: true }
  /** A member knows a newer configuration than we do: read the register. */
  | { readonly kind: 'refresh'; readonly note: string }
  /** Have these disks sync once, to know that they can. */
  | { readonly kind: 'probe'; readonly stores: readonly StoreId[]; readonly note: string }
  /** Ask a majority of controllers for the floors. */
  | { readonly kind: 'floors'; readonly note: string }
  /** Have these stop acknowledging this epoch, and sync: a proof of life before the change. */
  | {
      readonly kind: 'wedge';
      readonly members: readonly Member[];
      readonly cause: Cause;
      readonly note: string;
    }
  /** Have a store copy what is committed, outside the chain. */
  | {
      readonly kind: 'learn';
      readonly learner: StoreId;
      readonly source: Member;
      readonly note: string;
    }
  | {
      readonly kind: 'propose';
      readonly configuration: Configuration;
      readonly cause: Cause;
      readonly note: string;
    };
