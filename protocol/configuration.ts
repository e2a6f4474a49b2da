// A journal's configuration as a value: who its members are in one epoch, and in what order.
//
// A configuration is decided once by the register (Paxos) and never changes; a change is a new
// configuration with a higher epoch. The first position of an epoch is no part of it: its head
// finds that when it adopts (see chain/machine.ts).

import type { Epoch, JournalId, JournalLimits, Lsn, MemberId, StoreId, Zone } from './types.ts';

/**
 * A member names a start of a process on a store, never a store or a process alone: what restarted
 * is another incarnation, so it takes part only in a configuration decided after its start.
 */
export interface Member {
  readonly store: StoreId;
  /** Number of the process's start, given by the register `node/<store>`; from 1. */
  readonly incarnation: number;
  readonly id: MemberId;
  readonly zone: Zone;
  /** `host:port` that the process registered with this incarnation. */
  readonly address: string;
}

export interface JournalSettings {
  /** Members that a chain should have, 1..5. */
  readonly replicationFactor: number;
  /** Members below which the head refuses new appends with UNDER_REPLICATED; at least 1. */
  readonly minReplicas: number;
  /** Largest record, bytes; 1 MiB by default, 16 MiB at most. */
  readonly recordBytesMax: number;
  /** Largest batch, bytes of all its records; 1 MiB by default, 16 MiB at most. */
  readonly batchBytesMax: number;
  /** Records older than this are trimmed, in milliseconds; 0 keeps for ever. */
  readonly retainMillis: number;
  /** The oldest records are trimmed above this size, in bytes; 0 keeps all. */
  readonly retainBytes: number;
  readonly limits: JournalLimits;
}

export interface Configuration {
  readonly journal: JournalId;
  readonly name: string;
  readonly settings: JournalSettings;
  /** Raised only by force-loss and recover-controllers; compared before the epoch. From 1. */
  readonly lineage: number;
  readonly epoch: Epoch;
  readonly mode: 'chain';
  /** First position of the journal, 1 unless imported: an empty log starts right below it. */
  readonly firstLsn: Lsn;
  /** Members that survive for the next epoch, head first; never empty unless `deleted`. */
  readonly serving: readonly Member[];
  /** A member at the tail that acknowledges, but is no survivor until it has caught up. */
  readonly joining: Member | null;
  /** A tombstone: the journal is gone, and so will its data be. */
  readonly deleted: boolean;
  /** Made the head by a person: while it is that, it is not handed over to spread heads. */
  readonly chosenHead?: MemberId;
}

export const KIB = 1024;
export const MIB = 1024 * KIB;

export const RECORD_BYTES_LIMIT = 16 * MIB;
export const KEY_BYTES_LIMIT = KIB;
/**
 * Records of one batch: an empty one is free by bytes, yet each costs a process some time, and what
 * is done with a batch at once must stay well below the time after which a member counts as silent.
 */
export const BATCH_RECORDS_LIMIT = 2 ** 16;
/** Longest lease of a claim or renewal: a day. */
export const LEASE_MILLIS_LIMIT = 86_400_000;
/** First position of a journal at most: so many are left that appends never run out of them. */
export const FIRST_LSN_LIMIT = 2 ** 52;

export const DEFAULT_SETTINGS: JournalSettings = {
  replicationFactor: 3,
  minReplicas: 2,
  recordBytesMax: MIB,
  batchBytesMax: MIB,
  retainMillis: 0,
  retainBytes: 0,
  limits: { keys: 100_000, writers: 10_000, writerWindow: 256, chosenKeys: 10_000, cursors: 1_000 },
};

/** What forcing a loss or rebuilding the controllers adds to an epoch, so that no fork meets it. */
export const LINEAGE_EPOCH_STEP = 2 ** 20;

/** All members in chain order, head first, a joining one last. */
export function order(configuration: Configuration): readonly Member[] {
  const { serving, joining } = configuration;
  return joining === null ? serving : [...serving, joining];
}

export function head(configuration: Configuration): Member | undefined {
  return configuration.serving[0];
}

export function tail(configuration: Configuration): Member | undefined {
  return order(configuration).at(-1);
}

/** Whether two values name the same start of the same process. */
export function sameMember(one: MemberKey, other: MemberKey): boolean {
  return one.store === other.store && one.incarnation === other.incarnation;
}

/** What identifies a member in messages: the store and the start. */
export type MemberKey = Pick<Member, 'store' | 'incarnation'>;

/** The member that `key` names, or undefined where this configuration does not name it. */
export function findMember(configuration: Configuration, key: MemberKey): Member | undefined {
  return order(configuration).find((member) => sameMember(member, key));
}

/** Whether some incarnation of the store is a member. */
export function namesStore(configuration: Configuration, store: StoreId): boolean {
  return order(configuration).some((member) => member.store === store);
}

/** The member before `key` in the chain; undefined for the head and for strangers. */
export function predecessor(configuration: Configuration, key: MemberKey): Member | undefined {
  const all = order(configuration);
  const at = all.findIndex((member) => sameMember(member, key));
  return at > 0 ? all[at - 1] : undefined;
}

/** The member after `key` in the chain; undefined for the tail and for strangers. */
export function successor(configuration: Configuration, key: MemberKey): Member | undefined {
  const all = order(configuration);
  const at = all.findIndex((member) => sameMember(member, key));
  return at >= 0 ? all[at + 1] : undefined;
}

/** Negative, 0 or positive as `one` is older, the same or newer: lineage first, then epoch. */
export function compareConfigurations(
  one: Pick<Configuration, 'lineage' | 'epoch'>,
  other: Pick<Configuration, 'lineage' | 'epoch'>,
): number {
  return one.lineage - other.lineage || one.epoch - other.epoch;
}
