// The hash of a text: the same everywhere and at any time, so simulated processes use it as it is.

import { createHash } from 'node:crypto';

/** First 128 bits of SHA-256 over UTF-8, as 32 lowercase hex digits. */
export const hash128 = (text: string): string =>
  createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 32);
