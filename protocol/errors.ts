// One class for every refusal, with a closed set of codes and two questions: may the same request
// be sent again, and may it have had an effect? Broken invariants are not refusals: they crash.

import type { Configuration } from './configuration.ts';
import type { Lsn } from './types.ts';

/**
 * Every code, and whether sending the same request again can succeed without anybody doing
 * something first. docs/api.md explains each one.
 */
export const ERROR_CODES = {
  /** A field is out of its range; the message names it, what was given and what is allowed. */
  INVALID_ARGUMENT: { retryable: false },
  /** No journal of this name or id. */
  NOT_FOUND: { retryable: false },
  ALREADY_EXISTS: { retryable: false },
  /** The position was dropped by a trim; `firstLsn` is the first one left. */
  TRIMMED: { retryable: false },
  /** The position is above the next one. */
  OUT_OF_RANGE: { retryable: false },
  /** `expectTail` or `expectKey` did not hold, judged from committed state. */
  CONDITION_FAILED: { retryable: false },
  /** Another writer has claimed the key since. */
  FENCED: { retryable: false },
  /** The same idempotency key came with other records. */
  IDEMPOTENCY_MISMATCH: { retryable: false },
  /** The writer or sequence is older than what is remembered: outcome cannot be told. */
  STALE_WRITER: { retryable: false },
  /** An earlier append of this writer has not arrived. */
  SEQUENCE_GAP: { retryable: true },
  /** A trim would pass a registered cursor. */
  CURSOR_HOLDS: { retryable: false },
  /** A resume token or position of an older lineage, after a forced loss. */
  LINEAGE_CHANGED: { retryable: false },
  /** More keys, writers, cursors than the journal allows. */
  LIMIT_EXCEEDED: { retryable: false },
  /** This replica is not the head of the newest epoch; `configuration` says who is, if known. */
  NOT_HEAD: { retryable: true },
  /** The request names an epoch that this replica does not know yet, or a stale one. */
  STALE_EPOCH: { retryable: true },
  /** Fewer than `minReplicas` members serve: reads go on, appends wait for a member. */
  UNDER_REPLICATED: { retryable: true },
  /** No member with the whole log is left; appends and reads wait for one, or for force-loss. */
  NO_SURVIVOR: { retryable: true },
  DISK_FULL: { retryable: true },
  /** A bounded queue is full. */
  OVERLOADED: { retryable: true },
  /** Nobody who could answer was reached; nothing was written unless `outcome` says otherwise. */
  UNAVAILABLE: { retryable: true },
  DEADLINE_EXCEEDED: { retryable: true },
  CANCELLED: { retryable: false },
  UNAUTHENTICATED: { retryable: false },
  PERMISSION_DENIED: { retryable: false },
  /** Bytes on a disk do not match their checksum and no peer could repair them. */
  DAMAGED: { retryable: false },
  /** The other side speaks another protocol version or feature level. */
  INCOMPATIBLE: { retryable: false },
  INTERNAL: { retryable: false },
} as const satisfies Record<string, { readonly retryable: boolean }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Facts that go with a code; each is present only where it helps. */
export interface ErrorDetails {
  /** TRIMMED: first position left. */
  readonly firstLsn?: Lsn;
  /** CONDITION_FAILED: last data record; OUT_OF_RANGE: the end. */
  readonly tailLsn?: Lsn;
  /** CONDITION_FAILED on a key: last record tagged with it. FENCED: the token that holds. */
  readonly keyLsn?: Lsn;
  readonly tokenLsn?: Lsn;
  /** CONDITION_FAILED or FENCED on a claimed key: the holder's lease length. */
  readonly leaseMillis?: number;
  /** NOT_HEAD, STALE_EPOCH: the newest configuration that the refusing side knows. */
  readonly configuration?: Configuration;
  /** An append whose outcome is unknown: its number, under which it is there once if sent again. */
  readonly sentAs?: AppendNumber;
}

/** What the log knows an append by where nobody chose a key for it. */
export interface AppendNumber {
  /** 32 hex digits. */
  readonly writer: string;
  /** From 1. */
  readonly sequence: number;
}

/** Whether a failed request may have had an effect: `unknown` only where nobody can say. */
export type Outcome = 'none' | 'unknown';

export class JournalError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: ErrorDetails;
  readonly outcome: Outcome;

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    outcome: Outcome = 'none',
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.name = 'JournalError';
    this.code = code;
    this.retryable = ERROR_CODES[code].retryable;
    this.details = details;
    this.outcome = outcome;
  }
}

/** The same error in other words. */
export function withMessage(error: JournalError, message: string): JournalError {
  const { code, details, outcome } = error;
  return new JournalError(code, message, details, outcome, { cause: error });
}

/** A refusal as a value, as machines and wires carry it. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

export function refusal(code: ErrorCode, message: string, details: ErrorDetails = {}): Refusal {
  return { code, message, details };
}

export function toError(refused: Refusal, outcome: Outcome = 'none'): JournalError {
  return new JournalError(refused.code, refused.message, refused.details, outcome);
}

/** A rule of the protocol that must hold did not: the process stops rather than go on. */
export class InvariantViolation extends Error {
  constructor(rule: string, detail: string) {
    super(`${rule}: ${detail}`);
    this.name = 'InvariantViolation';
  }
}

export function invariant(holds: boolean, rule: string, detail: () => string): asserts holds {
  if (!holds) throw new InvariantViolation(rule, detail());
}

/** Of a journal, by its name or its id, that is no more. */
export const deleted = (journal: string): JournalError =>
  new JournalError('NOT_FOUND', `journal ${journal} was deleted`);

/** The same refusal with what is known of its effect. */
export function withOutcome(error: JournalError, outcome: 'none' | 'unknown'): JournalError {
  if (error.outcome === outcome) return error;
  const { code, message, details } = error;
  return new JournalError(code, message, details, outcome, { cause: error });
}
