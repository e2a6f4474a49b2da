// Subscriptions: read the log up to the committed position, then follow it.
//
// One stretch is held for each subscriber and the next is read only when that was taken: a stuck
// one costs one stretch and whatever the transport's window holds, never more. Progress is told at
// least once a second, so that a resume position moves past control entries too.

import type { Clock } from '../../io/clock.ts';
import { KIB } from '../../protocol/configuration.ts';
import { deleted, JournalError } from '../../protocol/errors.ts';
import { after, type Lsn, type Micros, micros } from '../../protocol/types.ts';
import type { SubscribeAnswer, SubscribeRequest } from '../../transport/public.ts';
import type { Host } from '../drive/host.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import type { Asker } from './ask.ts';
import type { Reader } from './reader.ts';

const STRETCH_RECORDS = 4_096;
const STRETCH_BYTES = 256 * KIB;
const PROGRESS = micros(1_000_000);
/** At the end for so long without a word of the chain: ask whether this is still the end. */
const DOUBT = micros(2_000_000);
const PROOF = micros(3_000_000);

export interface SubscriptionParts {
  readonly clock: Clock;
  readonly asker: Asker;
  readonly reader: Reader;
  readonly metrics: ReplicaMetrics;
  readonly subscriptionsMax: number;
}

interface Open {
  readonly host: Host;
  nextLsn: Lsn;
}

export class Subscriptions {
  readonly #parts: SubscriptionParts;
  readonly #open = new Set<Open>();
  #closing = false;

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
  }

  /** Open subscriptions of a journal, and how many records the slowest is behind. */
  gauge(host: Host): { readonly subscriptions: number; readonly lag: number } {
    let subscriptions = 0;
    let lag = 0;
    for (const one of this.#open) {
      if (one.host !== host) continue;
      subscriptions += 1;
      lag = Math.max(lag, host.committedLsn - one.nextLsn + 1);
    }
    return { subscriptions, lag };
  }

  /** Ends all of them: clients go on elsewhere from where they are. */
  close(): void {
    this.#closing = true;
    for (const { host } of this.#open) host.bell.ring();
  }

  /** Ends only by an error or with the caller; the first answer says where it starts, at once. */
  async *follow(
    host: Host,
    request: SubscribeRequest,
    signal: AbortSignal,
  ): AsyncIterable<SubscribeAnswer> {
    if (this.#open.size >= this.#parts.subscriptionsMax) {
      throw new JournalError(
        'OVERLOADED',
        `${this.#open.size} subscriptions are open, allowed is ${this.#parts.subscriptionsMax}`,
      );
    }
    refuseLineage(host, request.lineage);
    const { lineage } = host;
    // Counted from now on: many may come at once, and wait for where they start.
    const open: Open = { host, nextLsn: after(host.committedLsn, 1) };
    this.#open.add(open);
    try {
      const nextLsn = await this.#parts.reader.start(host, request.from, signal);
      open.nextLsn = nextLsn;
      yield { records: [], nextLsn, committedLsn: host.committedLsn, lineage };
      yield* this.#stretches(open, lineage, signal);
    } finally {
      this.#open.delete(open);
    }
  }

  async *#stretches(
    open: Open,
    lineage: number,
    signal: AbortSignal,
  ): AsyncIterable<SubscribeAnswer> {
    const { clock, reader, metrics } = this.#parts;
    const { host } = open;
    let toldAt = clock.now();
    let heardAt = toldAt;
    while (!signal.aborted) {
      this.#check(host, lineage);
      if (open.nextLsn <= host.committedLsn) {
        const stretch = await reader.read(host, open.nextLsn, STRETCH_RECORDS, STRETCH_BYTES);
        // A lineage that changed while this was read may have replaced what was read.
        this.#check(host, lineage);
        const { records, nextLsn, bytes } = stretch;
        open.nextLsn = nextLsn;
        heardAt = clock.now();
        if (records.length > 0 || heardAt - toldAt >= PROGRESS) {
          metrics.moved('out', records.length, bytes);
          yield { records, nextLsn, committedLsn: host.committedLsn, lineage };
          toldAt = clock.now();
        }
        continue;
      }
      reader.refuseTrimmed(host, open.nextLsn);
      const left = toldAt + PROGRESS - clock.now();
      if (left > 0) await host.bell.wait(clock, micros(left), signal);
      if (open.nextLsn <= host.committedLsn || clock.now() - toldAt < PROGRESS) continue;
      heardAt = await this.#assure(host, heardAt, signal);
      yield { records: [], nextLsn: open.nextLsn, committedLsn: host.committedLsn, lineage };
      toldAt = clock.now();
    }
  }

  #check(host: Host, lineage: number): void {
    if (host.closed) throw deleted(host.name);
    if (this.#closing) throw new JournalError('UNAVAILABLE', 'this replica is stopping');
    refuseLineage(host, lineage);
    if (!host.readable) throw notServed(host);
  }

  /**
   * A replica that was cut off hears of no new records and would stay silent for ever: after a
   * silence the chain must confirm, or the subscriber is sent elsewhere.
   */
  async #assure(host: Host, heardAt: Micros, signal: AbortSignal): Promise<Micros> {
    const { clock, asker } = this.#parts;
    if (clock.now() - heardAt < DOUBT) return heardAt;
    const body = { kind: 'readIndex' } as const;
    await asker.ask(host, body, 'readIndex', signal, { timeout: PROOF });
    return clock.now();
  }
}

export function refuseLineage(host: Host, lineage: number): void {
  if (lineage === 0 || lineage === host.lineage) return;
  throw new JournalError(
    'LINEAGE_CHANGED',
    `lineage is ${lineage}, allowed is ${host.lineage}: acknowledged records may have been lost`,
    { firstLsn: host.firstLsn },
  );
}

export function notServed(host: Host): JournalError {
  const details = host.known === null ? {} : { configuration: host.known };
  return new JournalError(
    'UNAVAILABLE',
    `this replica does not serve journal ${host.name} now`,
    details,
  );
}
