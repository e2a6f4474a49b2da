// Refusals between the wire (`journal.v1.ErrorDetail`), their plain value and JournalError.

import type { Codec } from '../../io/network.ts';
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  JournalError,
  type Refusal,
} from '../../protocol/errors.ts';
import * as wire from '../gen/journal.ts';
import type { WireError } from '../public.ts';
import { codec, count, optionalLsn } from './codec.ts';
import { configurationIn, configurationOut } from './configuration.ts';

export const wireErrorCodec: Codec<WireError> = codec(
  'ErrorDetail',
  wire.ErrorDetail,
  wireErrorOut,
  wireErrorIn,
);

export function wireErrorOut(error: WireError): wire.ErrorDetail {
  const { outcome, configuration, ...rest } = error;
  return {
    ...rest,
    outcomeUnknown: outcome === 'unknown',
    configuration: configuration === undefined ? undefined : configurationOut(configuration),
  };
}

export function wireErrorIn(detail: wire.ErrorDetail): WireError {
  const { code, message, retryable, outcomeUnknown, leaseMillis, configuration } = detail;
  return {
    code,
    message,
    retryable,
    outcome: outcomeUnknown ? 'unknown' : 'none',
    firstLsn: optionalLsn('error.first_lsn', detail.firstLsn),
    tailLsn: optionalLsn('error.tail_lsn', detail.tailLsn),
    keyLsn: optionalLsn('error.key_lsn', detail.keyLsn),
    tokenLsn: optionalLsn('error.token_lsn', detail.tokenLsn),
    leaseMillis: leaseMillis === undefined ? undefined : count('error.lease_millis', leaseMillis),
    configuration: configuration === undefined ? undefined : configurationIn(configuration),
  };
}

export function toWireError(error: JournalError): WireError {
  const { code, message, retryable, outcome, details } = error;
  return { code, message, retryable, outcome, ...details };
}

/**
 * A code that only a newer version knows becomes UNAVAILABLE where it may be tried again, else
 * INTERNAL; its message says what it was.
 */
export function fromWireError(error: WireError, options?: { cause?: unknown }): JournalError {
  const known = knownCode(error.code);
  const code = known ?? (error.retryable ? 'UNAVAILABLE' : 'INTERNAL');
  const message = known === undefined ? `${error.code}: ${error.message}` : error.message;
  return new JournalError(code, message, detailsOf(error), error.outcome, options);
}

function knownCode(code: string): ErrorCode | undefined {
  // cast: hasOwn has just shown that the code is one of the keys.
  return Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : undefined;
}

function detailsOf(error: WireError): ErrorDetails {
  const { firstLsn, tailLsn, keyLsn, tokenLsn, leaseMillis, configuration } = error;
  return {
    ...(firstLsn === undefined ? {} : { firstLsn }),
    ...(tailLsn === undefined ? {} : { tailLsn }),
    ...(keyLsn === undefined ? {} : { keyLsn }),
    ...(tokenLsn === undefined ? {} : { tokenLsn }),
    ...(leaseMillis === undefined ? {} : { leaseMillis }),
    ...(configuration === undefined ? {} : { configuration }),
  };
}

/** A machine's refusal inside a message between peers. */
export const refusalCodec: Codec<Refusal> = {
  encode({ code, message, details }) {
    const { retryable } = ERROR_CODES[code];
    return wireErrorCodec.encode({ code, message, retryable, outcome: 'none', ...details });
  },
  decode(bytes) {
    const { code, message, details } = fromWireError(wireErrorCodec.decode(bytes));
    return { code, message, details };
  },
};
