// The checksum of everything that lies on a disk: CRC-32 as zlib has it, in native code.
//
// docs/decisions/0009-crc-32-of-zlib.md says why it is not CRC-32C.

import { crc32 as native } from 'node:zlib';

/** CRC-32 of `bytes`, going on from `before`: crc32(b, crc32(a)) is the checksum of a then b. */
export function crc32(bytes: Uint8Array, before = 0): number {
  return native(bytes, before);
}
