// The record browser: what may be asked, and records as a page can show them, bounded.

import { JournalError } from '../../protocol/errors.ts';
import { lsn, micros, NUMBER_MAX } from '../../protocol/types.ts';
import type {
  JournalRecord,
  ReadAnswer,
  ReadRequest,
  StartPosition,
} from '../../transport/public.ts';

export const RECORDS_MAX = 100;
const RECORDS_DEFAULT = 20;
/** Read from the log for one page, but for the first record, which is read whole. */
const BYTES_MAX = 256 * 1024;
const TEXT_BYTES_MAX = 4 * 1024;
const BINARY_BYTES_MAX = 256;

export interface ShownRecord {
  readonly lsn: number;
  readonly timestampMicros: number;
  readonly key?: string;
  /** Of the whole record. */
  readonly bytes: number;
  /** The first 4 KiB where they are UTF-8, else the first 256 bytes as hex digits. */
  readonly text?: string;
  readonly hex?: string;
  /** Only the beginning is shown. */
  readonly cut: boolean;
}

export interface RecordsAnswer {
  readonly journal: string;
  readonly records: readonly ShownRecord[];
  /** Where the next page begins, past control entries too. */
  readonly nextLsn: number;
  readonly committedLsn: number;
  readonly lineage: number;
}

/** Reads `journal`, `from` and `limit`. Throws INVALID_ARGUMENT with field, given and allowed. */
export function recordsRequest(query: URLSearchParams): ReadRequest {
  const journal = query.get('journal') ?? '';
  if (!/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/.test(journal)) {
    throw invalid('journal', journal, '1 to 63 of a-z, 0-9, - and ., the name of a journal');
  }
  const limit = limitOf(query.get('limit') ?? String(RECORDS_DEFAULT));
  const from = startOf(query.get('from') ?? 'last', limit);
  return { journal, from, limit, bytesMax: BYTES_MAX, linearizable: false };
}

function limitOf(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= RECORDS_MAX) return limit;
  throw invalid('limit', text, `a whole number from 1 to ${RECORDS_MAX}`);
}

function startOf(text: string, limit: number): StartPosition {
  if (text === 'first') return { kind: 'first' };
  if (text === 'last') return { kind: 'last', count: limit };
  const number = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= NUMBER_MAX) return { kind: 'lsn', lsn: lsn(number) };
  const millis = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (millis >= 0) return { kind: 'time', time: micros(millis * 1_000) };
  throw invalid('from', text, 'first, last, an LSN from 1, or a time such as 2026-01-31T12:00:00Z');
}

function invalid(field: string, given: string, allowed: string): JournalError {
  const shown = JSON.stringify(given.slice(0, 100));
  return new JournalError('INVALID_ARGUMENT', `${field} is ${shown}, allowed is ${allowed}`);
}

export function recordsAnswer(journal: string, answer: ReadAnswer): RecordsAnswer {
  const { nextLsn, committedLsn, lineage } = answer;
  return { journal, records: answer.records.map(shown), nextLsn, committedLsn, lineage };
}

function shown({ lsn, timestampMicros, key, data }: JournalRecord): ShownRecord {
  const about = { lsn, timestampMicros, ...(key === undefined ? {} : { key }), bytes: data.length };
  const text = textOf(data);
  if (text !== null) return { ...about, text, cut: data.length > TEXT_BYTES_MAX };
  const hex = Buffer.from(data.subarray(0, BINARY_BYTES_MAX)).toString('hex');
  return { ...about, hex, cut: data.length > BINARY_BYTES_MAX };
}

/** Null where it is no UTF-8. A character that the bound cuts in two is left out. */
function textOf(data: Uint8Array): string | null {
  const cut = data.length > TEXT_BYTES_MAX;
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return decoder.decode(data.subarray(0, TEXT_BYTES_MAX), { stream: cut });
  } catch {
    return null;
  }
}
