// Trims by age and by size, at the head of each journal that asks for it. A registered cursor holds
// what it has not consumed: then the size is a quota, and appends are refused until it moves.
//
// A trim cannot be taken back, and wall clocks can be set, so age is not their word alone: a clock
// that is set forward makes nothing old (OldestClock), and a new head waits for as long as it takes
// to replace one whose clock is off.

import type { Clock } from '../io/clock.ts';
import { DiskError } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { ChainReply, ChainRequest } from '../protocol/chain/messages.ts';
import { committedDataLsn } from '../protocol/chain/tables.ts';
import { JournalError } from '../protocol/errors.ts';
import {
  after,
  type Lsn,
  lastLsn,
  lower,
  lsn,
  type Micros,
  micros,
  NO_LSN,
} from '../protocol/types.ts';
import type { Driver } from './drive/driver.ts';
import type { Host } from './drive/host.ts';
import type { Journals } from './journals.ts';
import { deadline, pause } from './wait.ts';

const EVERY = micros(1_000_000);
const ANSWER = micros(5_000_000);
const STRETCH_BYTES = 1024 * 1024;
/** What is read at most in one round to find where a size lies. */
const STRETCHES_MAX = 64;
/** A head trims by age from here on: one whose clock is off hands over long before. */
const SETTLED = micros(10_000_000);
/** A clock that moved by less against the monotonic one was not set. */
const STEP = 250_000;
const STEPS_MAX = 64;

export interface RetentionParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly driver: Driver;
  readonly journals: Journals;
}

/** A while in which wall time was ahead of monotonic time by this much. */
interface Pace {
  ahead: number;
  until: Micros;
}

/**
 * The wall clock as slow as it was at any time within an age. Whatever this process dated within
 * that age it dated by no slower clock, so what is older than the age by this one is older, however
 * the wall clock was set meanwhile. For as long as the age after a step forward it is late by that
 * step; then it is the wall clock again.
 */
export class OldestClock {
  readonly #clock: Clock;
  /** From the slowest to the present one. */
  #paces: Pace[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.look();
  }

  /** Notes where the wall clock is: to be called every second or so. */
  look(): Pace {
    const until = this.#clock.now();
    const ahead = this.#clock.wall() - until;
    // After a step back what was faster says nothing any more.
    const paces = this.#paces.filter((pace) => pace.ahead <= ahead + STEP);
    const last = paces.at(-1);
    if (last !== undefined && ahead - last.ahead <= STEP) {
      last.ahead = Math.min(last.ahead, ahead);
      last.until = until;
    } else {
      if (last !== undefined && paces.length === this.#paces.length) last.until = until;
      paces.push({ ahead, until });
    }
    const [slowest, next] = paces;
    if (paces.length > STEPS_MAX && slowest !== undefined && next !== undefined) {
      // One fewer to remember: the slower one stands for both.
      slowest.until = next.until;
      paces.splice(1, 1);
    }
    this.#paces = paces;
    return { ahead, until };
  }

  /** Time, since 1970, before which all is older than `age`; 0 where nothing is. */
  before(age: number): Micros {
    const { ahead, until: now } = this.look();
    const within = this.#paces.filter(({ until }) => now - until < age);
    const slowest = within.reduce((least, pace) => Math.min(least, pace.ahead), ahead);
    return micros(Math.max(0, now + slowest - age));
  }
}

export class Retention {
  readonly #parts: RetentionParts;
  readonly #oldest: OldestClock;
  /** Since when this member leads a journal. */
  readonly #leads = new WeakMap<Host, Micros>();
  readonly #abort = new AbortController();
  /** Why a journal takes no appends: what holds it above its size. */
  readonly #held = new WeakMap<Host, string>();

  constructor(parts: RetentionParts) {
    this.#parts = parts;
    this.#oldest = new OldestClock(parts.clock);
  }

  /** A refusal where the journal is over its size and a cursor holds it there. */
  refusing(host: Host): JournalError | null {
    const reason = host.isHead ? this.#held.get(host) : undefined;
    return reason === undefined ? null : new JournalError('LIMIT_EXCEEDED', reason);
  }

  async run(): Promise<void> {
    const { clock, journals, logger } = this.#parts;
    while (!this.#abort.signal.aborted) {
      await pause(clock, EVERY, this.#abort.signal);
      this.#oldest.look();
      for (const host of journals.all()) {
        if (this.#abort.signal.aborted) return;
        try {
          await this.#keep(host);
        } catch (error) {
          if (!(error instanceof JournalError || error instanceof DiskError)) throw error;
          logger.debug({ journal: host.journal, error: error.message }, 'retention waits');
        }
      }
    }
  }

  close(): void {
    this.#abort.abort();
  }

  async #keep(host: Host): Promise<void> {
    const { retainMillis, retainBytes } = host.state.settings;
    if (!host.isHead || !host.readable || (retainMillis === 0 && retainBytes === 0)) {
      this.#held.delete(host);
      this.#leads.delete(host);
      return;
    }
    const byAge = retainMillis === 0 ? NO_LSN : await this.#byAge(host, retainMillis);
    const bySize = retainBytes === 0 ? NO_LSN : await this.#bySize(host, retainBytes);
    // By age only together with a record: a trim is an entry as well, and an idle journal whose
    // trims of its own trims never end would write for ever.
    const aged = lower(byAge, committedDataLsn(host.state.tables));
    const through = lower(lsn(Math.max(aged, bySize)), host.committedLsn);
    if (through < host.firstLsn) {
      this.#held.delete(host);
      return;
    }
    await this.#trim(host, through, bySize);
  }

  /** Last position whose record is too old, as far as clocks can be trusted. */
  async #byAge(host: Host, retainMillis: number): Promise<Lsn> {
    const now = this.#parts.clock.now();
    const since = this.#leads.get(host) ?? now;
    this.#leads.set(host, since);
    if (now - since < SETTLED) return NO_LSN;
    return after(await host.log.find(this.#oldest.before(retainMillis * 1_000)), -1);
  }

  /** Last position that must go so that the rest fits; found by reading what goes. */
  async #bySize(host: Host, retainBytes: number): Promise<Lsn> {
    let excess = host.log.bytes - retainBytes;
    let through: Lsn = NO_LSN;
    let from = after(host.log.shape().baseLsn, 1);
    for (let stretch = 0; stretch < STRETCHES_MAX && excess > 0; stretch += 1) {
      const batches = await host.log.read(from, Math.min(STRETCH_BYTES, excess));
      for (const { header, bytes } of batches) {
        if (excess <= 0) break;
        excess -= bytes.length;
        through = lastLsn(header);
        from = after(through, 1);
      }
      if (batches.length === 0) break;
    }
    return through;
  }

  async #trim(host: Host, through: Lsn, bySize: Lsn): Promise<void> {
    const { logger } = this.#parts;
    const { cursors } = await this.#ask(host, { kind: 'cursors' }, 'cursors');
    const holding = cursors
      .filter((cursor) => cursor.lsn < through)
      .reduce<(typeof cursors)[number] | null>(
        (lowest, cursor) => (lowest === null || cursor.lsn < lowest.lsn ? cursor : lowest),
        null,
      );
    if (holding !== null && holding.lsn < bySize) {
      this.#held.set(
        host,
        `journal ${host.name} holds ${host.log.bytes} bytes, allowed are ` +
          `${host.state.settings.retainBytes}, and cursor ${holding.name} at ${holding.lsn} ` +
          'holds the oldest: move or delete it',
      );
    } else this.#held.delete(host);
    const allowed = holding === null ? through : holding.lsn;
    if (allowed < host.firstLsn) return;
    await this.#ask(host, { kind: 'trim', through: allowed, force: false }, 'applied');
    logger.debug({ journal: host.journal, through: allowed }, 'old records were trimmed');
  }

  async #ask<Kind extends 'cursors' | 'applied'>(
    host: Host,
    body: ChainRequest,
    kind: Kind,
  ): Promise<Extract<ChainReply, { kind: Kind }>> {
    const limit = deadline(this.#parts.clock, ANSWER, this.#abort.signal);
    try {
      const reply = await this.#parts.driver.request(host, body, null, limit.signal);
      if (isKind(reply, kind)) return reply;
      const code = reply.kind === 'refused' ? reply.refusal.code : 'INTERNAL';
      const message = reply.kind === 'refused' ? reply.refusal.message : reply.kind;
      throw new JournalError(code, message);
    } finally {
      limit.done();
    }
  }
}

function isKind<Kind extends ChainReply['kind']>(
  reply: ChainReply,
  kind: Kind,
): reply is Extract<ChainReply, { kind: Kind }> {
  return reply.kind === kind;
}
