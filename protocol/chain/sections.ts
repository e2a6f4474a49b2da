// Tables that come from a disk or a peer are looked at before they are believed: a right checksum
// says who is to blame, not that a machine can go on with them.

import { type Fields, fields, list, text, whole } from '../fields.ts';
import { RangeViolation, writerId } from '../types.ts';

const SCALARS = ['endLsn', 'dataLsn', 'lastTimestamp', 'trimmedLsn', 'evictionLsn'] as const;
const LIMITS = ['keys', 'writers', 'writerWindow', 'chosenKeys', 'cursors'] as const;
const MEMORY = ['sequence', 'firstLsn', 'count', 'timestamp', 'bodyCrc', 'bodyBytes'] as const;
const KEY = ['keyLsn', 'tokenLsn', 'leaseMillis', 'timestamp'] as const;
const CURSOR = ['lsn', 'updatedAt'] as const;

/**
 * The sections that `openTables` reads, each where it is there; others are carried along unread.
 * Throws RangeViolation.
 */
export function checkSections(sections: Fields): void {
  const { scalars, writers, chosen, keys, cursors } = sections;
  if (scalars !== undefined) checkScalars(scalars);
  checkPairs('writers', writers, (name, writer, window) => {
    writerId(writer);
    list(name, window, (at, memory) => checkNumbers(at, memory, MEMORY));
  });
  checkPairs('chosen', chosen, (name, _key, memory) => checkNumbers(name, memory, MEMORY));
  checkPairs('keys', keys, (name, _key, entry) => checkNumbers(name, entry, KEY));
  checkPairs('cursors', cursors, (name, _cursor, entry) => checkNumbers(name, entry, CURSOR));
}

function checkScalars(value: unknown): void {
  checkNumbers('scalars', value, SCALARS);
  checkNumbers('scalars.limits', fields('scalars', value).limits, LIMITS);
}

function checkNumbers(name: string, value: unknown, wanted: readonly string[]): void {
  const all = fields(name, value);
  for (const one of wanted) whole(`${name}.${one}`, all[one]);
}

function checkPairs(
  name: string,
  value: unknown,
  check: (name: string, key: string, entry: unknown) => void,
): void {
  if (value === undefined) return;
  list(name, value, (at, pair) => {
    const both = list(at, pair, (_name, part) => part);
    if (both.length !== 2) throw new RangeViolation(at, both.length, 'a key and its entry');
    check(at, text(`${at}[0]`, both[0]), both[1]);
  });
}
