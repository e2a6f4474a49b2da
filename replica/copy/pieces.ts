// A base that comes in pieces, put together again.

import { decodeBase } from '../../log/base.ts';
import type { Base } from '../../log/log.ts';
import { MIB } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { FetchAnswer } from '../../transport/control.ts';

const BASE_BYTES_MAX = 1024 * MIB;

export class Pieces {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** The base, with its last piece; null until then. Throws DAMAGED for one that is too big. */
  add({ piece, last }: Extract<FetchAnswer, { kind: 'base' }>): Base | null {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes > BASE_BYTES_MAX) {
      throw new JournalError('DAMAGED', `a base of over ${BASE_BYTES_MAX} bytes came`);
    }
    if (!last) return null;
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    return decodeBase(bytes);
  }
}
