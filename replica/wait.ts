// Waiting by the clock of io/: a pause, and a bell that wakes all who wait for something to move.

import type { Clock } from '../io/clock.ts';
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
