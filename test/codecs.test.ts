// Every message of every method crosses the wire unchanged, and no bytes make a decoder do worse
// than refuse them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Codec } from '../io/network.ts';
import { JournalError } from '../protocol/errors.ts';
import * as methods from '../transport/methods.ts';
import { MESSAGES } from './messages.ts';

interface AnyMethod {
  readonly path: string;
  readonly request: Codec<unknown>;
  readonly response: Codec<unknown>;
}

const all = Object.values(methods)
  .flatMap((service) => Object.values<unknown>(service))
  .map((method) => method as AnyMethod);

test('every method has its messages, and no path is used twice', () => {
  const paths = all.map(({ path }) => path).sort();
  assert.deepEqual(paths, Object.keys(MESSAGES).sort());
});

describe('what is encoded is decoded as it was', () => {
  for (const { path, request, response } of all) {
    const [question, answer] = MESSAGES[path] ?? [fc.constant({}), fc.constant({})];
    test(path, () => {
      const same = (codec: Codec<unknown>) => (message: unknown) =>
        assert.deepEqual(codec.decode(codec.encode(message)), message);
      fc.assert(fc.property(question, same(request)), { numRuns: 60 });
      fc.assert(fc.property(answer, same(response)), { numRuns: 60 });
    });
  }
});

/** Decodes bytes that nobody vouches for: a value or a refusal, never anything else. */
function decodes(codec: Codec<unknown>, bytes: Uint8Array): void {
  try {
    codec.decode(bytes);
  } catch (error) {
    assert.ok(error instanceof JournalError, `not a refusal: ${String(error)}`);
    assert.equal(error.code, 'INVALID_ARGUMENT', error.message);
  }
}

describe('bytes from anywhere are refused or read', () => {
  for (const { path, request, response } of all) {
    const [question, answer] = MESSAGES[path] ?? [fc.constant({}), fc.constant({})];
    test(path, () => {
      for (const codec of [request, response]) {
        const noise = fc.uint8Array({ maxLength: 200 });
        fc.assert(
          fc.property(noise, (bytes) => decodes(codec, bytes)),
          { numRuns: 200 },
        );
        // A good message with one byte changed or its end cut off comes much further.
        const message = codec === request ? question : answer;
        const damage = fc.tuple(message, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean());
        fc.assert(
          fc.property(damage, ([value, place, by, cut]) => {
            const bytes = codec.encode(value);
            if (bytes.length === 0) return;
            const at = place % bytes.length;
            if (cut) return decodes(codec, bytes.subarray(0, at));
            const changed = Uint8Array.from(bytes);
            changed[at] = (changed[at] ?? 0) ^ by;
            decodes(codec, changed);
          }),
          { numRuns: 150 },
        );
      }
    });
  }
});
