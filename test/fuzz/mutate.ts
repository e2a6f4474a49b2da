// Changes bytes the way that breaks decoders: flips, lengths that lie, parts cut and doubled.

import type { Draw } from '../draw.ts';

const INPUT_BYTES_MAX = 8_192;
const NUMBERS = [0, 1, 2, 127, 128, 255, 256, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];
/** What lies in texts, flags and JSON. */
const WORDS = [
  '{',
  '}',
  '[',
  '"',
  ':',
  ',',
  '-',
  '--',
  '=',
  '.',
  '\0',
  'null',
  '1e999',
  '\u{1f980}',
];

/** One to four changes of an input, with a second one to take parts from. */
export function mutated(input: Uint8Array, other: Uint8Array, draw: Draw): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let changes = 1 + draw(4); changes > 0; changes -= 1) bytes = change(bytes, other, draw);
  return bytes.length > INPUT_BYTES_MAX ? bytes.subarray(0, INPUT_BYTES_MAX) : bytes;
}

function change(bytes: Buffer, other: Uint8Array, draw: Draw): Buffer {
  const at = draw(bytes.length + 1);
  const some = 1 + draw(16);
  switch (draw(9)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << draw(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = draw(256);
      return bytes;
    case 2:
      return putNumber(bytes, at, draw);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some)]);
    case 4:
      return bytes.subarray(0, at);
    case 5: {
      const part = bytes.subarray(at, at + some);
      return Buffer.concat([bytes.subarray(0, at), part, part, bytes.subarray(at)]);
    }
    case 6: {
      const from = draw(other.length + 1);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + 4 * some)]);
    }
    case 7: {
      const word = Buffer.from(WORDS[draw(WORDS.length)] ?? '');
      return Buffer.concat([bytes.subarray(0, at), word, bytes.subarray(at)]);
    }
    default: {
      const noise = Buffer.from(Array.from({ length: some }, () => draw(256)));
      return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
    }
  }
}

/** Numbers of 4 bytes where a length may be, small changes of what is there included. */
function putNumber(bytes: Buffer, at: number, draw: Draw): Buffer {
  if (at + 4 > bytes.length) return bytes;
  const before = bytes.readUInt32LE(at);
  const near = (before + draw(5) - 2) >>> 0;
  const value = draw(2) === 0 ? near : (NUMBERS[draw(NUMBERS.length)] ?? 0);
  bytes.writeUInt32LE(value >>> 0, at);
  return bytes;
}
