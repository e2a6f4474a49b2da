// Keys that wait to be reconciled, as in client-go: each once, never two at a time for one key.
//
// A key that is added while it waits stays one entry; one that is added while it is worked on waits
// until that is done. Failures are put off exponentially, each key by itself.

import type { Cancel, Clock } from '../io/clock.ts';
import type { Random } from '../io/random.ts';
import { type Micros, micros } from '../protocol/types.ts';

export interface WorkQueueOptions {
  readonly backoffMin?: Micros;
  readonly backoffMax?: Micros;
  /** Keys that may wait; more are refused, which an operator's own clusters never reach. */
  readonly keysMax?: number;
}

interface Waiting {
  readonly due: Micros;
  readonly cancel: Cancel;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: Required<WorkQueueOptions>;
  /** Waits, in order. */
  #queue: string[] = [];
  /** Has to be worked on: waits in `queue`, or for the end of its present work. */
  readonly #dirty = new Set<string>();
  readonly #working = new Set<string>();
  readonly #later = new Map<string, Waiting>();
  readonly #failures = new Map<string, number>();
  #takers: ((key: string | null) => void)[] = [];
  #closed = false;

  constructor(clock: Clock, random: Random, options: WorkQueueOptions = {}) {
    this.#clock = clock;
    this.#random = random;
    this.#options = {
      backoffMin: micros(500_000),
      backoffMax: micros(120_000_000),
      keysMax: 10_000,
      ...options,
    };
  }

  /** Keys that wait now. */
  get length(): number {
    return this.#queue.length;
  }

  add(key: string): void {
    if (this.#closed || this.#dirty.has(key)) return;
    if (this.#dirty.size >= this.#options.keysMax) throw new Error('the work queue is full');
    this.#dirty.add(key);
    if (this.#working.has(key)) return;
    this.#queue.push(key);
    this.#serve();
  }

  /** Adds the key after a while; the earliest of several counts. */
  addAfter(key: string, delay: Micros): void {
    if (this.#closed) return;
    const due = micros(this.#clock.now() + delay);
    const known = this.#later.get(key);
    if (known !== undefined && known.due <= due) return;
    known?.cancel();
    const cancel = this.#clock.after(delay, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { due, cancel });
  }

  /** Adds the key after a time that doubles with each failure since `forget`, with jitter. */
  addFailed(key: string): Micros {
    const { backoffMin, backoffMax } = this.#options;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, Math.min(failures + 1, 30));
    const bound = Math.min(backoffMax, backoffMin * 2 ** failures);
    const delay = micros(Math.round(bound * (0.5 + 0.5 * this.#random.fraction())));
    this.addAfter(key, delay);
    return delay;
  }

  /** The key went well: its next failure starts over. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, to be given to `done` afterwards; null when the queue was closed. */
  take(): Promise<string | null> {
    if (this.#closed) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#takers.push(resolve);
      this.#serve();
    });
  }

  done(key: string): void {
    this.#working.delete(key);
    if (!this.#dirty.has(key)) return;
    this.#queue.push(key);
    this.#serve();
  }

  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#later.values()) cancel();
    this.#later.clear();
    for (const taker of this.#takers) taker(null);
    this.#takers = [];
  }

  #serve(): void {
    while (this.#queue.length > 0 && this.#takers.length > 0) {
      const key = this.#queue.shift();
      const taker = this.#takers.shift();
      if (key === undefined || taker === undefined) return;
      this.#dirty.delete(key);
      this.#working.add(key);
      taker(key);
    }
  }
}
