// What a replica measures: append latency by stage, syncs, the lateness of its event loop, and the
// numbers that /metrics shows. Nothing here decides anything but the health that pongs report.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Cancel, Clock } from '../io/clock.ts';
import { type Micros, micros } from '../protocol/types.ts';

/**
 * Stages of an append at the head, in order: `queue` until the machine took it, `write` until the
 * sync that covers it began, `sync` until that was over, `replicate` until the last member had it
 * on disk too, `ack` until the answer was handed to the transport.
 */
export type AppendStage = 'queue' | 'write' | 'sync' | 'replicate' | 'ack';

/** State of one journal for the gauges. */
export interface JournalGauges {
  readonly journal: string;
  readonly epoch: number;
  readonly endLsn: number;
  readonly durableLsn: number;
  readonly committedLsn: number;
  readonly baseLsn: number;
  readonly bytes: number;
  readonly subscriptions: number;
  /** Records that the slowest subscriber is behind. */
  readonly subscriberLag: number;
}

export interface VolumeGauges {
  readonly bytesUsed: number;
  readonly bytesFree: number;
  readonly segments: number;
  readonly queueBytes: number;
  readonly queueRequests: number;
  readonly loopDelay: Micros;
}

const SECONDS = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

export class ReplicaMetrics {
  readonly registry = new Registry();
  readonly #append: Histogram<'stage'>;
  readonly #sync: Histogram;
  readonly #records: Counter<'direction'>;
  readonly #bytes: Counter<'direction'>;
  readonly #refused: Counter<'code'>;
  readonly #adopted: Counter<'journal'>;
  readonly #repaired: Counter<'outcome'>;
  readonly #lsn: Gauge<'journal' | 'position'>;
  readonly #epoch: Gauge<'journal'>;
  readonly #journalBytes: Gauge<'journal'>;
  readonly #subscriptions: Gauge<'journal'>;
  readonly #lag: Gauge<'journal'>;
  readonly #volume: Gauge<'what'>;
  readonly #queueBytes: Gauge;
  readonly #queueRequests: Gauge;
  readonly #loop: Gauge;

  constructor() {
    const registers = [this.registry];
    const make = <Labels extends string>(name: string, help: string, labelNames: Labels[]) => ({
      name: `journal_replica_${name}`,
      help,
      labelNames,
      registers,
    });
    this.#append = new Histogram({
      ...make('append_seconds', 'Latency of appends at the head, by stage', ['stage']),
      buckets: SECONDS,
    });
    this.#sync = new Histogram({
      ...make('sync_seconds', 'Duration of syncs of the volume', []),
      buckets: SECONDS,
    });
    this.#records = new Counter(make('records_total', 'Records in and out', ['direction']));
    this.#bytes = new Counter(make('bytes_total', 'Bytes of records in and out', ['direction']));
    this.#refused = new Counter(make('refused_total', 'Appends refused, by code', ['code']));
    this.#adopted = new Counter(
      make('reconfigurations_total', 'Epochs that this replica adopted', ['journal']),
    );
    this.#repaired = new Counter(
      make('damage_total', 'Damaged ranges found, by what became of them', ['outcome']),
    );
    // From zero on: a counter that begins with its first event has not risen for Prometheus.
    for (const outcome of ['found', 'repaired', 'unrepaired']) this.#repaired.inc({ outcome }, 0);
    for (const direction of ['in', 'out'] as const) this.moved(direction, 0, 0);
    this.#lsn = new Gauge(make('lsn', 'Positions of each journal', ['journal', 'position']));
    this.#epoch = new Gauge(make('epoch', 'Epoch of each journal', ['journal']));
    this.#journalBytes = new Gauge(make('journal_bytes', 'Bytes of each journal', ['journal']));
    this.#subscriptions = new Gauge(make('subscriptions', 'Open subscriptions', ['journal']));
    this.#lag = new Gauge(
      make('subscriber_lag_records', 'Records that the slowest is behind', ['journal']),
    );
    this.#volume = new Gauge(make('volume_bytes', 'Bytes of the volume', ['what']));
    this.#queueBytes = new Gauge(make('queue_bytes', 'Bytes of requests that wait', []));
    this.#queueRequests = new Gauge(make('queue_requests', 'Requests that wait', []));
    this.#loop = new Gauge(make('loop_delay_seconds', 'Worst lateness in the last second', []));
  }

  appendStage(stage: AppendStage, from: Micros, to: Micros): void {
    this.#append.observe({ stage }, Math.max(0, to - from) / 1e6);
  }

  synced(duration: Micros): void {
    this.#sync.observe(duration / 1e6);
  }

  moved(direction: 'in' | 'out', records: number, bytes: number): void {
    this.#records.inc({ direction }, records);
    this.#bytes.inc({ direction }, bytes);
  }

  refused(code: string): void {
    this.#refused.inc({ code });
  }

  adopted(journal: string): void {
    this.#adopted.inc({ journal });
  }

  damage(outcome: 'found' | 'repaired' | 'unrepaired'): void {
    this.#repaired.inc({ outcome });
  }

  /** Sets the gauges; asked for right before they are read. */
  gauge(volume: VolumeGauges, journals: readonly JournalGauges[]): void {
    for (const gauge of [this.#lsn, this.#epoch, this.#journalBytes, this.#lag]) gauge.reset();
    this.#subscriptions.reset();
    for (const one of journals) {
      const { journal } = one;
      this.#lsn.set({ journal, position: 'end' }, one.endLsn);
      this.#lsn.set({ journal, position: 'durable' }, one.durableLsn);
      this.#lsn.set({ journal, position: 'committed' }, one.committedLsn);
      this.#lsn.set({ journal, position: 'base' }, one.baseLsn);
      this.#epoch.set({ journal }, one.epoch);
      this.#journalBytes.set({ journal }, one.bytes);
      this.#subscriptions.set({ journal }, one.subscriptions);
      this.#lag.set({ journal }, one.subscriberLag);
    }
    this.#volume.set({ what: 'used' }, volume.bytesUsed);
    this.#volume.set({ what: 'free' }, volume.bytesFree);
    this.#queueBytes.set(volume.queueBytes);
    this.#queueRequests.set(volume.queueRequests);
    this.#loop.set(volume.loopDelay / 1e6);
  }
}

const SECOND = 1_000_000;

/** Durations of the syncs of one disk: what tells a slow or hung disk from an idle one. */
export class SyncMeter {
  readonly #clock: Clock;
  readonly #metrics: ReplicaMetrics;
  /** Ends and durations of the last second, oldest first; at most 1024. */
  #recent: { readonly at: Micros; readonly took: Micros }[] = [];
  readonly #pending = new Set<{ readonly since: Micros }>();
  #count = 0;
  /** Of `#recent` as it is; null once that changed. Asked for by each pong. */
  #median: Micros | null = null;

  constructor(clock: Clock, metrics: ReplicaMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** Runs one sync and counts it when it completed; one that failed is no progress. */
  async measure(sync: () => Promise<void>): Promise<void> {
    const mark = { since: this.#clock.now() };
    this.#pending.add(mark);
    try {
      await sync();
      const now = this.#clock.now();
      const took = micros(now - mark.since);
      this.#count += 1;
      this.#recent.push({ at: now, took });
      this.#median = null;
      if (this.#recent.length > 1024) this.#recent = this.#recent.slice(-512);
      this.#metrics.synced(took);
    } finally {
      this.#pending.delete(mark);
    }
  }

  /** Syncs completed since the start. */
  get count(): number {
    return this.#count;
  }

  /** Age of the oldest sync under way, 0 for none. */
  age(): Micros {
    const [oldest] = this.#pending;
    return micros(oldest === undefined ? 0 : this.#clock.now() - oldest.since);
  }

  /** Median of the syncs that ended in the last second, 0 for none. */
  median(): Micros {
    const since = this.#clock.now() - SECOND;
    const [oldest] = this.#recent;
    if (oldest !== undefined && oldest.at < since) {
      this.#recent = this.#recent.filter(({ at }) => at >= since);
      this.#median = null;
    }
    this.#median ??= middle(this.#recent.map(({ took }) => took));
    return this.#median;
  }
}

/** The upper one of two middle values, 0 of none. */
function middle(values: Micros[]): Micros {
  values.sort((one, other) => one - other);
  return values[Math.floor(values.length / 2)] ?? micros(0);
}

const LOOP_STEP = micros(100_000);

/** How late timers run: a replica that was paused or is overloaded says so in its pongs. */
export class LoopMeter {
  readonly #clock: Clock;
  #worst: { readonly at: Micros; readonly delay: Micros }[] = [];
  #cancel: Cancel;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cancel = this.#next();
  }

  #next(): Cancel {
    const due = this.#clock.now() + LOOP_STEP;
    return this.#clock.after(LOOP_STEP, () => {
      const at = this.#clock.now();
      this.#worst = this.#worst.filter((one) => one.at >= at - SECOND);
      this.#worst.push({ at, delay: micros(Math.max(0, at - due)) });
      this.#cancel = this.#next();
    });
  }

  /** The worst lateness of the last second. */
  delay(): Micros {
    return micros(this.#worst.reduce((worst, one) => Math.max(worst, one.delay), 0));
  }

  close(): void {
    this.#cancel();
  }
}
