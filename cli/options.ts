// Reads flags: numbers, sizes, durations, positions and times, each refusal naming what is allowed.

import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { From } from '../client/index.ts';
import { KEY_BYTES_LIMIT } from '../protocol/configuration.ts';
import { type Lsn, lsn, type Micros, micros, NUMBER_MAX } from '../protocol/types.ts';
import { type Format, UsageError } from './output.ts';

/** Commander puts the flag and what was given in front of the message. */
const refuse = (allowed: string): never => {
  throw new InvalidArgumentError(`Allowed is ${allowed}.`);
};

/** A whole number in a range, for an option or an argument. */
export function wholeNumber(min: number, max: number = NUMBER_MAX): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      return refuse(`a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

const anyWhole = wholeNumber(0);

/** A position; 0 where "none" makes sense. */
export const lsnOption = (text: string): Lsn => lsn(anyWhole(text));

export const positiveLsnOption = (text: string): Lsn => lsn(wholeNumber(1)(text));

const UNIT_MILLIS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `250ms`, `5s`, `10m`, `12h` or `7d`; undefined where it is no duration. */
function durationMillis(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const millis = unit === undefined ? undefined : UNIT_MILLIS[unit];
  return millis === undefined ? undefined : Math.round(Number(amount) * millis);
}

const DURATION_ALLOWED = 'a number with a unit of ms, s, m, h or d, such as 250ms, 5s or 7d';

/** A duration of `min` to `max` milliseconds. */
export function duration(min = 1, max: number = NUMBER_MAX): (text: string) => number {
  return (text) => {
    const millis = durationMillis(text);
    if (millis === undefined) return refuse(DURATION_ALLOWED);
    if (millis < min) return refuse(`at least ${min}ms`);
    if (millis > max) return refuse(`at most ${max}ms`);
    return millis;
  };
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const SIZE_ALLOWED = 'a whole number with a unit of B, KiB, MiB, GiB or TiB, such as 100GiB';

function sizeBytes(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,15})(|B|KiB|MiB|GiB|TiB)$/.exec(text) ?? [];
  const bytes = unit === undefined ? undefined : UNIT_BYTES[unit];
  const whole = bytes === undefined ? Number.NaN : Number(amount) * bytes;
  return Number.isSafeInteger(whole) ? whole : undefined;
}

export function size(min: number, max: number = NUMBER_MAX): (text: string) => number {
  return (text) => {
    const bytes = sizeBytes(text);
    if (bytes === undefined) return refuse(SIZE_ALLOWED);
    if (bytes < min || bytes > max) return refuse(`from ${min} to ${max} bytes`);
    return bytes;
  };
}

export interface Retention {
  readonly retainMillis?: number;
  readonly retainBytes?: number;
}

/** `7d` or `100GiB`; given twice, both hold. */
export function retention(text: string, before: Retention = {}): Retention {
  const retainMillis = durationMillis(text);
  if (retainMillis !== undefined && retainMillis > 0) return { ...before, retainMillis };
  const retainBytes = /[a-zA-Z]$/.test(text) ? sizeBytes(text) : undefined;
  if (retainBytes !== undefined && retainBytes > 0) return { ...before, retainBytes };
  return refuse('an age such as 7d or a size such as 100GiB, above 0');
}

const TIME =
  /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9}))?(Z|z|[+-]\d{2}:\d{2})?)?$/;

/** Microseconds of an RFC 3339 time, or of a date or a time without a zone, which are UTC. */
export function timeMicros(text: string): Micros | undefined {
  const [whole, date, time = '00:00:00', fraction = '', offset = 'Z'] = TIME.exec(text) ?? [];
  if (whole === undefined || date === undefined) return undefined;
  const seconds = time.length === 5 ? `${time}:00` : time;
  const millis = Date.parse(`${date}T${seconds}${offset.toUpperCase()}`);
  // Date takes the 31st of a short month for the 1st of the next.
  const sameDay = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(millis) || Number.isNaN(sameDay.getTime()) || millis < 0) return undefined;
  if (sameDay.toISOString().slice(0, 10) !== date) return undefined;
  const since1970 = millis * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
  return since1970 > NUMBER_MAX ? undefined : micros(since1970);
}

/** UTC with microseconds: `2026-01-02T03:04:05.678901Z`. */
export function formatTime(time: number): string {
  const seconds = Math.floor(time / 1e6);
  const fraction = String(time - seconds * 1e6).padStart(6, '0');
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** `first`, `next`, a position or a time. */
export function startPosition(text: string): From {
  if (text === 'first' || text === 'next') return text;
  if (/^\d+$/.test(text)) return positiveLsnOption(text);
  const time = timeMicros(text);
  if (time !== undefined) return { timeMicros: time };
  return refuse(
    `first, next, an LSN from 1 to ${NUMBER_MAX}, or a time such as 2026-01-31T12:00:00Z`,
  );
}

export interface KeyAt {
  readonly key: string;
  readonly lsn: Lsn;
}

/** `KEY=LSN`: the last `=` parts them, so a key may hold one. */
export function keyAt(text: string): KeyAt {
  const at = text.lastIndexOf('=');
  const number = text.slice(at + 1);
  if (at < 1 || !/^\d+$/.test(number)) {
    return refuse(`KEY=LSN, where LSN is a whole number from 0 to ${NUMBER_MAX}`);
  }
  return { key: keyOption(text.slice(0, at)), lsn: lsnOption(number) };
}

export function keyOption(text: string): string {
  if (!isKey(text)) refuse(`a key of 1 to ${KEY_BYTES_LIMIT} bytes`);
  return text;
}

export function isKey(text: string): boolean {
  const bytes = Buffer.byteLength(text);
  return bytes >= 1 && bytes <= KEY_BYTES_LIMIT;
}

/** The one output format that the flags ask for. */
export function formatOf(flags: {
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly raw0?: boolean;
}): Format {
  const asked: Format[] = [];
  if (flags.json) asked.push('json');
  if (flags.raw) asked.push('raw');
  if (flags.raw0) asked.push('raw0');
  if (asked.length > 1) {
    const given = asked.map((format) => `--${format}`).join(' and ');
    throw new UsageError(`${given} contradict each other, allowed is one of them`);
  }
  return asked[0] ?? 'text';
}

/** A command that shows an example, and refuses arguments that it does not know. */
export function command(nameAndArguments: string, about: string, ...examples: string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join('\n');
  const [name, ...expected] = nameAndArguments.split(' ');
  const made = new Command(name).description(about).allowExcessArguments(false);
  made.summary(about.replace(/[.:;](?:\s.*)?$/s, ''));
  for (const one of expected) made.argument(one);
  if (examples.length > 0) made.addHelpText('after', `\nExample:\n${lines}`);
  return made;
}

/** A word that others follow: its help shows one of them at work. */
export function commandGroup(name: string, about: string, example: string): Command {
  return new Command(name).description(about).addHelpText('after', `\nExample:\n  ${example}`);
}

export const jsonOption = (): Option =>
  new Option('--json', 'JSON, one object a line; errors as JSON too');

/** The text of a file that a flag names. */
export function readNamedFile(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${flag} is ${JSON.stringify(path)}, allowed is a readable file: ${why}`);
  }
}
