// A leader's lease on one key as arithmetic: specs/LeaseKey.tla for one node, action by action.
//
// Time is one node's own monotonic clock; nobody compares clocks. The holder counts its lease from
// when the request was FIRST SENT, the others count from when they LEARNED of it, and wait `slack`
// longer, at least twice the error of one clock over the lease. So they never overlap, and where
// clocks are worse than that, the fence still refuses the stale leader's writes.
//
//     free ──claim answered──▶ token and lease ──lease runs out──▶ token without lease
//      ▲                          ▲        │                           │
//      │                          └────────┴────renewal answered───────┘
//      └──somebody else's claim is learned ─── from any state

import { type Lsn, type Micros, micros, NO_LSN } from '../protocol/types.ts';
import type { KeyAnswer } from '../transport/public.ts';

/** What one node knows: `seen` of the spec is the hook of lead.ts, all else is here. */
export interface Lease {
  /** Last record of the key that is known: `key` of the spec; conditions compare it. */
  readonly keyLsn: Lsn;
  /** When that was learned: now minus this is `wait` of the spec. */
  readonly learnedAt: Micros;
  /** How long its holder asked for when it was written; 0 where nobody holds the key. */
  readonly holderMillis: number;
  /** LSN of the own claim, 0 for none: `tok` of the spec. */
  readonly token: Lsn;
  /** Until when the own lease runs: `left` of the spec is this minus now. */
  readonly endsAt: Micros;
}

const MICROS_A_MILLI = 1_000;

/** Init: nothing is known, and so nothing may be claimed before `learnKey`. */
export function openLease(now: Micros): Lease {
  const none = micros(0);
  return { keyLsn: NO_LSN, learnedAt: now, holderMillis: 0, token: NO_LSN, endsAt: none };
}

/**
 * Ask: a query of the key. It counts from `now`, when the answer came, never from when the record
 * was written. `knownLsn` is the `keyLsn` that was known when the query began: a lower position is
 * older news if another one became known meanwhile. Else the key did fall: it was forgotten, a loss
 * was forced, or the journal was made anew; who claims next must expect it where it is now.
 */
export function learnKey(
  lease: Lease,
  key: Omit<KeyAnswer, 'key'>,
  now: Micros,
  knownLsn: Lsn,
): Lease {
  const { keyLsn, tokenLsn, leaseMillis } = key;
  if (keyLsn < lease.keyLsn && knownLsn !== lease.keyLsn) return lease;
  const own = lease.token !== NO_LSN && tokenLsn === lease.token;
  // A released key has no holder, although the record that says so may be known already.
  const known = keyLsn === lease.keyLsn && leaseMillis === lease.holderMillis;
  return {
    keyLsn,
    learnedAt: known ? lease.learnedAt : now,
    holderMillis: leaseMillis,
    token: own ? lease.token : NO_LSN,
    endsAt: own ? lease.endsAt : micros(0),
  };
}

/** The guard of Send(claim): D + Slack after what is known of the key was learned. */
export function mayClaimAt(lease: Lease, slackMillis: number): Micros {
  if (lease.holderMillis === 0) return lease.learnedAt;
  return micros(lease.learnedAt + (lease.holderMillis + slackMillis) * MICROS_A_MILLI);
}

/**
 * Answer of an own claim or renewal at `at`, first sent at `sentAt`: the lease runs from `sentAt`,
 * however long the answer took and however often it was sent again.
 */
export function granted(
  lease: Lease,
  request: { readonly kind: 'claim' | 'renew'; readonly sentAt: Micros; readonly millis: number },
  at: Lsn,
): Lease {
  if (at < lease.keyLsn) return lease;
  const endsAt = request.sentAt + request.millis * MICROS_A_MILLI;
  return {
    keyLsn: at,
    // The record is our own: nobody else's lease hangs on when it was learned.
    learnedAt: request.sentAt,
    holderMillis: request.millis,
    token: request.kind === 'claim' ? at : lease.token,
    endsAt: micros(Math.max(endsAt, lease.endsAt)),
  };
}

/**
 * Observe: the own claim was found in the log after its answer was lost. The token is ours, the
 * lease is not: when the claim was sent may be forgotten, so the next renewal's answer gives it.
 */
export function foundOwnClaim(lease: Lease, token: Lsn): Lease {
  return { ...lease, token, endsAt: micros(0) };
}

/** Serving, but for what it has applied: it has the token and its lease still runs. */
export function holds(lease: Lease, now: Micros): boolean {
  return lease.token !== NO_LSN && now < lease.endsAt;
}

/** Renewals go out when a third of the lease is gone, so that two may be lost. */
export const renewAt = (sentAt: Micros, leaseMillis: number): Micros =>
  micros(sentAt + Math.floor((leaseMillis * MICROS_A_MILLI) / 3));

/** Slack by default: one clock is taken to be off by at most 1 % over a lease, or by 25 ms. */
export const defaultSlackMillis = (leaseMillis: number): number =>
  Math.ceil(Math.max(50, leaseMillis * 0.02));
