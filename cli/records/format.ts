// Records as the tool writes them: columns, JSON lines, or their very bytes.

import { shown } from '../../protocol/fields.ts';
import { NUMBER_MAX } from '../../protocol/types.ts';
import type { JournalRecord, NewRecord } from '../../transport/public.ts';
import { formatTime } from '../options.ts';
import { type Format, UsageError } from '../output.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text that the bytes are in UTF-8, or undefined where they are none. */
export function textOf(data: Uint8Array): string | undefined {
  try {
    return utf8.decode(data);
  } catch {
    return undefined;
  }
}

const NEWLINE = Buffer.from('\n');
const NUL = Buffer.from([0]);

/** The pieces to write for one record. */
export function formatRecord(record: JournalRecord, format: Format): (string | Uint8Array)[] {
  switch (format) {
    case 'json':
      return [`${JSON.stringify(recordJson(record))}\n`];
    case 'raw':
      return [record.data, NEWLINE];
    case 'raw0':
      return [record.data, NUL];
    case 'text':
      return [`${record.lsn}\t${formatTime(record.timestampMicros)}\t${printable(record.data)}\n`];
  }
}

export interface RecordJson {
  readonly lsn: number;
  readonly timestampMicros: number;
  readonly key?: string;
  /** Present where the bytes are UTF-8, else `dataBase64` is. */
  readonly data?: string;
  readonly dataBase64?: string;
}

export function recordJson(record: JournalRecord): RecordJson {
  const { lsn, timestampMicros, key, data } = record;
  const text = textOf(data);
  return {
    lsn,
    timestampMicros,
    ...(key === undefined ? {} : { key }),
    ...(text === undefined ? { dataBase64: Buffer.from(data).toString('base64') } : { data: text }),
  };
}

/** The acknowledgement of one record. */
export function formatPosition(lsn: number, timestampMicros: number, json: boolean): string {
  if (json) return `${JSON.stringify({ lsn, timestampMicros })}\n`;
  return `${lsn}\t${formatTime(timestampMicros)}\n`;
}

/** One line for eyes: what would break the line or steer the terminal is escaped. */
function printable(data: Uint8Array): string {
  const text = textOf(data);
  if (text === undefined) {
    const latin = Buffer.from(data).toString('latin1');
    return latin.replace(/[^\x20-\x7e]|\\/g, escaped);
  }
  return text.replace(UNPRINTABLE, escaped);
}

const UNPRINTABLE = /[\p{Cc}\u2028\u2029]/gu;

function escaped(character: string): string {
  if (character === '\t') return '\\t';
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  if (character === '\\') return '\\\\';
  const code = character.charCodeAt(0);
  return code < 256
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Reads a record from a line of JSON, as `--json` writes it: `data` or `dataBase64`, and `key`.
 * What else is there (an LSN and a time, where the line was read from a journal) is left aside.
 */
export function parseRecordJson(line: string, place: string): NewRecord {
  const fields = objectOf(line, place);
  const { key, data, dataBase64 } = fields;
  if (key !== undefined && !isText(key)) throw wrong(place, 'key', key, TEXT_ALLOWED);
  if ((data === undefined) === (dataBase64 === undefined)) {
    const given = data === undefined ? 'neither is there' : 'both are there';
    throw new UsageError(`${place}: ${given}, allowed is either data or dataBase64`);
  }
  const named = key === undefined ? {} : { key };
  if (data !== undefined) {
    if (!isText(data)) throw wrong(place, 'data', data, TEXT_ALLOWED);
    return { ...named, data: Buffer.from(data) };
  }
  if (typeof dataBase64 !== 'string' || !BASE64.test(dataBase64)) {
    throw wrong(place, 'dataBase64', dataBase64, 'a string in base64 with padding');
  }
  return { ...named, data: Buffer.from(dataBase64, 'base64') };
}

const TEXT_ALLOWED = 'a string without lone surrogates';

/** JSON can escape half a surrogate pair, for which UTF-8 has no bytes. */
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.isWellFormed();

/** The fields of a JSON object, still to be checked one by one. */
export function objectOf(line: string, place: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${place} is no JSON, allowed is one object a line: ${why}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(place, 'the line', value, 'an object');
  }
  return { ...value };
}

/** A field that must be a whole number. */
export function numberField(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  place: string,
): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw wrong(place, name, value, `a whole number from 0 to ${NUMBER_MAX}`);
  }
  return value;
}

export function wrong(place: string, field: string, given: unknown, allowed: string): UsageError {
  const value = given === undefined ? 'missing' : shown(given);
  const cut = value.length > 80 ? `${value.slice(0, 80)}…` : value;
  return new UsageError(`${place}: ${field} is ${cut}, allowed is ${allowed}`);
}
