// One journal on this replica: its machine, its log, and what the driver keeps beside them.

import type { JournalLog } from '../../log/log.ts';
import type {
  ChainRecord,
  ChainReply,
  RequestId,
  TablesSnapshot,
} from '../../protocol/chain/messages.ts';
import { type ChainState, isHead, openChain } from '../../protocol/chain/state.ts';
import {
  type Configuration,
  compareConfigurations,
  DEFAULT_SETTINGS,
  type MemberKey,
} from '../../protocol/configuration.ts';
import {
  after,
  higher,
  type JournalId,
  type Lsn,
  type Micros,
  NO_EPOCH,
  NO_LSN,
  type StoreId,
} from '../../protocol/types.ts';
import { Bell } from '../wait.ts';
import type { Outbox, Standing } from './outbox.ts';

/** A request that the machine has or will get: who asked, and the payload. */
export interface Pending {
  readonly host: Host;
  readonly resolve: (reply: ChainReply) => void;
  /** Encoded records of an append, null for all other requests; given up once appended. */
  body: Uint8Array | null;
  /** Whether it may leave something behind. */
  readonly writes: boolean;
  /** What it counts in the queue, until it is answered. */
  readonly bytes: number;
  readonly arrived: Micros;
  /** When it went on, 0 for not yet: see AppendStage. */
  stepped: Micros;
  syncBegan: Micros;
  synced: Micros;
}

/** What the volume says of a journal when the process starts. */
export interface HostStart {
  readonly log: JournalLog;
  readonly record: ChainRecord | null;
  /** Newest configuration that this volume has heard of, the record's own at least. */
  readonly known: Configuration | null;
  readonly tables: TablesSnapshot | null;
  /** Last position that was trimmed, a hidden part of the first batch included. */
  readonly trimmedLsn: Lsn;
}

export class Host {
  readonly journal: JournalId;
  readonly log: JournalLog;
  readonly state: ChainState;
  /** Newest configuration heard of, of members or of a learner. */
  known: Configuration | null;
  /** Rises with everything that may change the report. */
  version = 0;
  /** No step is taken any more: the journal was deleted, or the replica ends. */
  closed = false;
  readonly requests = new Map<RequestId, Pending>();
  /** By store: what is said to each peer. */
  readonly outboxes = new Map<StoreId, Outbox>();
  /** Rings when the committed position, the configuration or the standing moved. */
  readonly bell = new Bell();
  /** Cuts, saves and installations, one after another in the order of the machine. */
  disk: Promise<void> = Promise.resolve();
  /** Greatest trim that the log has not carried out yet, 0 for none. */
  trimDue: Lsn;
  trimming = false;
  /** Last position that a committed trim took away, what it hides inside a batch included. */
  trimmedLsn: Lsn;
  /** Set for good once this process has known how far the journal is committed. */
  #readable = false;
  #part: readonly unknown[] = [];

  constructor(start: HostStart, me: MemberKey) {
    const settings = (start.record?.configuration ?? start.known)?.settings ?? DEFAULT_SETTINGS;
    const { log, record, tables } = start;
    const { journal } = log;
    this.journal = journal;
    this.log = log;
    this.known = start.known;
    this.trimmedLsn = start.trimmedLsn;
    this.trimDue = NO_LSN;
    this.state = openChain({ journal, me, record, shape: log.shape(), tables, settings });
  }

  get name(): string {
    return this.known?.name ?? this.journal;
  }

  get committedLsn(): Lsn {
    return this.state.committedLsn;
  }

  /** First position that readers may see. */
  get firstLsn(): Lsn {
    return after(higher(this.trimmedLsn, this.state.shape.baseLsn), 1);
  }

  /** The log begins at the base of another member now. */
  rebase(trimmedLsn: Lsn): void {
    this.trimmedLsn = higher(this.trimmedLsn, trimmedLsn);
  }

  /** The log is put aside: what was trimmed of it says nothing of the next one. */
  beginAgain(): void {
    this.trimmedLsn = NO_LSN;
    this.trimDue = NO_LSN;
  }

  /** Lineage in which it acts, or the newest that it heard of; 0 for none. */
  get lineage(): number {
    return this.state.record?.configuration.lineage ?? this.known?.lineage ?? 0;
  }

  standing(): Standing {
    const { record } = this.state;
    return {
      lineage: record?.configuration.lineage ?? 0,
      epoch: record?.epoch ?? NO_EPOCH,
    };
  }

  get isHead(): boolean {
    return isHead(this.state);
  }

  /** Whether it is in the newest configuration that it adopted, or is about to adopt. */
  get isMember(): boolean {
    return this.state.standing === 'member';
  }

  /**
   * Whether committed records may be served from here. A process that restarted does not know how
   * far its journal is committed until it heard of the start of its epoch: it would show a log that
   * looks shorter than it is.
   */
  get readable(): boolean {
    const { live, synced, startLsn, committedLsn } = this.state;
    if (live && synced && startLsn !== null && committedLsn >= startLsn) this.#readable = true;
    return this.isMember && this.#readable;
  }

  /** Whether its part in the journal changed since this was last asked. */
  moved(): boolean {
    const { live, synced, wedged, tooOld, standing, startLsn, record } = this.state;
    const now = [live, synced, wedged, tooOld, standing, startLsn, record?.epoch];
    const same = now.every((value, at) => value === this.#part[at]);
    if (!same) this.#part = now;
    return !same;
  }

  /** Remembers a configuration; true where it is newer than what was known. */
  hear(configuration: Configuration): boolean {
    const newer = this.known === null || compareConfigurations(configuration, this.known) > 0;
    if (newer) {
      this.known = configuration;
      this.bell.ring();
    }
    return newer;
  }
}
