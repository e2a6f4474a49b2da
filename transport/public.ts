// The public API as plain values: what clients ask a replica and what it answers. journal.proto is
// the same on the wire; methods.ts binds the two.

import type { AppendCondition, CursorState, KeyState } from '../protocol/chain/messages.ts';
import type { Configuration, JournalSettings } from '../protocol/configuration.ts';
import type { JournalError } from '../protocol/errors.ts';
import type {
  Epoch,
  Idempotence,
  JournalId,
  KeyOperation,
  Lsn,
  Micros,
} from '../protocol/types.ts';

/** A record on its way in. `key` at most 1 KiB of UTF-8. */
export interface NewRecord {
  readonly key?: string | undefined;
  readonly data: Uint8Array;
}

export interface JournalRecord {
  readonly lsn: Lsn;
  readonly timestampMicros: Micros;
  readonly key?: string | undefined;
  readonly data: Uint8Array;
}

export interface CreateJournalRequest {
  readonly name: string;
  readonly ifAbsent: boolean;
  readonly settings: Partial<JournalSettings>;
  /** Import: the first record shall have this position; 1 otherwise. */
  readonly firstLsn: Lsn;
  /** Drawn by the caller, so that a retry finds its own journal; left out: drawn by the replica. */
  readonly journalId?: JournalId;
}

export interface JournalDescription {
  readonly configuration: Configuration;
  readonly firstLsn: Lsn;
  readonly tailLsn: Lsn;
  readonly committedLsn: Lsn;
  readonly bytes: number;
  readonly cursors: readonly CursorState[];
}

/** One append: a batch that is there whole or not at all, under one condition. */
export interface AppendCall {
  readonly journal: string;
  readonly records: readonly NewRecord[];
  readonly condition: AppendCondition;
  readonly keyOperation: KeyOperation;
  readonly leaseMillis: number;
  readonly idempotence: Idempotence | null;
  /** On a stream: the caller's number for this append, repeated in the answer. */
  readonly tag: number;
  /** The journal that is meant: NOT_FOUND where the name is another one's by now. */
  readonly journalId?: JournalId | undefined;
}

/** An append of a stream that is refused unread: its number is known, a field cannot be used. */
export interface UnreadableAppend {
  readonly tag: number;
  readonly unreadable: JournalError;
}

export interface AppendAnswer {
  readonly tag: number;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** Time of the first record; record `i` has this plus `i`. */
  readonly timestampMicros: Micros;
  readonly epoch: Epoch;
  readonly duplicate: boolean;
}

/** On a stream a refused append does not end the stream: its error is an answer. */
export type AppendStreamAnswer =
  | { readonly kind: 'appended'; readonly answer: AppendAnswer }
  | { readonly kind: 'refused'; readonly tag: number; readonly error: WireError };

/** A JournalError as it crosses the wire. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly outcome: 'none' | 'unknown';
  readonly firstLsn?: Lsn | undefined;
  readonly tailLsn?: Lsn | undefined;
  readonly keyLsn?: Lsn | undefined;
  readonly tokenLsn?: Lsn | undefined;
  readonly leaseMillis?: number | undefined;
  readonly configuration?: Configuration | undefined;
}

/** Where to start: a position, the first one left, the next one, or a time. */
export type StartPosition =
  | { readonly kind: 'lsn'; readonly lsn: Lsn }
  | { readonly kind: 'first' }
  | { readonly kind: 'next' }
  | { readonly kind: 'time'; readonly time: Micros }
  /** The last `count` records. */
  | { readonly kind: 'last'; readonly count: number };

export interface ReadRequest {
  readonly journal: string;
  readonly from: StartPosition;
  readonly limit: number;
  readonly bytesMax: number;
  /** Proves with the whole chain that what is answered is the newest state. */
  readonly linearizable: boolean;
}

export interface ReadAnswer {
  readonly records: readonly JournalRecord[];
  /** Where the next read goes on, past control entries too. */
  readonly nextLsn: Lsn;
  readonly committedLsn: Lsn;
  readonly lineage: number;
}

export interface SubscribeRequest {
  readonly journal: string;
  readonly from: StartPosition;
  /** Of the journal when the position was learned, 0 for any: else LINEAGE_CHANGED. */
  readonly lineage: number;
}

/** Records in order, or none with a progress: everything below `nextLsn` was delivered. */
export interface SubscribeAnswer {
  readonly records: readonly JournalRecord[];
  readonly nextLsn: Lsn;
  readonly committedLsn: Lsn;
  readonly lineage: number;
}

export interface TailAnswer {
  /** Last committed record, 0 when there is none. */
  readonly tailLsn: Lsn;
  /** Last committed entry, control entries included. */
  readonly endLsn: Lsn;
  readonly firstLsn: Lsn;
  readonly lineage: number;
}

export interface TrimRequest {
  readonly journal: string;
  readonly through: Lsn;
  readonly force: boolean;
}

export interface TrimAnswer {
  /** First position left. */
  readonly firstLsn: Lsn;
}

/** `lsn` is the last position consumed; null deletes. */
export interface SetCursorRequest {
  readonly journal: string;
  readonly name: string;
  readonly lsn: Lsn | null;
  /** Only if the journal ends there, entries of the journal's own included. */
  readonly expectEnd: Lsn | null;
}

export interface CursorsAnswer {
  readonly cursors: readonly CursorState[];
}

export interface KeyRequest {
  readonly journal: string;
  readonly key: string;
}

export type KeyAnswer = KeyState;

/** A process as `status` shows it. */
export interface ProcessStatus {
  readonly kind: 'replica' | 'controller';
  readonly id: string;
  readonly store: string;
  readonly incarnation: number;
  readonly zone: string;
  readonly address: string;
  readonly pid: number;
  readonly dataDirectory: string;
  readonly version: string;
  readonly reachable: boolean;
  /** What is wrong, in a sentence; empty when nothing is. */
  readonly note: string;
}

export interface MemberStatus {
  readonly id: string;
  readonly store: string;
  readonly zone: string;
  readonly address: string;
  readonly role: string;
  readonly live: boolean;
  readonly synced: boolean;
  readonly endLsn: Lsn;
  readonly durableLsn: Lsn;
  readonly committedLsn: Lsn;
  /** Records that it is behind the head. */
  readonly lag: number;
}

export interface JournalStatus {
  readonly id: JournalId;
  readonly name: string;
  readonly lineage: number;
  readonly epoch: Epoch;
  /** Appends are accepted. */
  readonly writable: boolean;
  /** Why not, or what is going on; empty when all is well. */
  readonly note: string;
  /** In chain order, head first; learners last. */
  readonly members: readonly MemberStatus[];
  readonly reconfigurations: number;
  /** Fewer members in step than this take no appends; 0 where an older controller says nothing. */
  readonly minReplicas: number;
}

export interface ClusterStatus {
  readonly cluster: string;
  readonly featureLevel: number;
  readonly ready: boolean;
  /** Who answers has not read all registers yet: processes and journals may be missing. */
  readonly partial: boolean;
  readonly processes: readonly ProcessStatus[];
  readonly journals: readonly JournalStatus[];
}

/** An order that is carried out once under its id: a copy that comes late undoes no newer one. */
export interface Numbered {
  /** The same where an order is sent again, at most 64 characters; left out: a new one. */
  readonly requestId?: string;
}

/** What only an operator asks; carried out by the controllers and written to their logs. */
export type AdminRequest =
  /** Grants a store that waits to be let in, or lets it serve in another zone. */
  | (Numbered & { readonly kind: 'memberAdd'; readonly member: string; readonly zone: string })
  | (Numbered & { readonly kind: 'memberRemove'; readonly member: string })
  | (Numbered & {
      readonly kind: 'memberReplace';
      readonly member: string;
      /** The same again: the member may format a new volume, once. */
      readonly by: string;
    })
  /** Goes on with `member` alone although acknowledged records may be lost; raises the lineage. */
  | (Numbered & {
      readonly kind: 'forceLoss';
      readonly journal: string;
      readonly member: string;
      readonly reason: string;
    })
  | { readonly kind: 'moveHead'; readonly journal: string; readonly member: string }
  /** Ids to take out and ID=HOST:PORT to let in, with commas; either may be empty. */
  | { readonly kind: 'controllerReplace'; readonly remove: string; readonly add: string };

export interface AdminAnswer {
  /** What was done, a sentence a line. */
  readonly done: readonly string[];
}

export interface SessionAnswer {
  /** End of the log now: where a new writer's identity starts. */
  readonly endLsn: Lsn;
  readonly lineage: number;
  readonly settings: JournalSettings;
  /** Where appends go. */
  readonly configuration: Configuration;
}

export interface Named {
  readonly journal: string;
}
export interface Nothing {
  readonly [nothing: string]: never;
}
export interface JournalNames {
  readonly names: readonly { readonly name: string; readonly id: JournalId }[];
}
