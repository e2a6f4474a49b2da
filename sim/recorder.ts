// Writes down what clients ask and are answered, as checkers read it: in the simulated world, and
// beside real processes (test/processes/load.ts).

import { JournalError } from '../protocol/errors.ts';
import type { JournalRecord } from '../transport/public.ts';
import type {
  AppendOperation,
  CursorOperation,
  LedOperation,
  Operation,
  Refused,
  SeenRecord,
  TrimOperation,
} from './checkers/history.ts';

/** Keys that only `lead` uses: their records are written by the client itself. */
export const LEASE_KEY_PREFIX = 'lead-';

const decoder = new TextDecoder();

export class Recorder {
  readonly operations: Operation[] = [];
  /** Turns of the loops of the clients, as they began: `w1/0/17` is one of the first loop of w1. */
  readonly turns: string[] = [];
  /** What a client threw that is no refusal, and the like: each one fails the run. */
  readonly surprises: string[] = [];
  /** Appends that were acknowledged: progress. */
  acknowledged = 0;
  readonly #clock: { readonly now: number };

  /** Its `now` are microseconds of the one clock that the history is told in. */
  constructor(clock: { readonly now: number }) {
    this.#clock = clock;
  }

  get now(): number {
    return this.#clock.now;
  }

  /** An append that begins: unknown until `answered`, which may never come. */
  append(what: Omit<AppendOperation, 'kind' | 'called' | 'returned' | 'answer'>): Pending {
    const called = this.now;
    const answer: Refused = { kind: 'refused', code: 'UNANSWERED', outcome: 'unknown' };
    const at = this.operations.length;
    const put = (returned: number | null, answered: AppendOperation['answer']): void => {
      this.operations[at] = { ...what, kind: 'append', called, returned, answer: answered };
    };
    put(null, answer);
    return {
      appended: (firstLsn, lastLsn, timestamp) => {
        this.acknowledged += 1;
        put(this.now, { kind: 'appended', firstLsn, lastLsn, timestamp });
      },
      refused: (error) => {
        const refused = this.refusal(error, `${what.process} append`);
        put(this.now, refused);
        return refused;
      },
    };
  }

  /**
   * A trim that begins. It is written down before it is answered: a client that dies meanwhile may
   * have trimmed all the same, and nobody else could say who asked for it.
   */
  trim(what: Pick<TrimOperation, 'process' | 'journal' | 'through' | 'force'>): PendingTrim {
    const called = this.now;
    const at = this.operations.length;
    const put = (returned: number | null, answer: TrimOperation['answer']): void => {
      this.operations[at] = { ...what, kind: 'trim', called, returned, answer };
    };
    put(null, { kind: 'refused', code: 'UNANSWERED', outcome: 'unknown' });
    return {
      trimmed: (firstLsn) => put(this.now, { kind: 'trimmed', firstLsn }),
      refused: (error) => put(this.now, this.refusal(error, `${what.process} trim`)),
    };
  }

  /** A cursor that begins to be set, moved or deleted; written down at once as a trim is. */
  cursor(what: Pick<CursorOperation, 'process' | 'journal' | 'name' | 'lsn'>): PendingCursor {
    const called = this.now;
    const at = this.operations.length;
    const put = (returned: number | null, answer: CursorOperation['answer']): void => {
      this.operations[at] = { ...what, kind: 'cursor', called, returned, answer };
    };
    put(null, { kind: 'refused', code: 'UNANSWERED', outcome: 'unknown' });
    return {
      moved: () => put(this.now, { kind: 'moved' }),
      refused: (error) => put(this.now, this.refusal(error, `${what.process} cursor`)),
    };
  }

  add(operation: Operation): void {
    this.operations.push(operation);
  }

  /** A time as leader that begins; `until` moves its end, on the true clock. */
  led(what: Omit<LedOperation, 'kind' | 'called' | 'returned'>, until: number): Led {
    const called = this.now;
    const at = this.operations.length;
    let end = until;
    const put = (): void => {
      this.operations[at] = { ...what, kind: 'led', called, returned: Math.max(called, end) };
    };
    put();
    return {
      until: (time) => {
        end = time;
        put();
      },
      lost: () => {
        end = Math.min(end, this.now);
        put();
      },
    };
  }

  /** What a client threw, as checkers read it. */
  refusal(error: unknown, who: string): Refused {
    if (!(error instanceof JournalError)) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.surprises.push(`${who} threw what is no JournalError: ${text}`);
      return { kind: 'refused', code: 'SURPRISE', outcome: 'unknown' };
    }
    if (error.code === 'INTERNAL') this.surprises.push(`${who} got INTERNAL: ${error.message}`);
    const { tailLsn, keyLsn, tokenLsn, firstLsn } = error.details;
    const { code, outcome } = error;
    return { kind: 'refused', code, outcome, tailLsn, keyLsn, tokenLsn, firstLsn };
  }
}

export interface Pending {
  appended(firstLsn: number, lastLsn: number, timestamp: number): void;
  refused(error: unknown): Refused;
}

export interface PendingTrim {
  trimmed(firstLsn: number): void;
  refused(error: unknown): void;
}

export interface PendingCursor {
  moved(): void;
  refused(error: unknown): void;
}

export interface Led {
  until(time: number): void;
  lost(): void;
}

/** A record as a reader saw it; those of leases are told apart by their positions. */
export function seen(
  record: Pick<JournalRecord, 'lsn' | 'key' | 'data'> & {
    readonly timestampMicros: number;
  },
): SeenRecord {
  const { lsn, key, timestampMicros: timestamp } = record;
  const data = decoder.decode(record.data);
  return { lsn, timestamp, key, data: isOfLease({ key, data }) ? leaseData(lsn) : data };
}

/**
 * Whether a campaign wrote a record: a claim, a renewal or what gives a lease back. What a leader
 * tags with its own key is a record like any other.
 */
export function isOfLease({ key, data }: Pick<SeenRecord, 'key' | 'data'>): boolean {
  return key?.startsWith(LEASE_KEY_PREFIX) === true && data.startsWith('{');
}

export const leaseData = (lsn: number): string => `lease@${lsn}`;
