// An export beside a retention that trims: it begins with what is left, or not at all.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { ReadOptions } from '../client/index.ts';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn, micros } from '../protocol/types.ts';
import type { Connected } from './connection.ts';
import { exportJournal } from './export.ts';
import { readExport } from './records/exchange.ts';

/** A journal of records 1 to 6, of which the first ones go with the first read. */
function trimmedAtOnce(through: number) {
  const written: Uint8Array[] = [];
  let firstLsn = 1;
  const journal = {
    tail: async () => ({ tailLsn: lsn(6), endLsn: lsn(6), firstLsn: lsn(1), lineage: 1 }),
    read: async ({ from }: ReadOptions = {}) => {
      firstLsn = through + 1;
      const at = Number(typeof from === 'object' && 'nextLsn' in from ? from.nextLsn : from);
      if (at < firstLsn) {
        throw new JournalError('TRIMMED', 'it was trimmed', { firstLsn: lsn(firstLsn) });
      }
      const lsns = Array.from({ length: Math.max(0, 7 - at) }, (_, index) => lsn(at + index));
      const records = lsns.map((one) => ({
        ...{ lsn: one, timestampMicros: micros(one), data: Buffer.from(`${one}`) },
      }));
      return { records, nextLsn: lsn(7), committedLsn: lsn(6), lineage: 1 };
    },
  };
  const client = {
    journal: () => journal,
    describeJournal: async () => ({ configuration: { settings: DEFAULT_SETTINGS } }),
  };
  const write = async (line: string) => void written.push(Buffer.from(line));
  const output = { open: true, write };
  const { signal } = new AbortController();
  // cast: an export asks no more of a client and of its output.
  return { at: { client, output, signal } as unknown as Connected, written };
}

test('records that go before they are read are no part of it', async () => {
  const { at, written } = trimmedAtOnce(4);
  await exportJournal(at, 'orders');
  const lsns: number[] = [];
  let first = 0;
  for await (const part of readExport(Readable.from(written))) {
    if (part.kind === 'header') first = part.header.firstLsn;
    if (part.kind === 'records') lsns.push(...part.records.map(({ lsn: at }) => at));
  }
  assert.deepEqual([first, lsns], [5, [5, 6]]);
});

test('where all of them go the journal is empty from there on', async () => {
  const { at, written } = trimmedAtOnce(6);
  await exportJournal(at, 'orders');
  const kinds: string[] = [];
  for await (const part of readExport(Readable.from(written))) kinds.push(part.kind);
  assert.deepEqual(kinds, ['header', 'end']);
});
