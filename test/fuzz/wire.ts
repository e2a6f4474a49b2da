// The decoders of what comes over the network.

import { Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';
import type { Codec } from '../../io/network.ts';
import { JournalError } from '../../protocol/errors.ts';
import { lsn } from '../../protocol/types.ts';
import * as methods from '../../transport/methods.ts';
import { fromStatus, toStatus } from '../../transport/status.ts';
import { MESSAGES } from '../messages.ts';
import type { Decoder } from './decoder.ts';

interface AnyMethod {
  readonly path: string;
  readonly request: Codec<unknown>;
  readonly response: Codec<unknown>;
}

const all = Object.values(methods)
  .flatMap((service) => Object.values<unknown>(service))
  .map((method) => method as AnyMethod);

const SAMPLES = 24;

/** `Journal/Append` of `/journal.v1.Journal/Append`. */
const shortened = (path: string): string => path.split('.').at(-1) ?? path;

function codecs({ path, request, response }: AnyMethod): Decoder[] {
  const [question, answer] = MESSAGES[path] ?? [fc.constant({}), fc.constant({})];
  const of = (codec: Codec<unknown>, message: fc.Arbitrary<unknown>, end: string): Decoder => ({
    name: `${shortened(path)}/${end}`,
    seeds: () => fc.sample(message, { numRuns: SAMPLES, seed: 7 }).map((one) => codec.encode(one)),
    decode: (bytes) => codec.decode(bytes),
  });
  return [of(request, question, 'request'), of(response, answer, 'answer')];
}

const DETAILS_KEY = 'grpc-status-details-bin';

/** The details of a refusal, as gRPC carries them beside the code. */
const status: Decoder = {
  name: 'status-details',
  seeds: () => {
    const refusal = new JournalError('CONDITION_FAILED', 'no', { tailLsn: lsn(7) });
    const [bytes] = toStatus(refusal).metadata.get(DETAILS_KEY);
    return bytes instanceof Buffer ? [bytes] : [];
  },
  decode: (bytes) => {
    const metadata = new Metadata();
    metadata.set(DETAILS_KEY, Buffer.from(bytes));
    const { code } = fromStatus({ code: 9, details: 'x', metadata }, true, 'a');
    return { kind: code };
  },
};

export const WIRE: readonly Decoder[] = [...all.flatMap(codecs), status];
