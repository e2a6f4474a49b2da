// Keeps a process running while it waits for something that only timers of `Clock` would wake.

import type { Cancel } from './clock.ts';

const FAR_MILLIS = 2 ** 31 - 1;

/** Holds the process until the result is called, once. */
export function nodeHold(): Cancel {
  const timer = setInterval(() => undefined, FAR_MILLIS);
  return () => clearInterval(timer);
}
