// Waiting that always ends: deadlines, sleeps and back-off over the clock that is passed in.

import type { Cancel, Clock } from '../io/clock.ts';
import type { Random } from '../io/random.ts';
import { type ErrorCode, JournalError, type Outcome } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';

const MICROS_A_MILLI = 1_000;

/** Back-off: the first wait is at most this, the longest at most `BACKOFF_MICROS_MAX`. */
export const BACKOFF_MICROS_FIRST = 25_000;
export const BACKOFF_MICROS_MAX = 1_000_000;
/** Refusals that say whom else to ask: of no use to the caller. */
export const ROUTING_CODES: ReadonlySet<ErrorCode> = new Set([
  'NOT_HEAD',
  'STALE_EPOCH',
  'SEQUENCE_GAP',
]);
const BACKOFF_GROWTH = 1.6;
/** Refusals that say how the journal is, not how the replica is that was asked. */
const TELLING_CODES: ReadonlySet<ErrorCode> = new Set([
  'NO_SURVIVOR',
  'UNDER_REPLICATED',
  'DISK_FULL',
]);
const SILENT_CODES: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
]);

/** Which of two refusals the caller should hear of: what came last, unless it says less. */
export function moreTelling(before: JournalError | undefined, error: JournalError): JournalError {
  if (before === undefined) return error;
  if (ROUTING_CODES.has(error.code)) return before;
  return TELLING_CODES.has(before.code) && SILENT_CODES.has(error.code) ? before : error;
}

export const fromMillis = (millis: number): Micros => micros(Math.ceil(millis * MICROS_A_MILLI));

/** How long to wait before try number `attempt` (from 0); `fraction` in [0, 1) is the jitter. */
export function backoffMicros(attempt: number, fraction: number): Micros {
  const grown = BACKOFF_MICROS_FIRST * BACKOFF_GROWTH ** Math.min(attempt, 32);
  const most = Math.min(grown, BACKOFF_MICROS_MAX);
  return micros(Math.ceil(most * (0.5 + fraction / 2)));
}

/** The end of a wait: after a time, or when the caller's signal says so. Close it when done. */
export class Deadline {
  readonly #clock: Clock;
  readonly #caller: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #endsAt: number;
  readonly #timeoutMillis: number;
  readonly #cancel: () => void;
  readonly #abort = (): void => this.#controller.abort();

  constructor(clock: Clock, timeoutMillis: number, caller?: AbortSignal | undefined) {
    this.#clock = clock;
    this.#caller = caller;
    this.#timeoutMillis = timeoutMillis;
    const timeout = fromMillis(timeoutMillis);
    this.#endsAt = clock.now() + timeout;
    this.#cancel = clock.after(timeout, this.#abort);
    if (caller?.aborted === true) this.#abort();
    else caller?.addEventListener('abort', this.#abort, { once: true });
  }

  /** Aborted at the deadline, or with the caller's signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  over(): boolean {
    return this.#controller.signal.aborted || this.#clock.now() >= this.#endsAt;
  }

  /** At least one microsecond, so that it can be a timeout. */
  remaining(): Micros {
    return micros(Math.max(1, this.#endsAt - this.#clock.now()));
  }

  /** Why waiting for `what` ended here; the last refusal says more than the time does. */
  error(what: string, last: JournalError | undefined, outcome: Outcome): JournalError {
    if (this.#caller?.aborted === true) {
      const cause: unknown = this.#caller.reason;
      return new JournalError('CANCELLED', `${what} was cancelled`, {}, outcome, { cause });
    }
    const spent = `${what} gave up after ${this.#timeoutMillis} ms`;
    // A try that was cancelled was cut off by this very deadline.
    if (last === undefined || last.code === 'CANCELLED') {
      return new JournalError('DEADLINE_EXCEEDED', spent, {}, outcome);
    }
    const code = ROUTING_CODES.has(last.code) ? 'UNAVAILABLE' : last.code;
    const message = `${spent}: ${last.message}`;
    return new JournalError(code, message, last.details, outcome, { cause: last });
  }

  close(): void {
    this.#cancel();
    this.#caller?.removeEventListener('abort', this.#abort);
  }
}

/** Resolves after `delay`, or at once when `signal` aborts: the caller looks at it. */
export function sleep(clock: Clock, delay: Micros, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delay, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

export function backOff(
  world: { readonly clock: Clock; readonly random: Random },
  attempt: number,
  signal: AbortSignal,
): Promise<void> {
  return sleep(world.clock, backoffMicros(attempt, world.random.fraction()), signal);
}

/**
 * What keeps the process running while somebody waits. A subscription that was left in the middle
 * never says that it is over: closing the client lets go of all of them.
 */
export class Holds {
  readonly #hold: () => Cancel;
  readonly #held = new Set<Cancel>();
  #over = false;

  constructor(hold: () => Cancel) {
    this.#hold = hold;
  }

  /** The result lets go. */
  take(): Cancel {
    if (this.#over) return () => undefined;
    const release = this.#hold();
    this.#held.add(release);
    return () => {
      if (this.#held.delete(release)) release();
    };
  }

  close(): void {
    this.#over = true;
    for (const release of this.#held) release();
    this.#held.clear();
  }
}

export type Waited<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'aborted' };

/** What `promise` gives, unless `signal` aborts first; what it then still gives is dropped. */
export function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Waited<Value>> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => resolve({ kind: 'aborted' });
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    promise
      .then((value) => resolve({ kind: 'value', value }), reject)
      .finally(() => signal.removeEventListener('abort', aborted));
  });
}

/** Whatever was caught, as the one class that this package throws. */
export function asJournalError(error: unknown): JournalError {
  if (error instanceof JournalError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new JournalError('INTERNAL', message, {}, 'unknown', { cause: error });
}
