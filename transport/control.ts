// What replicas and controllers say to each other, as plain values; control.proto on the wire.
//
// The controllers find faults and decide configurations; replicas carry them out. No Kubernetes
// here, and no wait on anything but each other.

import type { ChainReport, LogShape } from '../protocol/chain/messages.ts';
import type { Configuration, Member } from '../protocol/configuration.ts';
import type { Epoch, JournalId, Lsn, Micros, StoreId } from '../protocol/types.ts';

/** First message of both sides of an observation; a mismatch closes it with INCOMPATIBLE. */
export interface Hello {
  readonly cluster: string;
  /** Of the wire between processes of one cluster: adjacent levels understand each other. */
  readonly featureLevelMin: number;
  readonly featureLevelMax: number;
  readonly sender: string;
}

/** Controller to replica, every 50 ms or when there is something to say. */
export interface Ping {
  readonly sequence: number;
  readonly hello?: Hello | undefined;
  readonly directives: readonly Directive[];
  readonly featureLevel: number;
  /** Where controllers are reached now. */
  readonly controllers: readonly string[];
}

/** Orders are repeated until the reports show that they were carried out. */
export type Directive =
  | { readonly kind: 'configure'; readonly configuration: Configuration }
  | { readonly kind: 'wedge'; readonly journal: JournalId; readonly epoch: Epoch }
  | {
      readonly kind: 'learn';
      readonly configuration: Configuration;
      /** Serving member to copy from. */
      readonly source: Member;
    }
  /** Show that the disk still syncs, although nothing is appended. */
  | { readonly kind: 'probe'; readonly probe: number }
  /** The store started elsewhere with a higher incarnation: stop writing at once. */
  | { readonly kind: 'superseded'; readonly incarnation: number }
  /** Asks for `Pong.inventory`, from which lost controllers are rebuilt. */
  | { readonly kind: 'inventory' };

/** Replica to controller: answers each ping at once, and speaks by itself when a report changed. */
export interface Pong {
  readonly sequence: number;
  readonly hello?: ReplicaHello | undefined;
  readonly health: ReplicaHealth;
  /** Journals whose report changed since the last pong; all of them in the first of a stream. */
  readonly reports: readonly ChainReport[];
  /** Journals that this replica holds no longer. */
  readonly gone: readonly JournalId[];
  /**
   * Newest configuration of each journal on the volume, tombstones too: in the answer to a ping
   * that asks for it, else empty. A process that waits for its start answers it, and reports, too.
   */
  readonly inventory: readonly Configuration[];
}

export interface ReplicaHello extends Hello {
  readonly store: StoreId;
  /** 0 while it waits for its start. */
  readonly incarnation: number;
  /** Greatest incarnation that was ever saved on the volume; 0 for none. */
  readonly lastIncarnation: number;
  readonly member: string;
  readonly zone: string;
  readonly address: string;
  readonly pid: number;
  readonly dataDirectory: string;
  readonly version: string;
}

export interface ReplicaHealth {
  /** Age of the oldest sync under way, 0 for none. */
  readonly syncAge: Micros;
  /** Median of the syncs of the last second, 0 for none. */
  readonly syncMedian: Micros;
  /** Syncs completed since the start: durable progress. */
  readonly syncs: number;
  /** Last probe whose sync completed. */
  readonly probe: number;
  /** How late the event loop ran at worst in the last second. */
  readonly loopDelay: Micros;
  readonly wall: Micros;
  readonly diskFreeBytes: number;
  readonly diskTotalBytes: number;
  /** The volume gave up: nothing is written any more. */
  readonly failed: string;
  readonly draining: boolean;
  /** Why the volume takes no records, empty where it does. */
  readonly full: string;
}

/** The registers, as replicas and the operator reach them: always by the controllers. */
export type RegisterChange =
  /**
   * Takes the next incarnation of a store: the answer is mine only if `startId` is. Takes effect
   * only where `after` is the last one, so that what a dead process asked for and comes late does
   * not end the one that lives; the answer then says which is the last.
   */
  | {
      readonly kind: 'start';
      readonly store: StoreId;
      readonly startId: string;
      /** 0 for none. */
      readonly after: number;
      readonly member: string;
      readonly zone: string;
      readonly address: string;
    }
  /**
   * Uses up the one-time grant for `member`, so that an empty volume may be formatted: takes effect
   * only where the grant is unused, or was used for this very store.
   */
  | {
      readonly kind: 'format';
      readonly store: StoreId;
      readonly member: string;
      readonly zone: string;
    }
  | {
      readonly kind: 'createJournal';
      readonly journal: JournalId;
      readonly name: string;
      readonly settings: Configuration['settings'];
      readonly firstLsn: Lsn;
    }
  /** `journal`: only this one, and no other that was made under the name since. */
  | { readonly kind: 'deleteJournal'; readonly name: string; readonly journal?: JournalId }
  /** Conditional: takes effect only where the present epoch is `expectedEpoch`. */
  | {
      readonly kind: 'propose';
      readonly expectedEpoch: Epoch;
      readonly configuration: Configuration;
    };

export type RegisterAnswer =
  | { readonly kind: 'started'; readonly incarnation: number; readonly startId: string }
  | { readonly kind: 'formatted'; readonly cluster: string }
  | { readonly kind: 'configuration'; readonly configuration: Configuration }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

export interface JournalLookup {
  readonly name: string;
}

/** The newest configurations, deleted ones left out; empty where the name is unknown. */
export interface JournalsAnswer {
  readonly configurations: readonly Configuration[];
  /** Those of them that no member with the whole log is left of, and who is missing, in words. */
  readonly lost: readonly LostJournal[];
}

export interface LostJournal {
  readonly journal: JournalId;
  readonly note: string;
}

/** From the catch-up source to a learner, in order: first maybe a base, then committed batches. */
export interface FetchRequest {
  readonly journal: JournalId;
  readonly lineage: number;
  /** The learner's log as it is. */
  readonly shape: LogShape;
  /** Fetch exactly these positions, to repair; 0 and 0 to catch up. */
  readonly repairFirstLsn: Lsn;
  readonly repairLastLsn: Lsn;
}

export type FetchAnswer =
  /** Install this: encoded by log/base.ts, in pieces of at most 1 MiB, the last one marked. */
  | { readonly kind: 'base'; readonly piece: Uint8Array; readonly last: boolean }
  | {
      readonly kind: 'batches';
      readonly previousLsn: Lsn;
      readonly previousEpoch: Epoch;
      /** Replicated bytes, one a batch. */
      readonly batches: readonly Uint8Array[];
      readonly committedLsn: Lsn;
    };
