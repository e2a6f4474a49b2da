// Everything that goes into and comes out of the chain machine, and what members say to each
// other. Reading this file is reading the protocol; machine.ts holds the rules.
//
//   client → head ─replicate→ middle ─replicate→ tail       parallel: forwarded before it is synced
//            head ←──ack──── middle ←──ack───── tail        acks merge on the way up
//            head ←────────────ack───────────── tail        and go straight to the head as well
//
// Messages of one link arrive in order or are lost with the link; a new link starts with `linked`
// on both sides. Every message carries journal, lineage, epoch and sender: whatever the receiver's
// configuration does not name is dropped.

import type { Configuration, Member, MemberKey } from '../configuration.ts';
import type { Refusal } from '../errors.ts';
import type {
  Batch,
  BatchHeader,
  Epoch,
  Idempotence,
  JournalId,
  KeyOperation,
  Lsn,
  Micros,
  StoreId,
} from '../types.ts';

// ── What a member remembers of its log ────────────────────────────────────────────────────────

/**
 * A run of entries of one epoch. `(lsn, epoch)` names an entry, since an epoch has one head and a
 * process never acts twice in one: two logs agree up to where their runs agree. `NO_EPOCH` where
 * the bytes are bad and lie between two epochs: whose entries they were is told by a peer.
 */
export interface EpochRun {
  readonly epoch: Epoch;
  readonly firstLsn: Lsn;
}

/** The shape of a log: enough to find where two logs part, without reading either. */
export interface LogShape {
  /** Last position that was dropped for good, a batch border; 0 for none. */
  readonly baseLsn: Lsn;
  /** Epoch of the entry at `baseLsn`. */
  readonly baseEpoch: Epoch;
  /** Last position, `baseLsn` when empty. */
  readonly endLsn: Lsn;
  /** Runs above the base, rising. */
  readonly runs: readonly EpochRun[];
}

/** What a member saves before it acts on it: one unit, one sync. */
export interface ChainRecord {
  readonly configuration: Configuration;
  /** Its epoch: that of `configuration`, or higher once it retired. */
  readonly epoch: Epoch;
  /**
   * End of its log when it adopted the epoch: a log that ends below is damaged, not torn.
   * A cut by the sync rule lowers it first.
   */
  readonly markLsn: Lsn;
  readonly retired: boolean;
  /**
   * End of what the log holds of a lineage that was given up, until it is known to agree with the
   * new one; 0 for nothing. Before any of that is cut, all of it is put aside.
   */
  readonly elderLsn: Lsn;
}

// ── Between members ───────────────────────────────────────────────────────────────────────────

export interface Envelope<Body> {
  readonly journal: JournalId;
  readonly lineage: number;
  readonly epoch: Epoch;
  readonly from: MemberKey;
  readonly body: Body;
}

export type ChainMessage = Envelope<ChainBody>;

/** What one member is known to have: acks are vectors of these and merge by maximum. */
export interface AckEntry {
  readonly store: StoreId;
  /** Last position that is on its disk, in this epoch. */
  readonly durableLsn: Lsn;
  /** Greatest barrier that it has seen while live in this epoch. */
  readonly barrier: number;
}

export type ChainBody =
  /**
   * Predecessor to successor: `batches` come right after (`previousLsn`, `previousEpoch`). Empty
   * as a heartbeat: it carries the commit position and the barrier down, and shows a gap.
   */
  | {
      readonly kind: 'replicate';
      /** First position of this epoch, as its head found it when it adopted. */
      readonly startLsn: Lsn;
      readonly previousLsn: Lsn;
      readonly previousEpoch: Epoch;
      readonly batches: readonly Batch[];
      readonly committedLsn: Lsn;
      /** Greatest barrier that the head has drawn in this epoch; 0 for none. */
      readonly barrier: number;
    }
  /** Up the chain and straight to the head. */
  | { readonly kind: 'ack'; readonly entries: readonly AckEntry[] }
  /** Successor to predecessor: this is my log, send from where we agree. */
  | { readonly kind: 'sync'; readonly shape: LogShape }
  /** Predecessor to successor: your log ends below my base, you must be caught up as a learner. */
  | { readonly kind: 'tooOld'; readonly baseLsn: Lsn }
  /** Any member to the head: what was committed when you got this? */
  | { readonly kind: 'readIndex'; readonly read: number }
  | {
      readonly kind: 'readIndexAnswer';
      readonly read: number;
      readonly answer: ReadIndex | Refusal;
    };

export interface ReadIndex {
  readonly committedLsn: Lsn;
  /** Last record of a user at or below `committedLsn`; 0 for none. */
  readonly dataLsn: Lsn;
}

// ── Requests of clients ───────────────────────────────────────────────────────────────────────

/** Number of a request within its replica: the driver keeps who asked and the payload. */
export type RequestId = number;

export type ChainRequest =
  | AppendRequest
  /** `through` at most the committed position; cursors hold unless `force`. */
  | { readonly kind: 'trim'; readonly through: Lsn; readonly force: boolean }
  /** With `expectEnd` only as the position right after it. */
  | {
      readonly kind: 'cursor';
      readonly name: string;
      readonly lsn: Lsn | null;
      readonly expectEnd: Lsn | null;
    }
  | { readonly kind: 'forget'; readonly key: string }
  /** What is committed now: the linearizable read, at any member. */
  | { readonly kind: 'readIndex' }
  /** State of a key, linearizable, at the head. */
  | { readonly kind: 'key'; readonly key: string }
  /** All cursors, linearizable, at the head. */
  | { readonly kind: 'cursors' };

export interface AppendRequest {
  readonly kind: 'append';
  readonly count: number;
  readonly bodyCrc: number;
  readonly bodyBytes: number;
  /** Last offset (from 0) of each key that a record of the batch carries, in order of offset. */
  readonly keys: readonly { readonly key: string; readonly offset: number }[];
  readonly keyOperation: KeyOperation;
  readonly leaseMillis: number;
  readonly idempotence: Idempotence | null;
  readonly condition: AppendCondition;
}

/** All that is given must hold; judged together with the assignment of positions. */
export interface AppendCondition {
  /** No record after this position: control entries after the last record do not count. */
  readonly expectTail: Lsn | null;
  /** The last record tagged with `key` is at `lsn`, 0 for none. */
  readonly expectKey: { readonly key: string; readonly lsn: Lsn } | null;
  /** The last claim of `key` is at `token`. */
  readonly fence: { readonly key: string; readonly token: Lsn } | null;
  /** In which these positions were learned: after a forced loss they name other records. */
  readonly lineage?: number | undefined;
}

export const NO_CONDITION: AppendCondition = { expectTail: null, expectKey: null, fence: null };

export type ChainReply =
  | {
      readonly kind: 'appended';
      readonly firstLsn: Lsn;
      readonly lastLsn: Lsn;
      /** Time of the first record. */
      readonly timestamp: Micros;
      readonly epoch: Epoch;
      /** The answer of an earlier append under the same idempotence key. */
      readonly duplicate: boolean;
    }
  /** A trim, cursor or forget that is committed; `firstLsn` is the first position left. */
  | { readonly kind: 'applied'; readonly lsn: Lsn; readonly firstLsn: Lsn }
  | ({ readonly kind: 'readIndex' } & ReadIndex)
  | ({ readonly kind: 'key' } & KeyState)
  | { readonly kind: 'cursors'; readonly cursors: readonly CursorState[] }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly outcome: 'none' | 'unknown' };

export interface KeyState {
  readonly key: string;
  /** Last record tagged with the key, 0 for none: what conditions compare. */
  readonly keyLsn: Lsn;
  /** Last claim, 0 for none: what fences compare. */
  readonly tokenLsn: Lsn;
  /** Length of the lease of the last claim or renewal, 0 once released. */
  readonly leaseMillis: number;
}

export interface CursorState {
  readonly name: string;
  readonly lsn: Lsn;
  readonly updatedAt: Micros;
}

// ── Into and out of the machine ───────────────────────────────────────────────────────────────

export type ChainInput =
  | { readonly kind: 'request'; readonly request: RequestId; readonly body: ChainRequest }
  | { readonly kind: 'message'; readonly message: ChainMessage }
  /** Everything up to `durableLsn` is on this disk. */
  | { readonly kind: 'synced'; readonly durableLsn: Lsn }
  /**
   * The save or truncate effect number `save` is on this disk. A truncation that asked for a
   * refold brings the tables at the new end of the log (`JournalLog.tablesAt`).
   */
  | { readonly kind: 'saved'; readonly save: number; readonly tables?: TablesSnapshot }
  /** A new link to this peer is up: what was sent before may be lost. */
  | { readonly kind: 'linked'; readonly peer: MemberKey }
  /** The control plane decided this; older ones are ignored. */
  | { readonly kind: 'configure'; readonly configuration: Configuration }
  /** The control plane asks to stop acknowledging this epoch, as proof of life before a change. */
  | { readonly kind: 'wedge'; readonly epoch: Epoch }
  /** Catch up on committed entries without being a member; `source` is a serving member. */
  | { readonly kind: 'learn'; readonly configuration: Configuration }
  /** Committed batches that a learner fetched; they come right after the match point. */
  | {
      readonly kind: 'learned';
      readonly previousLsn: Lsn;
      readonly previousEpoch: Epoch;
      readonly batches: readonly Batch[];
      readonly committedLsn: Lsn;
    }
  /** A source's base at this position is about to be installed, once what is saved by this is. */
  | { readonly kind: 'basing'; readonly baseLsn: Lsn }
  /**
   * The log now starts there: its own trim, or, with tables, a source's base that was installed.
   * Or bytes were mended, and it knows the epochs of all its runs.
   */
  | { readonly kind: 'based'; readonly shape: LogShape; readonly tables: TablesSnapshot | null }
  /** Nobody waits for this request any more; what is in the log stays there. */
  | { readonly kind: 'cancel'; readonly request: RequestId }
  /** `now` is monotonic, `wall` since 1970; at least every 50 ms while anything is outstanding. */
  | { readonly kind: 'tick'; readonly now: Micros; readonly wall: Micros };

/** Contents of the tables at one position, as plain data; see chain/tables.ts. */
export interface TablesSnapshot {
  readonly lsn: Lsn;
  /** Typed sections, kept opaque here so that an older reader carries newer ones along. */
  readonly sections: Readonly<Record<string, unknown>>;
}

export type ChainEffect =
  /** Head: encode the records of `request` (or the header's control) under this header, append. */
  | { readonly kind: 'append'; readonly request: RequestId | null; readonly header: BatchHeader }
  /** Member or learner: append these very bytes. */
  | { readonly kind: 'write'; readonly batches: readonly Batch[] }
  /**
   * Cut everything after `endLsn`, durably, after the saves before it; answered by `saved`. Nothing
   * is appended before that. `refold`: the machine cannot take the cut batches back itself.
   */
  | {
      readonly kind: 'truncate';
      readonly save: number;
      readonly endLsn: Lsn;
      readonly refold: boolean;
    }
  /** Make this record durable; answered by `saved`. */
  | { readonly kind: 'save'; readonly save: number; readonly record: ChainRecord }
  | { readonly kind: 'send'; readonly to: Member; readonly body: ChainBody }
  /**
   * Send `replicate` with the batches after `previousLsn` through `throughLsn` (none when they are
   * equal: a heartbeat), in as many frames as the byte limit asks for, in order. The machine takes
   * them as sent; where the link breaks, `linked` starts over.
   */
  | {
      readonly kind: 'forward';
      readonly to: Member;
      readonly previousLsn: Lsn;
      readonly previousEpoch: Epoch;
      readonly throughLsn: Lsn;
      readonly startLsn: Lsn;
      readonly committedLsn: Lsn;
      readonly barrier: number;
    }
  | { readonly kind: 'reply'; readonly request: RequestId; readonly reply: ChainReply }
  | { readonly kind: 'commit'; readonly committedLsn: Lsn }
  /** The committed trim moved: the log may cut its base at the border at or below this. */
  | { readonly kind: 'trim'; readonly through: Lsn }
  /** Keep the whole old log beside: it belongs to a lineage that was given up. */
  | { readonly kind: 'setAside' }
  /** Somebody knows a newer configuration, or ours is of no use: ask the control plane. */
  | { readonly kind: 'inquire' };

// ── What a member tells the controllers ───────────────────────────────────────────────────────

export interface ChainReport {
  readonly journal: JournalId;
  readonly lineage: number;
  readonly epoch: Epoch;
  readonly role: 'head' | 'middle' | 'tail' | 'learner' | 'retired' | 'restarted' | 'none';
  /** Takes part in `epoch`: did not restart since, adopted it and saved it. */
  readonly live: boolean;
  readonly synced: boolean;
  readonly wedged: boolean;
  /** Its log ends below its mark: it is no survivor. */
  readonly damaged: boolean;
  /** Must be caught up as a learner: its predecessor's base is above its log. */
  readonly tooOld: boolean;
  readonly endLsn: Lsn;
  readonly endEpoch: Epoch;
  readonly durableLsn: Lsn;
  readonly committedLsn: Lsn;
  readonly baseLsn: Lsn;
  /** First position of the epoch, once known; null before. */
  readonly startLsn: Lsn | null;
  /** Head: age of the oldest append or linearizable read that waits for the others; 0 for none. */
  readonly waitingMicros: Micros;
  /** Head: what each member has acknowledged in this epoch. */
  readonly acked: readonly AckEntry[];
  /** The last position that this disk acknowledged, with its epochs: the floor. */
  readonly floor: Floor | null;
}

/** No older copy of a disk counts as survivor: it must hold this entry, or be beyond it. */
export interface Floor {
  readonly epoch: Epoch;
  readonly lsn: Lsn;
  readonly entryEpoch: Epoch;
}
