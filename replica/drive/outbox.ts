// What one journal has to say to one peer, in order: messages of the machine, and runs of the log
// that it asked to have forwarded.
//
// The machine takes a run as sent once it asked for it, so the run is read from the log and sent in
// frames up to its end, or the link is broken: then both sides start again with `linked`. Runs that
// follow one another become one, so that a slow link gets few large frames.

import { DiskError } from '../../io/disk.ts';
import type { Logger } from '../../io/logger.ts';
import type { JournalLog } from '../../log/log.ts';
import type { ChainEffect } from '../../protocol/chain/messages.ts';
import { KIB, type Member, type MemberKey } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { after, type Batch, type Epoch, type JournalId, lastLsn } from '../../protocol/types.ts';
import type { PeerFrame, WireChainBody } from '../../transport/peer.ts';

/** Bytes of batches in one frame; a single larger batch goes alone. */
const FRAME_BYTES = 256 * KIB;
const DAMAGE_PATIENCE = 3;

export type Forward = Extract<ChainEffect, { kind: 'forward' }>;

/** The links to all peers, as far as an outbox needs them. */
export interface PeerLinks {
  /** False where there is no link, or its bound was reached and it broke. */
  send(address: string, frame: PeerFrame): boolean;
  /** Resolves to true once the link takes more, to false where it is down. */
  writable(address: string): Promise<boolean>;
  /** Gives the link up: both sides begin anew. */
  break(address: string, reason: string): void;
}

/** The epoch that a member acts in: what an older one asked to send is of no use any more. */
export interface Standing {
  readonly lineage: number;
  readonly epoch: Epoch;
}

type Item =
  | ({ readonly kind: 'send'; readonly body: WireChainBody } & Standing)
  | ({ readonly kind: 'run'; run: Forward } & Standing);

export interface OutboxSource {
  readonly journal: JournalId;
  readonly log: JournalLog;
  readonly me: MemberKey;
  readonly logger: Logger;
  standing(): Standing;
  /** Called when the log could not be read; true once the damage is mended. */
  mend(error: JournalError): Promise<boolean>;
}

export class Outbox {
  readonly #source: OutboxSource;
  readonly #to: Member;
  readonly #links: PeerLinks;
  #items: Item[] = [];
  #pumping = false;
  /** Counts resets: what was read for an older link is not sent on a newer one. */
  #life = 0;

  constructor(source: OutboxSource, to: Member, links: PeerLinks) {
    this.#source = source;
    this.#to = to;
    this.#links = links;
  }

  get address(): string {
    return this.#to.address;
  }

  /** A message as the machine made it, behind whatever run still goes out. */
  send(body: WireChainBody): void {
    const standing = this.#source.standing();
    if (this.#items.length === 0) this.#frame(standing, body);
    else this.#items.push({ kind: 'send', body, ...standing });
  }

  forward(run: Forward): void {
    const standing = this.#source.standing();
    const last = this.#items.at(-1);
    const extends_ =
      last?.kind === 'run' &&
      last.epoch === standing.epoch &&
      last.lineage === standing.lineage &&
      last.run.throughLsn === run.previousLsn;
    if (extends_) {
      const { previousLsn, previousEpoch } = last.run;
      last.run = { ...run, previousLsn, previousEpoch };
    } else {
      this.#items.push({ kind: 'run', run, ...standing });
    }
    if (!this.#pumping) void this.#pump(this.#life);
  }

  /** The link is a new one, or there is none: nothing that waits is of use. */
  reset(): void {
    this.#items = [];
    this.#life += 1;
    // What still waits for the old link may wait for ever.
    this.#pumping = false;
  }

  #frame(standing: Standing, body: WireChainBody): boolean {
    const { journal, me } = this.#source;
    const message = { journal, ...standing, from: me, body };
    return this.#links.send(this.#to.address, { kind: 'chain', message });
  }

  #stale(item: Item): boolean {
    const standing = this.#source.standing();
    return item.epoch !== standing.epoch || item.lineage !== standing.lineage;
  }

  async #pump(life: number): Promise<void> {
    this.#pumping = true;
    while (life === this.#life) {
      const item = this.#items[0];
      if (item === undefined) {
        this.#pumping = false;
        return;
      }
      if (this.#stale(item)) this.#items.shift();
      else if (item.kind === 'send') {
        this.#items.shift();
        this.#frame(item, item.body);
      } else await this.#sendSome(item);
    }
  }

  /** One frame of a run; takes the run off once it is through. */
  async #sendSome(item: Extract<Item, { kind: 'run' }>): Promise<void> {
    const life = this.#life;
    const up = await this.#links.writable(this.#to.address);
    if (life !== this.#life) return;
    if (!up) {
      this.reset();
      return;
    }
    const empty = item.run.previousLsn === item.run.throughLsn;
    const batches = empty ? [] : await this.#read(item.run);
    if (life !== this.#life || this.#stale(item)) return;
    // What the machine added meanwhile is part of the run by now.
    const { run } = item;
    if (batches === null || (batches.length === 0 && !empty)) {
      this.#give(`its log cannot be read after ${run.previousLsn}`);
      return;
    }
    const end = batches.at(-1);
    const { startLsn, previousLsn, previousEpoch, committedLsn, barrier } = run;
    const sent = this.#frame(item, {
      kind: 'replicate',
      startLsn,
      previousLsn,
      previousEpoch,
      batches: batches.map(({ bytes }) => bytes),
      committedLsn,
      barrier,
    });
    if (!sent) {
      this.reset();
      return;
    }
    const reached = end === undefined ? previousLsn : lastLsn(end.header);
    if (reached >= run.throughLsn) this.#items.shift();
    else if (end !== undefined) {
      item.run = { ...run, previousLsn: reached, previousEpoch: end.header.epoch };
    }
  }

  /** Batches of the run from its beginning; null where the log does not give them. */
  async #read(run: Forward): Promise<readonly Batch[] | null> {
    for (let attempt = 0; attempt < DAMAGE_PATIENCE; attempt += 1) {
      try {
        const from = after(run.previousLsn, 1);
        const batches = await this.#source.log.read(from, FRAME_BYTES);
        if (batches[0]?.header.firstLsn !== from) return null;
        return batches.filter(({ header }) => lastLsn(header) <= run.throughLsn);
      } catch (error) {
        if (!(error instanceof JournalError || error instanceof DiskError)) throw error;
        const { journal, logger } = this.#source;
        logger.warn({ journal, peer: this.#to.id, error: error.message }, 'cannot forward');
        if (error instanceof DiskError || error.code !== 'DAMAGED') return null;
        if (!(await this.#source.mend(error))) return null;
      }
    }
    return null;
  }

  #give(reason: string): void {
    this.reset();
    this.#links.break(this.#to.address, reason);
  }
}
