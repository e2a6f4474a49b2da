// What a world of an explored chain is made of, and the bounds of its scope.

import type {
  ChainEffect,
  ChainMessage,
  ChainRecord,
  Floor,
} from '../../protocol/chain/messages.ts';
import type { ChainState } from '../../protocol/chain/state.ts';
import type { Configuration } from '../../protocol/configuration.ts';
import type { BatchHeader, JournalLimits, Lsn, StoreId } from '../../protocol/types.ts';
import type { Print } from './marks.ts';

/** What a disk still has to do, in order; a crash forgets it. */
export type DiskOperation = Extract<
  ChainEffect,
  { kind: 'write' } | { kind: 'truncate' } | { kind: 'save' } | { kind: 'trim' }
>;

export interface Site {
  readonly store: StoreId;
  incarnation: number;
  /** Null while the process is down. */
  state: ChainState | null;
  /** All batches since the beginning, written or under way: the base hides a part of them. */
  written: BatchHeader[];
  durable: BatchHeader[];
  record: ChainRecord | null;
  baseLsn: Lsn;
  operations: DiskOperation[];
  floor: Floor | null;
  /** An old copy of the volume, that somebody may put back while the process is down. */
  copy: Pick<Site, 'durable' | 'record' | 'baseLsn'> | null;
  /** Prints of it as it is, by how stores are named; emptied where a copy is made to be changed. */
  readonly prints: Print[];
}

export interface Wire {
  readonly from: StoreId;
  readonly to: StoreId;
  readonly incarnation: number;
  readonly messages: ChainMessage[];
  /** As those of a site. */
  readonly prints: Print[];
}

/** What is remembered of sites that never change, since worlds share them. */
export interface Memory {
  idle(site: Site, message: ChainMessage, look: () => boolean): boolean;
  /** What may follow `now`, which `about` decides beside it. */
  successors(
    now: Configuration,
    about: number,
    find: () => readonly Configuration[],
  ): readonly Configuration[];
}

/** A linearizable read under way, and what was acknowledged before it began. */
export interface Asked {
  readonly store: StoreId;
  readonly request: number;
  readonly atLeast: Lsn;
}

export interface ChainScope {
  readonly stores: number;
  /** Members of the first configuration. */
  readonly initial: number;
  readonly epochs: number;
  readonly appends: number;
  readonly crashes: number;
  readonly cuts: number;
  readonly reads: number;
  readonly trims: number;
  /** Old copies of volumes that are put back, and ends of logs that are lost. */
  readonly losses: number;
  readonly minReplicas: number;
  /** Nobody asks again while anything is under way: keeps an exhaustive search finite. */
  readonly patient: boolean;
  /** Leaves out what no member can tell; only for a search: see lean/rules.ts. */
  readonly lean?: boolean;
  /** Of the journal; those of every journal by default. */
  readonly limits?: JournalLimits;
  /** Batches in one message; all that there are by default. */
  readonly frameBatches?: number;
  /** A member may hear of a configuration that is not the newest any more. */
  readonly lateNews?: boolean;
  /** Saves lie in another file than the log, and may end before writes that were asked for first. */
  readonly savesApart?: boolean;
  /** How far the wall clock of each store is ahead of that of the one after it. */
  readonly skewMicros?: number;
}

export interface ChainWorldState {
  readonly scope: ChainScope;
  readonly sites: Site[];
  readonly wires: Wire[];
  decided: Configuration[];
  /** Acknowledged appends: position to identity. */
  acknowledged: Map<Lsn, number>;
  asked: Asked[];
  used: {
    appends: number;
    crashes: number;
    cuts: number;
    reads: number;
    trims: number;
    losses: number;
  };
  /** The epoch in which the joining member was seen to have caught up; 0 for none. */
  joinedIn: number;
  nextRequest: number;
  clock: number;
  /** What the worlds of one search share. */
  readonly memory?: Memory;
  /** Sees every effect as it is carried out; for people who read along. */
  observe?: (store: StoreId, effect: ChainEffect) => void;
}
