// Everything that proposers and acceptors of the registers say to each other. A register is one
// CASPaxos instance: a named value that `change(key, f)` replaces by f(value), in one history.
//
//   proposer ──prepare b──▶ acceptors     promise: nothing below b is accepted any more
//            ◀──promise──                 with the value that was accepted last, and its ballot
//   f(value of the highest accepted ballot)
//            ──accept b,v─▶               durable before it is answered
//            ◀─accepted──                 a majority: v is chosen
//
// Acceptors come in sets. A set is replaced by deciding its successor in its own register
// `acceptors`, sealing a majority of it, and installing the merged registers in the successor
// (acceptor-set.ts). Every request names the set that it is meant for.

/** What orders proposals of one key: round first, then proposer. Never used twice for one key. */
export interface Ballot {
  /** From 1; 0 in `NO_BALLOT` alone. */
  readonly round: number;
  /** Store id and start nonce of the proposing process: no two starts share one. */
  readonly proposer: string;
}

export const NO_BALLOT: Ballot = { round: 0, proposer: '' };

/** Negative, 0 or positive as `one` is lower, the same or higher. */
export function compareBallots(one: Ballot, other: Ballot): number {
  if (one.round !== other.round) return one.round - other.round;
  if (one.proposer === other.proposer) return 0;
  return one.proposer < other.proposer ? -1 : 1;
}

export const higherBallot = (one: Ballot, other: Ballot): Ballot =>
  compareBallots(one, other) >= 0 ? one : other;

/** One register as one acceptor has it. `value` is null until something was accepted. */
export interface RegisterState {
  /** Nothing below this is accepted. */
  readonly promised: Ballot;
  /** Ballot of `value`; never above `promised`. */
  readonly accepted: Ballot;
  readonly value: string | null;
}

export const EMPTY_REGISTER: RegisterState = {
  promised: NO_BALLOT,
  accepted: NO_BALLOT,
  value: null,
};

/** The registers of one acceptor, by key. */
export type Dump = readonly { readonly key: string; readonly state: RegisterState }[];

/** One place in a set. */
export interface Seat {
  /** Label that people chose, unique within the set. */
  readonly id: string;
  /** Store of the acceptor: another one must not answer. Empty: bound by the first start nonce. */
  readonly store: string;
  /** `host:port` */
  readonly address: string;
}

/** 1, 3 or 5 acceptors; every version is decided by the one before it. */
export interface AcceptorSet {
  /** The same for all versions; another one after the controllers were lost and rebuilt. */
  readonly id: string;
  /** From 1. */
  readonly version: number;
  readonly seats: readonly Seat[];
}

/** How a request names the set that it is meant for. */
export type SetName = Pick<AcceptorSet, 'id' | 'version'>;

/** The register in which a set decides its own successor; its value is an `AcceptorSet` as JSON. */
export const ACCEPTORS_KEY = 'acceptors';

export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;

export const sameSet = (one: SetName, other: SetName): boolean =>
  one.id === other.id && one.version === other.version;

export type AcceptorRequest =
  | {
      readonly kind: 'prepare';
      readonly set: SetName;
      readonly key: string;
      readonly ballot: Ballot;
    }
  | {
      readonly kind: 'accept';
      readonly set: SetName;
      readonly key: string;
      readonly ballot: Ballot;
      readonly value: string | null;
    }
  /** One register as it is: a majority of equal ones is a linearizable read. */
  | { readonly kind: 'read'; readonly set: SetName; readonly key: string }
  /** Keys that were ever asked for and begin with `prefix`. */
  | { readonly kind: 'keys'; readonly set: SetName; readonly prefix: string }
  /** Serve `set` no more; `next` was decided to follow it. */
  | { readonly kind: 'seal'; readonly set: SetName; readonly next: AcceptorSet }
  /** Serve `next` from these registers: merged from a majority of the set before it, or a copy. */
  | { readonly kind: 'install'; readonly next: AcceptorSet; readonly registers: Dump }
  /** All registers, for a late member of the set that this acceptor serves. */
  | { readonly kind: 'copy'; readonly set: SetName };

export type AcceptorAnswer =
  | { readonly kind: 'promise'; readonly accepted: Ballot; readonly value: string | null }
  | { readonly kind: 'accepted' }
  /** The ballot is not above (prepare) or is below (accept) this one. */
  | { readonly kind: 'nack'; readonly promised: Ballot }
  | { readonly kind: 'state'; readonly state: RegisterState }
  | { readonly kind: 'keys'; readonly keys: readonly string[] }
  /** What a sealed acceptor repeats for ever. */
  | { readonly kind: 'sealed'; readonly next: AcceptorSet; readonly registers: Dump }
  | { readonly kind: 'installed' }
  | { readonly kind: 'copied'; readonly set: AcceptorSet; readonly registers: Dump }
  /** The request's set is not served here; `newer` is a set to try, where one is known. */
  | { readonly kind: 'wrongSet'; readonly newer: AcceptorSet | null; readonly reason: string };
