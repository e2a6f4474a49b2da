// A log as the transcription of the model sees it: entries whose ids name all that comes before.

import type { BatchHeader } from '../../protocol/types.ts';
import { lastLsn } from '../../protocol/types.ts';
import { type Print, Printer, printOf } from '../explore/marks.ts';

export interface Entry {
  /** Last position of its batch. */
  readonly lsn: number;
  readonly epoch: number;
  /** Tells one log up to here from another: it names all that comes before as well. */
  readonly id: string;
  readonly print: Print;
}

export type Log = readonly Entry[];

/** The entry that `header` is after `before`; its id is a print of the whole log up to it. */
export function entryAfter(before: Entry | undefined, header: BatchHeader): Entry {
  const printer = new Printer();
  if (before !== undefined) printer.print(before.print);
  // Who encodes a control entry gives it its checksum only then.
  const body = header.control === null ? header.bodyCrc : 0;
  for (const part of [header.firstLsn, header.count, header.epoch, body]) printer.number(part);
  if (header.control !== null) printer.print(printOf(JSON.stringify(header.control)));
  const print = printer.done();
  const id = `${print.high.toString(36)}.${print.low.toString(36)}`;
  return { lsn: lastLsn(header), epoch: header.epoch, id, print };
}

export function logOf(headers: readonly BatchHeader[]): Log {
  return grown([], headers);
}

export function grown(log: Log, headers: readonly BatchHeader[]): Log {
  if (headers.length === 0) return log;
  const entries = [...log];
  for (const header of headers) entries.push(entryAfter(entries.at(-1), header));
  return entries;
}

/** Number of entries that end at or below `lsn`. */
export function countTo(log: Log, lsn: number): number {
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((log[middle]?.lsn ?? Infinity) <= lsn) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The log without what ends after `lsn`; itself where nothing does. */
export function upTo(log: Log, lsn: number): Log {
  const count = countTo(log, lsn);
  return count === log.length ? log : log.slice(0, count);
}

export const len = (log: Log): number => log.at(-1)?.lsn ?? 0;

export const isPrefix = (one: Log, other: Log): boolean =>
  one.length <= other.length && one.at(-1)?.id === other[one.length - 1]?.id;

export const isSame = (one: Log, other: Log): boolean =>
  one.length === other.length && isPrefix(one, other);
