// Records between the wire and their plain values: the part of the API whose cost counts.
//
// No record is copied: the generated object is checked and becomes the plain value, and its `data`
// is a view of the message that it came in. Who keeps a record for long copies it.

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { BATCH_RECORDS_LIMIT, RECORD_BYTES_LIMIT } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { lsn, micros, RangeViolation } from '../../protocol/types.ts';
import type * as wire from '../gen/journal.ts';
import type { JournalRecord, NewRecord } from '../public.ts';
import { checkKey } from './codec.ts';

const RECORDS_FIELD = 2;

/** Refuses a request of too many records before an object is made for each. */
export function checkRecordCount(request: Uint8Array): void {
  // A record takes at least 2 bytes.
  if (request.length <= BATCH_RECORDS_LIMIT * 2) return;
  let records = 0;
  try {
    const reader = new BinaryReader(request);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === RECORDS_FIELD) records += 1;
      reader.skip(type, field);
    }
  } catch {
    // What cannot be read is refused with its reason by the generated code, which stops there too.
  }
  if (records > BATCH_RECORDS_LIMIT) {
    throw new JournalError(
      'INVALID_ARGUMENT',
      `records is ${records} records, allowed is 1 to ${BATCH_RECORDS_LIMIT} in a batch`,
    );
  }
}

export function newRecordsIn(records: readonly wire.NewRecord[]): readonly NewRecord[] {
  if (records.length === 0) throw new RangeViolation('records', 'empty', 'at least one record');
  let bytes = 0;
  for (const [index, { key, data }] of records.entries()) {
    if (key !== undefined) checkKey(`records[${index}].key`, key);
    if (data.length > RECORD_BYTES_LIMIT) throw tooLarge(`records[${index}].data`, data.length);
    bytes += data.length;
  }
  if (bytes > RECORD_BYTES_LIMIT) throw tooLarge('batch', bytes);
  return records;
}

function tooLarge(field: string, bytes: number): RangeViolation {
  return new RangeViolation(field, `${bytes} bytes`, `at most ${RECORD_BYTES_LIMIT} bytes`);
}

// cast: writers only read what they are given; the generated types do not say so.
const writable = <Value>(values: readonly Value[]): Value[] => values as Value[];

export const newRecordsOut = (records: readonly NewRecord[]): wire.NewRecord[] => writable(records);

export const recordsOut = (records: readonly JournalRecord[]): wire.Record[] => writable(records);

export function recordsIn(records: readonly wire.Record[]): readonly JournalRecord[] {
  for (const record of records) {
    lsn(record.lsn, 'record.lsn');
    micros(record.timestampMicros, 'record.timestamp_micros');
  }
  // cast: the numbers of each record have just been checked, which is what their brands say.
  return records as unknown as readonly JournalRecord[];
}
