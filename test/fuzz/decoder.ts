// What a decoder is to the fuzzer, and what it may do with bytes that nobody vouches for.

import { DiskError } from '../../io/disk.ts';
import { JournalError } from '../../protocol/errors.ts';
import { RangeViolation } from '../../protocol/types.ts';

export interface Decoder {
  readonly name: string;
  /** Whole and good inputs: where mutations begin. */
  readonly seeds: () => readonly Uint8Array[];
  /** Gives anything or throws a refusal. */
  readonly decode: (bytes: Uint8Array) => unknown;
  /** Makes the checksums right again, so that mutations get behind them. */
  readonly repair?: (bytes: Buffer) => void;
  /** The same input with its JSON changed, lengths and all, where JSON lies in it. */
  readonly withJson?: (bytes: Buffer, change: (json: Buffer) => Buffer) => Buffer;
}

/** Where all of an input is JSON. */
export const allJson = (bytes: Buffer, change: (json: Buffer) => Buffer): Buffer => change(bytes);

/** Errors by which a decoder says no; all others are faults of its own. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof JournalError) return error.code !== 'INTERNAL';
  if (error instanceof RangeViolation || error instanceof DiskError) return true;
  return REFUSALS.has(error instanceof Error ? error.name : '');
}

/** Each is shown to whoever typed or wrote the input, with the place or the flag. */
const REFUSALS: ReadonlySet<string> = new Set([
  'CommanderError',
  'InvalidArgumentError',
  'SettingError',
  'UsageError',
  'YAMLException',
]);

/** What came of an input, without what differs from one to the next: new ones are worth keeping. */
export function signature(outcome: unknown, threw: boolean): string {
  if (!threw) return `ok ${shapeOf(outcome)}`;
  return String(outcome)
    .replace(/ is .*(?=, allowed)/s, ' is #')
    .replace(/"(?:[^"\\]|\\.)*"|'[^']*'|[0-9a-f]{8,}|\d+/g, '#')
    .slice(0, 120);
}

function shapeOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.length === 0 ? '' : shapeOf(value[0])}]`;
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value !== 'object' || value === null) return typeof value;
  if ('kind' in value && typeof value.kind === 'string') return value.kind;
  return Object.keys(value).slice(0, 4).join();
}
