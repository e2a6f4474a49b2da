// The taking side of a copy: a learner follows the committed entries of a serving member until the
// controllers make it a member, or send it to another source.
//
// The controllers repeat the order to learn, so a copy that broke off is simply begun again by the
// next one, from wherever the log is by then.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import type { Random } from '../../io/random.ts';
import { decodeBatch } from '../../log/batch.ts';
import type { Base } from '../../log/log.ts';
import { type Member, MIB, sameMember } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Lsn, lastLsn, micros, NO_LSN, type StoreId } from '../../protocol/types.ts';
import type { FetchAnswer } from '../../transport/control.ts';
import { peerMethods } from '../../transport/methods.ts';
import type { Driver } from '../drive/driver.ts';
import type { Host } from '../drive/host.ts';
import { pause } from '../wait.ts';
import { Pieces } from './pieces.ts';

const FIRST_ANSWER = micros(5_000_000);
/** The source says something every second. */
const SILENCE = micros(4_000_000);
/** Learned bytes that may wait for the disk. */
const UNSYNCED_BYTES_MAX = 8 * MIB;

export interface CatchupParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly driver: Driver;
}

interface Copy {
  /** As the controllers named it. */
  readonly named: Member;
  readonly source: Member;
  readonly abort: AbortController;
}

export class Catchup {
  readonly #parts: CatchupParts;
  readonly #copies = new Map<Host, Copy>();
  /** Whose log turned out damaged where the last copy of a journal was. */
  readonly #damaged = new WeakMap<Host, StoreId>();

  constructor(parts: CatchupParts) {
    this.#parts = parts;
  }

  /** Copies from `source` on; nothing new where that is under way. */
  follow(host: Host, source: Member): void {
    const present = this.#copies.get(host);
    if (present !== undefined) {
      const same = sameMember(present.named, source);
      if (!same || present.named.address !== source.address) present.abort.abort();
      return;
    }
    const from = this.#whole(host, source);
    const copy = { named: source, source: from, abort: new AbortController() };
    this.#copies.set(host, copy);
    void this.#run(host, copy);
  }

  /**
   * Another serving member where the one that is named has bad bytes: what all others have trimmed
   * nobody can mend there, and they have a base.
   */
  #whole(host: Host, named: Member): Member {
    if (this.#damaged.get(host) !== named.store) return named;
    const others = host.known?.serving.filter(({ store }) => store !== named.store) ?? [];
    return others[this.#parts.random.below(Math.max(1, others.length))] ?? named;
  }

  close(): void {
    for (const { abort } of this.#copies.values()) abort.abort();
  }

  async #run(host: Host, { source, abort }: Copy): Promise<void> {
    const { clock, random, logger } = this.#parts;
    const { journal } = host;
    logger.info({ journal, source: source.id, from: host.log.endLsn }, 'catching up');
    try {
      await this.#copy(host, source, abort);
    } catch (error) {
      if (error instanceof JournalError && error.code === 'DAMAGED') {
        this.#damaged.set(host, source.store);
      }
      if (!abort.signal.aborted) {
        logger.warn({ journal, source: source.id, error: String(error) }, 'catching up broke off');
      }
      await pause(clock, micros(100_000 + random.below(200_000)), abort.signal);
    } finally {
      abort.abort();
      this.#copies.delete(host);
    }
  }

  async #copy(host: Host, source: Member, abort: AbortController): Promise<void> {
    const { network, driver, clock } = this.#parts;
    // The order to learn may put the old log aside: what is asked for depends on that.
    await driver.settled(host);
    const request = {
      journal: host.journal,
      lineage: host.known?.lineage ?? 0,
      shape: host.state.shape,
      repairFirstLsn: NO_LSN,
      repairLastLsn: NO_LSN,
    };
    const options = { timeout: FIRST_ANSWER, signal: abort.signal };
    let silence = clock.after(FIRST_ANSWER, () => abort.abort());
    const pieces = new Pieces();
    let unsynced = 0;
    try {
      for await (const answer of network.stream(
        source.address,
        peerMethods.fetch,
        request,
        options,
      )) {
        silence();
        silence = clock.after(SILENCE, () => abort.abort());
        if (abort.signal.aborted || host.state.standing !== 'learner' || host.closed) return;
        if (answer.kind === 'base') await this.#takeBase(host, pieces.add(answer));
        else unsynced = await this.#takeBatches(host, answer, unsynced);
      }
    } finally {
      silence();
    }
  }

  async #takeBase(host: Host, base: Base | null): Promise<void> {
    if (base === null) return;
    const { driver, logger } = this.#parts;
    driver.post(host, { kind: 'basing', baseLsn: base.lsn });
    await driver.settled(host);
    await driver.behind(host, async () => {
      // Membership may have come first: then the sync rule of the chain decides, not this copy.
      if (host.state.standing !== 'learner') return;
      if (base.lsn < host.log.shape().baseLsn) return;
      await host.log.install(base);
      host.rebase(base.trimmedLsn);
      driver.post(host, { kind: 'based', shape: host.log.shape(), tables: base.tables });
    });
    await driver.settled(host);
    logger.info({ journal: host.journal, base: base.lsn }, 'a base was installed');
  }

  /** Gives the bytes that wait for the disk now. */
  async #takeBatches(
    host: Host,
    answer: Extract<FetchAnswer, { kind: 'batches' }>,
    unsynced: number,
  ): Promise<number> {
    const { driver } = this.#parts;
    const { previousLsn, previousEpoch, committedLsn } = answer;
    const batches = answer.batches.map((bytes) => decodeBatch(bytes));
    driver.post(host, { kind: 'learned', previousLsn, previousEpoch, batches, committedLsn });
    await driver.settled(host);
    const end = batches.at(-1);
    if (end === undefined) return unsynced;
    const reached = lastLsn(end.header);
    if (host.state.standing === 'learner' && host.state.shape.endLsn < reached) {
      // A suffix that nobody else has was cut: ask again from where the log ends now.
      throw new JournalError('UNAVAILABLE', 'the log was cut, the copy begins again');
    }
    const waiting = unsynced + batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (waiting < UNSYNCED_BYTES_MAX) return waiting;
    await this.#durable(host, reached);
    return 0;
  }

  async #durable(host: Host, reached: Lsn): Promise<void> {
    const { driver, clock } = this.#parts;
    while (host.log.durableLsn < reached && driver.halted === null && !host.closed) {
      if (host.log.endLsn < reached) return;
      await driver.syncBell.wait(clock, micros(1_000_000));
    }
  }
}
