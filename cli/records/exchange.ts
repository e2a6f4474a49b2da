// The file that `export` writes and `import` reads: JSON lines that describe and check themselves.
//
//   {"format":"journal-export","version":1,"journal":"orders","firstLsn":1,"settings":{…}}
//   {"lsn":1,"timestampMicros":1767225600000000,"data":"hello"}         as `read --json` writes it
//   {"check":{"records":1,"throughLsn":1,"sha256":"…"}}           every 1,000 records or 1 MiB
//   {"end":{"records":1,"throughLsn":1,"endLsn":1,"sha256":"…"}}  the last line, always there
//
// Each sha256 is over all bytes of the file before its own line, and then the JSON of what its line
// says beside it, in this order. Records are given out only once
// the check after them held, so that a damaged file is never imported beyond the damage. Fields may
// be added; a reader leaves those that it does not know aside. `endLsn` is where the log ended,
// control entries after the last record included: LSNs that no record has are theirs.

import { createHash, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import {
  DEFAULT_SETTINGS,
  type JournalSettings,
  MIB,
  RECORD_BYTES_LIMIT,
} from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type JournalLimits, type Lsn, lsn } from '../../protocol/types.ts';
import type { JournalRecord, NewRecord } from '../../transport/public.ts';
import { numberField, objectOf, parseRecordJson, recordJson, wrong } from './format.ts';

const FORMAT = 'journal-export';
const VERSION = 1;
const CHECK_RECORDS = 1_000;
const CHECK_BYTES = MIB;
const LINE_BYTES_MAX = 6 * RECORD_BYTES_LIMIT + 16 * 1024;
/** A file that was made by another tool may check itself less often, but not never. */
const UNCHECKED_BYTES_MAX = 128 * MIB;

export interface ExportHeader {
  readonly journal: string;
  /** First position left of the journal: where an import starts. */
  readonly firstLsn: Lsn;
  /** What of the settings an import should take over. */
  readonly settings: Partial<JournalSettings>;
}

export interface ExportEnd {
  readonly records: number;
  /** Last record, 0 for none. */
  readonly throughLsn: Lsn;
  /** End of the log, at least `throughLsn`. */
  readonly endLsn: Lsn;
}

export interface ExportedRecord extends NewRecord {
  readonly lsn: Lsn;
}

/** Makes the lines of an export; the caller writes them in the order in which they were made. */
export class ExportWriter {
  readonly #hash = createHash('sha256');
  #records = 0;
  #through = lsn(0);
  #uncheckedRecords = 0;
  #uncheckedBytes = 0;

  header(header: ExportHeader): string {
    return this.#line({ format: FORMAT, version: VERSION, ...header });
  }

  record(record: JournalRecord): string {
    const line = this.#line(recordJson(record));
    this.#records += 1;
    this.#through = record.lsn;
    this.#uncheckedRecords += 1;
    this.#uncheckedBytes += line.length;
    if (this.#uncheckedRecords < CHECK_RECORDS && this.#uncheckedBytes < CHECK_BYTES) return line;
    this.#uncheckedRecords = 0;
    this.#uncheckedBytes = 0;
    return line + this.#line({ check: this.#sum({}) });
  }

  end(endLsn: Lsn): string {
    return this.#line({ end: this.#sum({ endLsn }) });
  }

  #sum(more: { readonly endLsn?: Lsn }): object {
    const said = { records: this.#records, throughLsn: this.#through, ...more };
    return { ...said, sha256: digest(this.#hash, said) };
  }

  #line(value: object): string {
    const line = `${JSON.stringify(value)}\n`;
    this.#hash.update(line);
    return line;
  }
}

/** Over the lines so far and what the line itself says. */
const digest = (hash: Hash, said: object): string =>
  hash.copy().update(JSON.stringify(said)).digest('hex');

export type ExportPart =
  | { readonly kind: 'header'; readonly header: ExportHeader }
  /** Records that a check has vouched for, rising. */
  | { readonly kind: 'records'; readonly records: readonly ExportedRecord[] }
  | { readonly kind: 'end'; readonly end: ExportEnd };

/**
 * Reads an export and checks it on the way: the header first, the end last. Throws JournalError
 * DAMAGED that names the line where the file is not what was written, or is cut short.
 */
export async function* readExport(stream: Readable): AsyncGenerator<ExportPart> {
  const hash = createHash('sha256');
  let number = 0;
  let header: ExportHeader | undefined;
  let unchecked: ExportedRecord[] = [];
  let uncheckedBytes = 0;
  let last = lsn(0);
  let count = 0;
  let ended = false;
  for await (const line of linesOf(stream)) {
    number += 1;
    const place = `line ${number} of the export`;
    if (ended) throw damaged(`${place}: there is more after the end`);
    const fields = fieldsOf(line, place);
    if (header === undefined) {
      header = parseHeader(fields, place);
      last = lsn(header.firstLsn - 1);
      yield { kind: 'header', header };
    } else if ('check' in fields || 'end' in fields) {
      const sum = parseSum(fields, place);
      expectSum(sum, { records: count, throughLsn: count === 0 ? lsn(0) : last, hash }, place);
      if (unchecked.length > 0) yield { kind: 'records', records: unchecked };
      unchecked = [];
      uncheckedBytes = 0;
      if (sum.endLsn !== null) {
        ended = true;
        const { records, throughLsn, endLsn } = sum;
        yield { kind: 'end', end: { records, throughLsn, endLsn } };
      }
    } else {
      const record = parseRecord(fields, line, place, last);
      last = record.lsn;
      count += 1;
      unchecked.push(record);
      uncheckedBytes += line.length;
      if (uncheckedBytes > UNCHECKED_BYTES_MAX) {
        throw damaged(`${place}: over ${UNCHECKED_BYTES_MAX} bytes follow one another unchecked`);
      }
    }
    hash.update(line).update('\n');
  }
  if (!ended) throw damaged(`the export is cut short after line ${number}: it has no end`);
}

const damaged = (message: string): JournalError => new JournalError('DAMAGED', message);

function fieldsOf(line: Buffer, place: string): Readonly<Record<string, unknown>> {
  return refusedAsDamage(() => objectOf(line.toString('utf8'), place));
}

/** Whoever reads a file did not type it: what is wrong in it is damage, not wrong usage. */
function refusedAsDamage<Value>(work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    throw damaged(error instanceof Error ? error.message : String(error));
  }
}

function parseHeader(fields: Readonly<Record<string, unknown>>, place: string): ExportHeader {
  if (fields.format !== FORMAT) {
    throw damaged(wrong(place, 'format', fields.format, JSON.stringify(FORMAT)).message);
  }
  if (fields.version !== VERSION) {
    throw new JournalError(
      'INCOMPATIBLE',
      wrong(place, 'version', fields.version, `${VERSION}: a newer journal wrote this`).message,
    );
  }
  return refusedAsDamage(() => {
    const firstLsn = lsn(numberField(fields, 'firstLsn', place));
    if (firstLsn < 1) throw wrong(place, 'firstLsn', firstLsn, 'at least 1');
    if (typeof fields.journal !== 'string') {
      throw wrong(place, 'journal', fields.journal, 'a name');
    }
    return { journal: fields.journal, firstLsn, settings: parseSettings(fields.settings, place) };
  });
}

const SETTINGS = ['recordBytesMax', 'batchBytesMax', 'replicationFactor', 'minReplicas'] as const;

/** Retention is left aside: it would trim what is just being imported. */
function parseSettings(value: unknown, place: string): Partial<JournalSettings> {
  if (typeof value !== 'object' || value === null) return {};
  const fields = { ...value };
  let settings: Partial<JournalSettings> = {};
  for (const name of SETTINGS) {
    if (name in fields) settings = { ...settings, [name]: numberField(fields, name, place) };
  }
  return { ...settings, ...parseLimits(fields, place) };
}

const LIMITS = ['keys', 'writers', 'writerWindow', 'chosenKeys', 'cursors'] as const;

/** Nothing where an early version wrote the file: it kept none. */
function parseLimits(
  settings: Readonly<Record<string, unknown>>,
  place: string,
): { readonly limits?: JournalLimits } {
  const { limits: value } = settings;
  if (typeof value !== 'object' || value === null) return {};
  const fields = { ...value };
  let limits: JournalLimits = DEFAULT_SETTINGS.limits;
  for (const name of LIMITS) {
    if (name in fields) limits = { ...limits, [name]: numberField(fields, name, place) };
  }
  return { limits };
}

function parseRecord(
  fields: Readonly<Record<string, unknown>>,
  line: Buffer,
  place: string,
  last: Lsn,
): ExportedRecord {
  return refusedAsDamage(() => {
    const at = lsn(numberField(fields, 'lsn', place));
    if (at <= last) throw wrong(place, 'lsn', at, `above ${last}: records rise`);
    return { lsn: at, ...parseRecordJson(line.toString('utf8'), place) };
  });
}

interface CheckSum {
  readonly records: number;
  readonly throughLsn: Lsn;
  /** Null but in the last line. */
  readonly endLsn: Lsn | null;
  readonly sha256: string;
}

function parseSum(line: Readonly<Record<string, unknown>>, place: string): CheckSum {
  return refusedAsDamage(() => {
    const value = line.end ?? line.check;
    if (typeof value !== 'object' || value === null)
      throw wrong(place, 'check', value, 'an object');
    const fields: Readonly<Record<string, unknown>> = { ...value };
    if (typeof fields.sha256 !== 'string') throw wrong(place, 'sha256', fields.sha256, 'a string');
    return {
      records: numberField(fields, 'records', place),
      throughLsn: lsn(numberField(fields, 'throughLsn', place)),
      endLsn: 'end' in line ? lsn(numberField(fields, 'endLsn', place)) : null,
      sha256: fields.sha256,
    };
  });
}

function expectSum(
  sum: CheckSum,
  found: {
    readonly records: number;
    readonly throughLsn: Lsn;
    readonly hash: Hash;
  },
  place: string,
): void {
  const { records, throughLsn, endLsn } = sum;
  const said = endLsn === null ? { records, throughLsn } : { records, throughLsn, endLsn };
  const sha256 = digest(found.hash, said);
  if (sum.sha256 !== sha256) {
    throw damaged(`${place}: the lines before it have sha256 ${sha256}, it says ${sum.sha256}`);
  }
  if (sum.records !== found.records || sum.throughLsn !== found.throughLsn) {
    throw damaged(
      `${place}: there were ${found.records} records through LSN ${found.throughLsn}, ` +
        `it says ${sum.records} through ${sum.throughLsn}`,
    );
  }
  if (sum.endLsn !== null && sum.endLsn < sum.throughLsn) {
    throw damaged(`${place}: endLsn is ${sum.endLsn}, allowed is at least ${sum.throughLsn}`);
  }
}

/** The lines of a stream without their newline; a last line that has none is damage. */
async function* linesOf(stream: Readable): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  for await (const given of stream) {
    const chunk: Buffer = given;
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(10, from);
      if (at < 0) break;
      const piece = chunk.subarray(from, at);
      yield pieces.length === 0 ? piece : Buffer.concat([...pieces, piece]);
      pieces = [];
      bytes = 0;
      from = at + 1;
    }
    if (from < chunk.length) {
      pieces.push(chunk.subarray(from));
      bytes += chunk.length - from;
    }
    if (bytes > LINE_BYTES_MAX)
      throw damaged(`a line of the export is over ${LINE_BYTES_MAX} bytes`);
  }
  if (bytes > 0) throw damaged('the export is cut short in the middle of a line');
}
