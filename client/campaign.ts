// What a campaign for leadership is made of, what it tells its caller on the way, and what it wins.

import { JournalError } from '../protocol/errors.ts';
import type { JournalId, Lsn } from '../protocol/types.ts';
import type { Fence } from './input.ts';

export type LeadEvent =
  /** Somebody holds the key: it may be claimed in `waitMillis`, unless it is renewed. */
  | { readonly kind: 'waiting'; readonly keyLsn: Lsn; readonly waitMillis: number }
  | { readonly kind: 'claimed'; readonly token: Lsn }
  | { readonly kind: 'renewed'; readonly remainingMillis: number }
  | { readonly kind: 'lost'; readonly token: Lsn; readonly reason: LossReason };

export type LossReason = 'expired' | 'fenced' | 'released' | 'closed';

export interface Campaign {
  readonly journal: string;
  readonly key: string;
  /** Written into the claim, for people to read. */
  readonly node: string;
  readonly leaseMillis: number;
  readonly slackMillis: number;
  /** The campaign ends where nobody could be asked for so long. */
  readonly timeoutMillis: number;
  /** Leadership counts as lost this long before the lease ends, so that work can still stop. */
  readonly marginMillis: number;
  readonly signal: AbortSignal;
  /** Resolves once the caller has applied the log up to its claim: before that it leads nothing. */
  readonly applied: ((token: Lsn, lost: AbortSignal) => Promise<void>) | undefined;
  readonly onEvent: ((event: LeadEvent) => void) | undefined;
}

/**
 * Where a claim is made. Positions begin anew in a journal that is made under the name of a deleted
 * one, and after a forced loss: the same number is another record there, and no claim of ours.
 */
export interface Home {
  readonly journal: JournalId;
  readonly lineage: number;
}

/** What keeps a claim that was won. */
interface Holding {
  readonly lost: AbortSignal;
  remainingMillis(): number;
  release(): Promise<void>;
}

/** Leadership of a key, won and kept until `lost` aborts. */
export class Leadership implements AsyncDisposable {
  /** LSN of the claim: pass it as `fence: {key, token}` with every append that a leader makes. */
  readonly token: Lsn;
  readonly key: string;
  readonly #home: Home;
  readonly #holder: Holding;

  constructor(key: string, token: Lsn, home: Home, holder: Holding) {
    this.key = key;
    this.token = token;
    this.#home = home;
    this.#holder = holder;
  }

  /** Aborts once and for good when leadership is over; its reason is a JournalError. */
  get lost(): AbortSignal {
    return this.#holder.lost;
  }

  /** Milliseconds that the lease still runs by this node's clock; 0 when it is over. */
  remainingMillis(): number {
    return this.#holder.remainingMillis();
  }

  /** What to pass to `append`. */
  get fence(): Fence {
    const { lineage, journal } = this.#home;
    return { key: this.key, token: this.token, lineage, journalId: journal };
  }

  /** Gives the key back, so that the next leader need not wait for the lease to end. */
  release(): Promise<void> {
    return this.#holder.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

export function cancelled({ key, signal }: Campaign): JournalError {
  const options = { cause: signal.reason };
  return new JournalError(
    'CANCELLED',
    `the campaign for "${key}" was cancelled`,
    {},
    'none',
    options,
  );
}
