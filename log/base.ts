// The bytes of a base: one checksummed unit, in a file of its own, within a frame, or on a wire.
//
//   offset bytes
//        0     8  "JOURNALB"
//        8     4  format, 1
//       12     4  length of what follows the first 20 bytes
//       16     4  checksum of what follows
//       20        JSON: {journal, lsn, epoch, crc, trimmedLsn, tables: {lsn, sections}}
//
// Sections that this version does not know are carried along.

import { crc32 } from '../io/node-checksum.ts';
import { checkSections } from '../protocol/chain/sections.ts';
import { JournalError } from '../protocol/errors.ts';
import { fields, parse, text, whole } from '../protocol/fields.ts';
import { epoch, journalId, lsn } from '../protocol/types.ts';
import type { Base } from './log.ts';

const MAGIC = 'JOURNALB';
const FORMAT = 1;
const HEAD_BYTES = 20;

export function encodeBase(base: Base): Uint8Array {
  const { journal, lsn, epoch, crc, trimmedLsn, tables } = base;
  const json = Buffer.from(JSON.stringify({ journal, lsn, epoch, crc, trimmedLsn, tables }));
  const bytes = Buffer.allocUnsafeSlow(HEAD_BYTES + json.length);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(FORMAT, 8);
  bytes.writeUInt32LE(json.length, 12);
  bytes.writeUInt32LE(crc32(json), 16);
  json.copy(bytes, HEAD_BYTES);
  return bytes;
}

const damaged = (what: string): JournalError =>
  new JournalError('DAMAGED', `a base cannot be read: ${what}`);

/** Throws JournalError DAMAGED where the bytes are not a whole base. */
export function decodeBase(given: Uint8Array): Base {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (bytes.length < HEAD_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC) {
    throw damaged('it does not begin like one');
  }
  if (bytes.readUInt32LE(8) !== FORMAT) {
    throw damaged(`its format is ${bytes.readUInt32LE(8)}, allowed is ${FORMAT}`);
  }
  const json = bytes.subarray(HEAD_BYTES);
  if (json.length !== bytes.readUInt32LE(12)) throw damaged('it has another length than it says');
  if (crc32(json) !== bytes.readUInt32LE(16)) throw damaged('it has another checksum');
  try {
    const all = fields('base', parse('base', json.toString()));
    const tables = fields('tables', all.tables);
    const sections = fields('tables.sections', tables.sections);
    checkSections(sections);
    return {
      journal: journalId(text('journal', all.journal)),
      lsn: lsn(whole('lsn', all.lsn)),
      epoch: epoch(whole('epoch', all.epoch)),
      crc: whole('crc', all.crc),
      trimmedLsn: lsn(whole('trimmedLsn', all.trimmedLsn)),
      tables: {
        lsn: lsn(whole('tables.lsn', tables.lsn)),
        sections,
      },
    };
  } catch (error) {
    throw damaged(`its content is no base (${String(error)})`);
  }
}
