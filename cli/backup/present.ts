// What a journal holds already, held against an export: record by record, so that an import goes on
// only behind what is exactly a beginning of its file.

import type { Journal } from '../../client/index.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Lsn, lsn } from '../../protocol/types.ts';
import type { JournalRecord } from '../../transport/public.ts';
import type { Connected } from '../connection.ts';
import type { ExportEnd, ExportedRecord } from '../records/exchange.ts';
import { recordsThrough } from '../subscribe.ts';

export class Present {
  readonly #name: string;
  readonly #records: AsyncIterator<JournalRecord>;
  /** The next record that is there; undefined behind the last one. */
  #next: JournalRecord | undefined;
  /** Records that were there and are those of the export. */
  count = 0;
  readonly firstLsn: Lsn;
  /** Last position that is taken, control entries included. */
  readonly endLsn: Lsn;
  /** Where the export starts. */
  readonly #startLsn: Lsn;

  private constructor(
    name: string,
    records: AsyncIterator<JournalRecord>,
    positions: { readonly firstLsn: Lsn; readonly endLsn: Lsn; readonly startLsn: Lsn },
  ) {
    this.#name = name;
    this.#records = records;
    this.firstLsn = positions.firstLsn;
    this.endLsn = positions.endLsn;
    this.#startLsn = positions.startLsn;
  }

  /** `startLsn`: where the export starts, so what is compared starts there at the earliest. */
  static async open(
    at: Pick<Connected, 'signal'>,
    journal: Pick<Journal, 'name' | 'read' | 'tail'>,
    startLsn: Lsn,
  ): Promise<Present> {
    const { firstLsn, tailLsn, endLsn } = await journal.tail({ signal: at.signal });
    const from = lsn(Math.max(firstLsn, startLsn));
    const records = recordsThrough(at, journal, from, tailLsn);
    const iterator = records[Symbol.asyncIterator]();
    const present = new Present(journal.name, iterator, { firstLsn, endLsn, startLsn });
    await present.#advance();
    return present;
  }

  async #advance(): Promise<void> {
    const { done, value } = await this.#records.next();
    this.#next = done ? undefined : value;
  }

  /**
   * Takes those of the records that are there; answers those to be appended. Throws JournalError
   * ALREADY_EXISTS where the journal is not a beginning of the export.
   */
  async taken(records: readonly ExportedRecord[]): Promise<readonly ExportedRecord[]> {
    for (const [index, record] of records.entries()) {
      if (record.lsn > this.endLsn) {
        this.#mustEnd();
        return records.slice(index);
      }
      // A trim since took it: the positions alone can be held against one another.
      if (record.lsn < this.firstLsn) continue;
      const next = this.#next;
      if (next?.lsn !== record.lsn)
        throw this.#differs(Math.min(record.lsn, next?.lsn ?? Infinity));
      const sameKey = (next.key ?? '') === (record.key ?? '');
      if (!sameKey || Buffer.compare(next.data, record.data) !== 0) throw this.#differs(record.lsn);
      this.count += 1;
      await this.#advance();
    }
    return [];
  }

  /** Whether the whole export is there; a journal that is longer than that may go on as it likes. */
  holds({ endLsn }: ExportEnd): boolean {
    if (endLsn > this.endLsn) {
      this.#mustEnd();
      return false;
    }
    if (this.#next !== undefined && this.#next.lsn <= endLsn) throw this.#differs(this.#next.lsn);
    return true;
  }

  /** What is missing can be put only behind a journal that is all there up to its end. */
  #mustEnd(): void {
    if (this.#next !== undefined) throw this.#differs(this.#next.lsn);
    if (this.firstLsn === this.#startLsn) return;
    throw this.#unfit(`it starts at LSN ${this.firstLsn}, the export at ${this.#startLsn}`);
  }

  #differs(at: number): JournalError {
    return this.#unfit(`they differ at LSN ${at}`);
  }

  #unfit(why: string): JournalError {
    return new JournalError(
      'ALREADY_EXISTS',
      `journal ${this.#name} is there, through LSN ${this.endLsn}, and is no beginning of this ` +
        `export: ${why}; delete it (journal delete ${this.#name} --yes) to import it anew`,
    );
  }
}
