// Time as the rest of the house sees it: everything that waits or dates goes through here.

import type { Micros } from '../protocol/types.ts';

export interface Clock {
  /** Monotonic microseconds since an arbitrary start; never goes back. */
  now(): Micros;
  /** Wall time in microseconds since 1970, which may jump. */
  wall(): Micros;
  /** Calls `task` once after `delay`; the result cancels it. Never keeps the process alive. */
  after(delay: Micros, task: () => void): Cancel;
}

export type Cancel = () => void;
