// What a campaign for leadership is made of, and what it tells its caller on the way.

import type { Lsn } from '../protocol/types.ts';

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
