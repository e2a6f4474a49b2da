// Time for tests of the client that stands still until it is told to pass.

import type { Clock } from '../../io/clock.ts';
import { micros } from '../../protocol/types.ts';

const MILLI = 1_000;

/** Time that stands still but for `pass`. */
export class StillClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly task: () => void }>();

  now = () => micros(this.#now);
  wall = () => micros(this.#now);

  after = (delay: number, task: () => void) => {
    const timer = { at: this.#now + delay, task };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };

  async pass(millis: number): Promise<void> {
    const until = this.#now + millis * MILLI;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...this.#timers].sort((one, other) => one.at - other.at);
      if (next === undefined || next.at > until) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
    }
    this.#now = until;
  }
}
