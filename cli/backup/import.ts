// `import`: a journal from a file that checks itself (records/exchange.ts).
//
// An import keeps LSNs: the new journal starts where the file does, each batch is appended on the
// condition that it comes right after the last one, and positions that no record has (they were
// control entries) are taken by moving a cursor, which is an entry as well. The times are those of
// the import: they belong to the journal, not to the record.
//
// One that was cut off is gone on with: what is there is held against the file, record by record,
// and the rest is appended behind it. A step of the first one that arrives late is on the same
// condition as that of the second, and does the same.

import { createReadStream, fstatSync } from 'node:fs';
import { addAbortSignal, type Readable } from 'node:stream';
import { type Command, Option } from 'commander';
import type { CreateOptions, Journal, JournalSettings } from '../../client/index.ts';
import { JournalError, withMessage } from '../../protocol/errors.ts';
import { journalName, type Lsn, lsn } from '../../protocol/types.ts';
import { type ConnectionFlags, connected, withClient } from '../connection.ts';
import { command, wholeNumber } from '../options.ts';
import { note, progress, UsageError } from '../output.ts';
import {
  type ExportEnd,
  type ExportedRecord,
  type ExportHeader,
  readExport,
} from '../records/exchange.ts';
import { Present } from './present.ts';

const BATCH_RECORDS = 1_000;
/** Or what the journal allows, where that is less. */
const BATCH_BYTES = 512 * 1024;
const GAP_CURSOR = 'import';
const GAP_MAX_DEFAULT = 100_000;
/** Positions that are asked for at once: more of them only wait for one another. */
const GAP_WINDOW = 8;
const IDLE_ROUNDS_MAX = 10;

/** What an import needs of a cluster. */
export interface Target {
  createJournal(name: string, options: CreateOptions): Promise<Made>;
  journal(name: string): TargetJournal;
}

interface Made {
  readonly configuration: { readonly settings: Pick<JournalSettings, 'batchBytesMax'> };
}

export type TargetJournal = Pick<Journal, 'name' | 'append' | 'read' | 'tail' | 'setCursor'>;

export interface Importing {
  readonly client: Target;
  readonly signal: AbortSignal;
}

export interface ImportOptions {
  /** Positions without a record that may be filled. */
  readonly gapMax: number;
  /** Goes on behind what is there, where that is a beginning of the file; else it is refused. */
  readonly resume: boolean;
}

export interface Imported {
  /** Appended now. */
  readonly records: number;
  /** Records of the file that were there already. */
  readonly present: number;
  /** Last record of the file, 0 for none. */
  readonly lastLsn: Lsn;
}

interface ImportFlags extends ConnectionFlags, ImportOptions {}

export function importCommand(): Command {
  const made = command(
    'import <journal>',
    'Creates a journal from an export on stdin. LSNs and keys are kept; a damaged file is refused.',
    'journal import orders < orders.journal',
    'journal import orders --resume < orders.journal',
  );
  return connected(made)
    .addOption(
      new Option('--gap-max <count>', 'positions without a record that may be filled')
        .argParser(wholeNumber(0))
        .default(GAP_MAX_DEFAULT),
    )
    .option('--resume', 'go on with an import of the same file that was cut off', false)
    .action((name: string, flags: ImportFlags) => {
      const to = journalName(name);
      return withClient(flags, async (at) => {
        const file = fstatSync(0).isFile();
        const imported = file
          ? await importFile(at, to, () => stdinAgain(), flags)
          : await importStream(at, to, process.stdin, flags);
        const { records, present, lastLsn } = imported;
        const there = present === 0 ? '' : ` (${present} were there already)`;
        if (flags.json) await at.output.json({ records, lastLsn, present });
        else note(`imported ${records} records, the last one at LSN ${lastLsn}${there}`);
      });
    });
}

const stdinAgain = (): Readable => createReadStream('', { fd: 0, autoClose: false, start: 0 });

/** A file is read and checked as a whole before anything is created; a pipe cannot be. */
export async function importFile(
  at: Importing,
  name: string,
  open: () => Readable,
  options: ImportOptions,
): Promise<Imported> {
  for await (const part of readExport(open())) {
    at.signal.throwIfAborted();
    if (part.kind === 'records') progress(`checked through LSN ${part.records.at(-1)?.lsn}`);
  }
  progress('');
  return await importStream(at, name, open(), options);
}

/** Records are appended as they were checked: what comes after them may still be damaged. */
export async function importStream(
  at: Importing,
  name: string,
  stream: Readable,
  options: ImportOptions,
): Promise<Imported> {
  const work = new Import(at, name, options);
  try {
    return await work.run(stream);
  } catch (error) {
    if (!work.resumable) throw error;
    const hint = `journal ${name} is not whole: import --resume goes on with it, given all of it`;
    // Why it ended is not told then: a person knows.
    if (at.signal.aborted) note(hint);
    throw withHint(error, hint);
  } finally {
    progress('');
  }
}

function withHint(error: unknown, hint: string): unknown {
  if (error instanceof UsageError) return new UsageError(`${error.message}; ${hint}`);
  if (!(error instanceof JournalError) || error.code === 'ALREADY_EXISTS') return error;
  return withMessage(error, `${error.message}; ${hint}`);
}

class Import {
  readonly #at: Importing;
  readonly #name: string;
  readonly #options: ImportOptions;
  #batchBytes = BATCH_BYTES;
  #records = 0;
  #filled = 0;
  #present: Present | null = null;
  /** Last position that is taken. */
  #last = lsn(0);
  /** The journal is there or may be, perhaps not all of it; nothing is known against going on. */
  resumable = false;

  constructor(at: Importing, name: string, options: ImportOptions) {
    this.#at = at;
    this.#name = name;
    this.#options = options;
  }

  get #journal(): TargetJournal {
    return this.#at.client.journal(this.#name);
  }

  async run(stream: Readable): Promise<Imported> {
    let lastLsn = lsn(0);
    // A pipe may say nothing for ever.
    for await (const part of readExport(addAbortSignal(this.#at.signal, stream))) {
      switch (part.kind) {
        case 'header':
          await this.#begin(part.header);
          break;
        case 'records': {
          const left = (await this.#present?.taken(part.records)) ?? part.records;
          for (const batch of batchesOf(left, this.#batchBytes)) await this.#append(batch);
          progress(`imported through LSN ${this.#last}`);
          break;
        }
        case 'end':
          lastLsn = part.end.throughLsn;
          await this.#end(part.end);
          break;
      }
    }
    return { records: this.#records, present: this.#present?.count ?? 0, lastLsn };
  }

  async #begin({ firstLsn, settings }: ExportHeader): Promise<void> {
    const { client, signal } = this.#at;
    const { resume } = this.#options;
    // Where the answer is lost it may be there as well.
    this.resumable = true;
    try {
      const options = { ifAbsent: resume, settings, firstLsn, signal };
      const { configuration } = await client.createJournal(this.#name, options);
      this.#batchBytes = Math.min(BATCH_BYTES, configuration.settings.batchBytesMax);
    } catch (error) {
      this.resumable = !(error instanceof JournalError) || error.outcome === 'unknown';
      if (!(error instanceof JournalError) || error.code !== 'ALREADY_EXISTS') throw error;
      const hint = 'where an import of this export was cut off, --resume goes on with it';
      throw new JournalError(error.code, `${error.message}; ${hint}`, error.details);
    }
    this.#last = lsn(firstLsn - 1);
    if (!resume) return;
    this.#present = await Present.open(this.#at, this.#journal, firstLsn);
    this.#last = this.#present.endLsn;
  }

  async #end(end: ExportEnd): Promise<void> {
    const present = this.#present;
    const whole = present?.holds(end) ?? false;
    if (!whole) await this.#fillTo(end.endLsn);
    // One that was cut off may have left its cursor; behind the export's end it is somebody else's.
    const left = present !== null && present.endLsn <= end.endLsn;
    if (this.#filled > 0 || left) await this.#forgetCursor();
  }

  /** `batch` is dense: it is the next one, or positions before it are to be filled. */
  async #append(batch: readonly ExportedRecord[]): Promise<void> {
    const first = batch[0];
    const last = batch.at(-1);
    if (first === undefined || last === undefined) return;
    await this.#fillTo(lsn(first.lsn - 1));
    const answer = await this.#journal.append(batch, {
      expectTail: this.#last,
      signal: this.#at.signal,
    });
    if (answer.firstLsn !== first.lsn) throw this.#shifted(first.lsn, answer.firstLsn);
    this.#records += batch.length;
    this.#last = last.lsn;
  }

  /** Takes the positions up to `end` by control entries, one each. */
  async #fillTo(end: Lsn): Promise<void> {
    const gap = end - this.#last;
    if (gap <= 0) return;
    this.#filled += gap;
    if (this.#filled > this.#options.gapMax) {
      throw new UsageError(
        `the export has ${this.#filled} positions without a record up to LSN ${end}, ` +
          `allowed is --gap-max, which is ${this.#options.gapMax}`,
      );
    }
    const consumed = this.#last;
    let idle = 0;
    while (this.#last < end) {
      const before = this.#last;
      await this.#fillSome(consumed, Math.min(GAP_WINDOW, end - before));
      idle = this.#last > before ? 0 : idle + 1;
      if (idle > IDLE_ROUNDS_MAX) throw this.#shifted(lsn(before + 1), before);
      progress(`imported through LSN ${this.#last}`);
    }
  }

  /**
   * Asks for the next `count` positions. Each is taken on the condition that it is the next one:
   * one that comes out of turn, or is tried again after an answer was lost, takes nothing. Where
   * the journal ends afterwards is asked.
   */
  async #fillSome(consumed: Lsn, count: number): Promise<void> {
    const { signal } = this.#at;
    const asked = await Promise.allSettled(
      Array.from({ length: count }, (_, index) => {
        const expectEnd = this.#last + index;
        return this.#journal.setCursor(GAP_CURSOR, consumed, { expectEnd, signal });
      }),
    );
    for (const one of asked) {
      if (one.status === 'fulfilled') continue;
      const error: unknown = one.reason;
      if (!(error instanceof JournalError) || error.code !== 'CONDITION_FAILED') throw error;
    }
    const { endLsn, tailLsn } = await this.#journal.tail({ signal });
    const most = this.#last + count;
    if (endLsn > most) throw this.#shifted(lsn(most + 1), endLsn);
    if (tailLsn > this.#last) throw this.#shifted(lsn(this.#last + 1), tailLsn);
    this.#last = endLsn;
  }

  /** No error where it is gone: another try, whose answer was lost, may have done it. */
  async #forgetCursor(): Promise<void> {
    try {
      await this.#journal.setCursor(GAP_CURSOR, null, { signal: this.#at.signal });
    } catch (error) {
      if (!(error instanceof JournalError) || error.code !== 'NOT_FOUND') throw error;
    }
  }

  #shifted(wanted: Lsn, got: Lsn): JournalError {
    this.resumable = false;
    return new JournalError(
      'CONDITION_FAILED',
      `LSN ${wanted} became ${got}: something else wrote to ${this.#name} during the import; ` +
        'delete the journal and import it again while nothing else uses it',
    );
  }
}

/** Runs of records without a gap, cut by records and bytes. */
function* batchesOf(
  records: readonly ExportedRecord[],
  bytesMax: number,
): Generator<ExportedRecord[]> {
  let batch: ExportedRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const previous = batch.at(-1);
    const size = record.data.length + Buffer.byteLength(record.key ?? '');
    const gap = previous !== undefined && record.lsn !== previous.lsn + 1;
    if (
      previous !== undefined &&
      (gap || batch.length >= BATCH_RECORDS || bytes + size > bytesMax)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
