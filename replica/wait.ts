// Waiting by the clock of io/: a pause, a bell that wakes all who wait for something to move, a
// deadline, and the bound of what may wait.

import type { Clock } from '../io/clock.ts';
import { JournalError } from '../protocol/errors.ts';
import type { Micros } from '../protocol/types.ts';

/** Resolves after `delay`, or as soon as the signal aborts: the caller looks at the signal. */
export function pause(clock: Clock, delay: Micros, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delay, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Rings when a position moved. Whoever waits looks again at what it waits for. */
export class Bell {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves at the next ring: only for what is certain to come, since it has no deadline. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
    });
  }

  /** Resolves at the next ring, after `timeout`, or when the signal aborts. */
  wait(clock: Clock, timeout: Micros, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const wake = (): void => {
        cancel();
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const cancel = clock.after(timeout, wake);
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}

/** A signal that aborts with `signal` or after `timeout`, whichever is first. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** True once the time was over, as opposed to a caller that left. */
  readonly over: boolean;
  /** To be called when what was waited for is done. */
  done(): void;
}

export function deadline(clock: Clock, timeout: Micros, signal: AbortSignal): Deadline {
  const abort = new AbortController();
  let over = false;
  const leave = (): void => abort.abort();
  const cancel = clock.after(timeout, () => {
    over = true;
    abort.abort();
  });
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave, { once: true });
  return {
    signal: abort.signal,
    get over() {
      return over;
    },
    done() {
      cancel();
      signal.removeEventListener('abort', leave);
    },
  };
}

/** The bound of what waits: requests of all journals together, by number and by bytes. */
export class Queue {
  readonly #bytesMax: number;
  readonly #requestsMax: number;
  #bytes = 0;
  #requests = 0;

  constructor(limits: { readonly queueBytesMax: number; readonly queueRequestsMax: number }) {
    this.#bytesMax = limits.queueBytesMax;
    this.#requestsMax = limits.queueRequestsMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Takes a place until `leave`; throws OVERLOADED where there is none. */
  enter(bytes: number): void {
    if (this.#requests >= this.#requestsMax) {
      throw new JournalError(
        'OVERLOADED',
        `${this.#requests} requests wait, allowed is ${this.#requestsMax}`,
      );
    }
    // A single batch is always let in: it may be larger than the bound of a small queue.
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      throw new JournalError(
        'OVERLOADED',
        `${this.#bytes} bytes wait and ${bytes} came, allowed is ${this.#bytesMax}`,
      );
    }
    this.#requests += 1;
    this.#bytes += bytes;
  }

  leave(bytes: number): void {
    this.#requests -= 1;
    this.#bytes -= bytes;
  }
}
