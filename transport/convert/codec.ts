// From bytes to checked values: what every message of every service has in common.
//
// A message is decoded by the generated code, then read field by field. What is out of its range is
// refused by name with INVALID_ARGUMENT, before anything of it is used.

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Codec } from '../../io/network.ts';
import { KEY_BYTES_LIMIT } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Lsn, lsn, NUMBER_MAX, RangeViolation } from '../../protocol/types.ts';

/** The part of a generated message that codecs use. */
export interface Generated<Wire> {
  encode(message: Wire, writer?: BinaryWriter): BinaryWriter;
  decode(input: BinaryReader): Wire;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const strict = (bytes: Uint8Array): string => utf8.decode(bytes);

/**
 * Binds a generated message to its plain value; `name` is what errors call it. `decode` throws
 * JournalError INVALID_ARGUMENT: for bytes that are no such message, and for a value out of its
 * range, which the message names with what is allowed.
 */
export function codec<Message, Wire>(
  name: string,
  generated: Generated<Wire>,
  toWire: (message: Message) => Wire,
  fromWire: (wire: Wire) => Message,
): Codec<Message> {
  return {
    encode: (message) => written(generated, toWire(message)),
    decode: (bytes) => {
      const message = read(name, generated, bytes);
      return refusing(() => fromWire(message));
    },
  };
}

/** Its buffer is used again: a small message costs little more than to grow a new one. */
let writer: BinaryWriter | null = new BinaryWriter();
/** A buffer that a large message has grown beyond this is not kept. */
const KEPT_BYTES_MAX = 64 * 1024;

function written<Wire>(generated: Generated<Wire>, message: Wire): Uint8Array {
  const mine = writer ?? new BinaryWriter();
  // Not there for anybody while it is in use, and gone where encoding throws in the middle.
  writer = null;
  const bytes = generated.encode(message, mine).finish();
  if (bytes.length <= KEPT_BYTES_MAX) writer = mine;
  return bytes;
}

function read<Wire>(name: string, generated: Generated<Wire>, bytes: Uint8Array): Wire {
  try {
    return generated.decode(new BinaryReader(bytes, strict));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new JournalError(
      'INVALID_ARGUMENT',
      `message of ${bytes.length} bytes is no ${name}: ${why}`,
      {},
      'none',
      { cause: error },
    );
  }
}

/** Runs a reader; a RangeViolation becomes a JournalError INVALID_ARGUMENT with its message. */
export function refusing<Value>(reader: () => Value): Value {
  try {
    return reader();
  } catch (error) {
    if (!(error instanceof RangeViolation)) throw error;
    throw new JournalError('INVALID_ARGUMENT', error.message, {}, 'none', { cause: error });
  }
}

/** A 64-bit number that the generated code kept as text, so that no digit was lost. */
export function whole(field: string, text: string, least = 0, most: number = NUMBER_MAX): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeViolation(field, text, range(least, most));
  return within(field, value, least, most);
}

export function within(field: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new RangeViolation(field, value, range(least, most));
  }
  return value;
}

/** A number of no brand from 0 to 2^53 - 1. */
export const count = (field: string, value: number): number => within(field, value, 0, NUMBER_MAX);

const range = (least: number, most: number): string => `a whole number from ${least} to ${most}`;

export const lsnText = (field: string, text: string): Lsn => lsn(whole(field, text), field);

export function optionalLsn(field: string, value: number | undefined): Lsn | undefined {
  return value === undefined ? undefined : lsn(value, field);
}

/** A part that must be there. */
export function present<Value>(field: string, value: Value | undefined): Value {
  if (value === undefined) throw new RangeViolation(field, 'not set', 'a value');
  return value;
}

/** The refusal of a choice that is not set, or that this version does not know. */
export function noChoice(field: string, choices: string): RangeViolation {
  return new RangeViolation(field, 'not set', `one of ${choices}`);
}

export function oneOf<Choice extends string>(
  field: string,
  value: string,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new RangeViolation(field, value, `one of ${choices.join(', ')}`);
  return found;
}

const encoder = new TextEncoder();

/** A key of a record: 1 to 1,024 bytes of UTF-8, which has none for half a surrogate pair. */
export function checkKey(field: string, key: string): string {
  // What JavaScript passes may be anything, whatever the type says.
  if (typeof key !== 'string' || key.length === 0 || !key.isWellFormed()) {
    throw new RangeViolation(field, key, KEY_ALLOWED);
  }
  // A UTF-16 unit takes at most three bytes: only long keys are measured.
  if (key.length * 3 > KEY_BYTES_LIMIT) {
    const bytes = key.length > KEY_BYTES_LIMIT ? key.length : encoder.encode(key).length;
    if (bytes > KEY_BYTES_LIMIT) {
      throw new RangeViolation(field, `${key.slice(0, 32)}… (${bytes} bytes)`, KEY_ALLOWED);
    }
  }
  return key;
}

const KEY_ALLOWED = `1 to ${KEY_BYTES_LIMIT} bytes of UTF-8`;
