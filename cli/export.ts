// `export` and `import`: a journal as a file that checks itself (records/exchange.ts), and back.
//
// An import keeps LSNs: the new journal starts where the file does, each batch is appended on the
// condition that it comes right after the last one, and positions that no record has (they were
// control entries) are taken by moving a cursor, which is an entry as well. The times are those of
// the import: they belong to the journal, not to the record.

import { createReadStream, fstatSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { Journal } from '../client/index.ts';
import { JournalError } from '../protocol/errors.ts';
import { journalName, type Lsn, lsn } from '../protocol/types.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, wholeNumber } from './options.ts';
import { note, progress, UsageError } from './output.ts';
import { type ExportedRecord, ExportWriter, readExport } from './records/exchange.ts';
import { pages } from './subscribe.ts';

const BATCH_RECORDS = 1_000;
const BATCH_BYTES = 512 * 1024;
const GAP_CURSOR = 'import';
const GAP_MAX_DEFAULT = 100_000;

export function exportCommand(): Command {
  const made = command(
    'export <journal>',
    'Writes all records with their LSNs, keys and times to stdout, as a file that checks itself.',
    'journal export orders > orders.journal',
  );
  return connected(made).action((name: string, flags: ConnectionFlags) =>
    withClient(flags, (at) => exportJournal(at, name)),
  );
}

async function exportJournal(at: Connected, name: string): Promise<void> {
  const { client, output, signal } = at;
  const journal = client.journal(name);
  const { settings } = (await client.describeJournal(name, { signal })).configuration;
  const { tailLsn, endLsn, firstLsn } = await journal.tail({ signal });
  const { recordBytesMax, batchBytesMax, replicationFactor, minReplicas } = settings;
  const kept = { recordBytesMax, batchBytesMax, replicationFactor, minReplicas };
  const writer = new ExportWriter();
  await output.write(writer.header({ journal: name, firstLsn, settings: kept }));
  if (tailLsn >= firstLsn) {
    const limit = tailLsn - firstLsn + 1;
    const range = { from: firstLsn, through: tailLsn, limit, proof: 'wanted' } as const;
    for await (const record of pages(at, journal, range)) {
      await output.write(writer.record(record));
      if (!output.open) return;
      progress(`exported through LSN ${record.lsn} of ${tailLsn}`);
    }
  }
  progress('');
  await output.write(writer.end(endLsn));
}

interface ImportFlags extends ConnectionFlags {
  readonly gapMax: number;
}

export function importCommand(): Command {
  const made = command(
    'import <journal>',
    'Creates a journal from an export on stdin. LSNs and keys are kept; a damaged file is refused.',
    'journal import orders < orders.journal',
  );
  return connected(made)
    .addOption(
      new Option('--gap-max <count>', 'positions without a record that may be filled')
        .argParser(wholeNumber(0))
        .default(GAP_MAX_DEFAULT),
    )
    .action((name: string, flags: ImportFlags) => {
      const to = journalName(name);
      return withClient(flags, async (at) => {
        await verifyFirst();
        await new Import(at, to, flags).run();
      });
    });
}

/** A file on stdin is read and checked as a whole before anything is created; a pipe cannot be. */
async function verifyFirst(): Promise<void> {
  if (!fstatSync(0).isFile()) return;
  const whole = createReadStream('', { fd: 0, autoClose: false, start: 0 });
  for await (const part of readExport(whole)) {
    if (part.kind === 'records') progress(`checked through LSN ${part.records.at(-1)?.lsn}`);
  }
  progress('');
}

const fileInput = () =>
  fstatSync(0).isFile()
    ? createReadStream('', { fd: 0, autoClose: false, start: 0 })
    : process.stdin;

class Import {
  readonly #at: Connected;
  readonly #name: string;
  readonly #flags: ImportFlags;
  readonly #journal: Journal;
  #records = 0;
  #filled = 0;
  /** Last position that is taken. */
  #last = lsn(0);
  #lastRecord = lsn(0);

  constructor(at: Connected, name: string, flags: ImportFlags) {
    this.#at = at;
    this.#name = name;
    this.#flags = flags;
    this.#journal = at.client.journal(name);
  }

  async run(): Promise<void> {
    const { client, output, signal } = this.#at;
    for await (const part of readExport(fileInput())) {
      switch (part.kind) {
        case 'header': {
          const { firstLsn, settings } = part.header;
          await client.createJournal(this.#name, { ifAbsent: false, settings, firstLsn, signal });
          this.#last = lsn(firstLsn - 1);
          break;
        }
        case 'records':
          for (const batch of batchesOf(part.records)) await this.#append(batch);
          progress(`imported through LSN ${this.#last}`);
          break;
        case 'end':
          await this.#fillTo(part.end.endLsn);
          break;
      }
    }
    progress('');
    if (this.#filled > 0) await this.#forgetCursor();
    const [records, lastLsn] = [this.#records, this.#lastRecord];
    if (this.#flags.json) await output.json({ records, lastLsn });
    else note(`imported ${records} records, the last one at LSN ${lastLsn}`);
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
    this.#lastRecord = last.lsn;
  }

  /** Takes the positions up to `end` by control entries, one each. */
  async #fillTo(end: Lsn): Promise<void> {
    const gap = end - this.#last;
    if (gap <= 0) return;
    this.#filled += gap;
    if (this.#filled > this.#flags.gapMax) {
      throw new UsageError(
        `the export has ${this.#filled} positions without a record up to LSN ${end}, ` +
          `allowed is --gap-max, which is ${this.#flags.gapMax}`,
      );
    }
    const consumed = this.#last;
    while (this.#last < end) {
      await this.#fillOne(consumed);
      this.#last = lsn(this.#last + 1);
    }
  }

  /** An attempt whose answer was lost is tried again, and then finds the position taken. */
  async #fillOne(consumed: Lsn): Promise<void> {
    const [expectEnd, signal] = [this.#last, this.#at.signal];
    try {
      await this.#journal.setCursor(GAP_CURSOR, consumed, { expectEnd, signal });
    } catch (error) {
      if (!(error instanceof JournalError) || error.code !== 'CONDITION_FAILED') throw error;
      const { endLsn } = await this.#journal.tail({ signal });
      if (endLsn !== expectEnd + 1) throw this.#shifted(lsn(expectEnd + 1), lsn(endLsn + 1));
    }
  }

  async #forgetCursor(): Promise<void> {
    await this.#journal.setCursor(GAP_CURSOR, null, { signal: this.#at.signal });
  }

  #shifted(wanted: Lsn, got: Lsn): JournalError {
    return new JournalError(
      'CONDITION_FAILED',
      `LSN ${wanted} became ${got}: something else wrote to ${this.#name} during the import; ` +
        'delete the journal and import it again while nothing else uses it',
    );
  }
}

/** Runs of records without a gap, cut by records and bytes. */
function* batchesOf(records: readonly ExportedRecord[]): Generator<ExportedRecord[]> {
  let batch: ExportedRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const previous = batch.at(-1);
    const size = record.data.length + Buffer.byteLength(record.key ?? '');
    const gap = previous !== undefined && record.lsn !== previous.lsn + 1;
    if (
      previous !== undefined &&
      (gap || batch.length >= BATCH_RECORDS || bytes + size > BATCH_BYTES)
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
