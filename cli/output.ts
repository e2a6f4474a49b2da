// What a command writes and how it ends: data on stdout, the rest on stderr, a code a meaning.

import type { Writable } from 'node:stream';
import { CommanderError } from 'commander';
import { type ErrorCode, type ErrorDetails, JournalError } from '../protocol/errors.ts';
import { RangeViolation } from '../protocol/types.ts';

/** Every exit code of the tool; `lead` otherwise ends with the code of the command that it ran. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  conditionNotMet: 3,
  outcomeUnknown: 4,
  unavailable: 5,
  notFound: 6,
  damaged: 7,
  leadershipLost: 75,
  /** By ^C, where something was left undone: 128 + SIGINT. */
  interrupted: 130,
  /** By SIGTERM, likewise: 128 + 15. */
  terminated: 143,
} as const;

/** What `--help` says of them. */
export const EXIT_CODES = `Exit codes:
  0 done                      4 outcome unknown, stderr says how to go on
  1 other failure             5 unavailable, nothing written
  2 wrong usage               6 not found or trimmed
  3 condition not met, fenced 7 damaged`;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** ^C or SIGTERM: the command ended what it could, and says no more. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(`ended by ${signal}`);
    this.exitCode = signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
  }
}

/** How records are written: columns, JSON, or their bytes with a newline or a NUL after. */
export type Format = 'text' | 'json' | 'raw' | 'raw0';

/** The command line asks for what cannot be; the message names field, given and allowed. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An append that ended before its input did: what is acknowledged, and how to go on. */
export class AppendStopped extends Error {
  override readonly name = 'AppendStopped';
  readonly reason: JournalError;
  readonly facts: AppendFacts;

  constructor(message: string, reason: JournalError, facts: AppendFacts) {
    super(message, { cause: reason });
    this.reason = reason;
    this.facts = facts;
  }
}

export interface AppendFacts {
  readonly exitCode: ExitCode;
  /** Under which the same command duplicates nothing; null where running it again is no use. */
  readonly idempotencyKey: string | null;
  readonly acknowledged: { readonly records: number; readonly lastLsn: number };
}

/** A failure as it is shown: the same facts in text and in JSON. */
export interface Failure {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

const EXIT_BY_CODE: Partial<Readonly<Record<ErrorCode, ExitCode>>> = {
  INVALID_ARGUMENT: EXIT.usage,
  OUT_OF_RANGE: EXIT.usage,
  CONDITION_FAILED: EXIT.conditionNotMet,
  FENCED: EXIT.conditionNotMet,
  STALE_WRITER: EXIT.outcomeUnknown,
  NOT_FOUND: EXIT.notFound,
  TRIMMED: EXIT.notFound,
  DAMAGED: EXIT.damaged,
  SEQUENCE_GAP: EXIT.unavailable,
  NOT_HEAD: EXIT.unavailable,
  STALE_EPOCH: EXIT.unavailable,
  UNDER_REPLICATED: EXIT.unavailable,
  NO_SURVIVOR: EXIT.unavailable,
  DISK_FULL: EXIT.unavailable,
  OVERLOADED: EXIT.unavailable,
  UNAVAILABLE: EXIT.unavailable,
  DEADLINE_EXCEEDED: EXIT.unavailable,
  // ^C is an Interrupted: here it was a deadline that cancelled a request.
  CANCELLED: EXIT.unavailable,
};

/** The exit code for a refusal: an unknown outcome outweighs every code. */
export function exitCodeOf(error: JournalError): ExitCode {
  if (error.outcome === 'unknown') return EXIT.outcomeUnknown;
  return EXIT_BY_CODE[error.code] ?? EXIT.failed;
}

/** Whether asking again may help: a request that a deadline cut off may end as CANCELLED. */
export const isPassing = (error: unknown): boolean =>
  error instanceof JournalError && (error.retryable || error.code === 'CANCELLED');

/** Turns whatever was thrown into what is shown. */
export function failureOf(error: unknown): Failure {
  const plain = { retryable: false, details: {} };
  if (error instanceof AppendStopped) {
    const { exitCode, idempotencyKey, acknowledged } = error.facts;
    const outcome = exitCode === EXIT.outcomeUnknown ? 'unknown' : 'none';
    const { code, retryable } = error.reason;
    const key = idempotencyKey === null ? {} : { idempotencyKey };
    const details = { outcome, ...shownDetails(error.reason.details), acknowledged, ...key };
    return { exitCode, code, message: error.message, retryable, details };
  }
  if (error instanceof JournalError) {
    return {
      exitCode: exitCodeOf(error),
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      details: { outcome: error.outcome, ...shownDetails(error.details) },
    };
  }
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, '');
    return { ...plain, exitCode: EXIT.usage, code: 'INVALID_ARGUMENT', message };
  }
  if (error instanceof UsageError || error instanceof RangeViolation) {
    const { message } = error;
    return { ...plain, exitCode: EXIT.usage, code: 'INVALID_ARGUMENT', message };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { ...plain, exitCode: EXIT.failed, code: 'INTERNAL', message };
}

/** A configuration is for machines: who reads an error needs its numbers only. */
function shownDetails(details: ErrorDetails): Readonly<Record<string, unknown>> {
  const { configuration: _left, ...shown } = details;
  return shown;
}

/** Writes a failure of `program` to stderr, in the form that the caller reads. */
export function reportFailure(failure: Failure, program: string, json: boolean): void {
  const { code, message, retryable, details } = failure;
  if (json) {
    note(JSON.stringify({ error: { code, message, retryable, ...details } }));
    return;
  }
  note(`${program}: ${message}`);
  for (const line of furtherLines(details)) note(`  ${line}`);
}

function furtherLines(details: Failure['details']): string[] {
  const lines: string[] = [];
  const { idempotencyKey, acknowledged } = details;
  if (isAcknowledged(acknowledged)) {
    const { records, lastLsn } = acknowledged;
    const through = records === 0 ? '' : `, through LSN ${lastLsn}`;
    lines.push(`acknowledged: ${records} ${records === 1 ? 'record' : 'records'}${through}`);
  }
  if (typeof idempotencyKey === 'string') {
    lines.push('to finish without duplicates, run the same command with');
    lines.push(`--idempotency-key ${idempotencyKey}`);
  }
  return lines;
}

function isAcknowledged(value: unknown): value is AppendFacts['acknowledged'] {
  return typeof value === 'object' && value !== null && 'records' in value && 'lastLsn' in value;
}

/** A line for people: stderr, never data. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Whether progress may be drawn: only for eyes. */
export const showsProgress = (): boolean => process.stderr.isTTY === true;

/** Draws over the last progress line; '' clears it. */
export function progress(line: string): void {
  if (showsProgress()) process.stderr.write(`\r\u001b[K${line}`);
}

const FLUSH_BYTES = 64 * 1024;
/** What a write that is stuck has left once the command was told to end. */
const GRACE_MILLIS = 500;

/**
 * Data on its way to stdout. Writes gather until 64 KiB or until the event loop turns. One is under
 * way at a time, and whoever writes meanwhile waits for it, so that a slow reader holds the command
 * up and fills no memory. A reader that went away is no error: `open` tells, and what is written
 * afterwards is dropped. After any other failure, such as a full disk, `write` and `flush` reject.
 */
export class Output {
  #pieces: (string | Uint8Array)[] = [];
  #bytes = 0;
  #open = true;
  #failure: unknown = null;
  #scheduled = false;
  #underWay: Promise<void> | null = null;
  #release: () => void = () => {};
  #hurried: NodeJS.Timeout | null = null;
  readonly #closed = new AbortController();
  readonly #stopping: AbortSignal | undefined;
  readonly #stream: Writable;

  /** Once `stopping` aborts, a write that is stuck rejects with its reason. */
  constructor(stopping?: AbortSignal, stream: Writable = process.stdout) {
    this.#stopping = stopping;
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => this.#refused(error));
    stopping?.addEventListener('abort', () => this.#hurry(), { once: true });
  }

  /** False once the reader went away, or nothing can be written for another reason. */
  get open(): boolean {
    return this.#open;
  }

  /** Aborted once `open` is false: there is nobody left to read for. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Rejects with why nothing can be written, unless the reader went away. */
  async write(...pieces: readonly (string | Uint8Array)[]): Promise<void> {
    if (!this.#open) return this.flush();
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#underWay !== null || this.#bytes >= FLUSH_BYTES) return this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      // What fails here is told to whoever writes or flushes next.
      this.flush().catch(() => undefined);
    });
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value));
  }

  /** Resolves when everything before is with the system, or nobody is left to read it. */
  async flush(): Promise<void> {
    while (this.#underWay !== null || this.#bytes > 0) await (this.#underWay ?? this.#begin());
    if (this.#failure !== null) throw this.#failure;
  }

  #begin(): Promise<void> {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    const whole = pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece));
    const underWay = new Promise<void>((resolve) => {
      this.#release = resolve;
      this.#stream.write(Buffer.concat(whole), (error) => {
        if (error) this.#refused(error);
        this.#underWay = null;
        resolve();
      });
    });
    this.#underWay = underWay;
    this.#hurry();
    return underWay;
  }

  /** A reader that is stuck must not hold a command that was told to end. */
  #hurry(): void {
    if (this.#stopping?.aborted !== true || this.#underWay === null) return;
    this.#hurried ??= setTimeout(() => {
      this.#hurried = null;
      if (this.#underWay !== null) this.#end(this.#stopping?.reason);
    }, GRACE_MILLIS);
  }

  #refused(error: NodeJS.ErrnoException): void {
    const why = `stdout cannot be written: ${error.message}`;
    this.#end(error.code === 'EPIPE' ? null : new Error(why, { cause: error }));
  }

  #end(failure: unknown): void {
    if (!this.#open) return;
    this.#open = false;
    this.#failure = failure;
    this.#pieces = [];
    this.#bytes = 0;
    this.#underWay = null;
    this.#release();
    this.#closed.abort();
  }
}
