// Refusals as gRPC statuses and back: one table of codes, and the details that ride along.
//
// A status that our servers send carries a google.rpc.Status with a `journal.v1.ErrorDetail` in
// `grpc-status-details-bin`. One without it was made on the way: by the channel, the other side's
// library or a proxy, and says nothing of what became of the request.

import { status as grpcStatus, Metadata, type StatusObject } from '@grpc/grpc-js';
import { type ErrorCode, JournalError, type Outcome } from '../protocol/errors.ts';
import { fromWireError, toWireError, wireErrorCodec } from './convert/errors.ts';
import { readStatusDetail, writeStatusDetail } from './convert/status-details.ts';

/** The gRPC status of each code, as docs/api.md has it. */
export const GRPC_CODES = {
  INVALID_ARGUMENT: grpcStatus.INVALID_ARGUMENT,
  NOT_FOUND: grpcStatus.NOT_FOUND,
  ALREADY_EXISTS: grpcStatus.ALREADY_EXISTS,
  TRIMMED: grpcStatus.OUT_OF_RANGE,
  OUT_OF_RANGE: grpcStatus.OUT_OF_RANGE,
  CONDITION_FAILED: grpcStatus.FAILED_PRECONDITION,
  FENCED: grpcStatus.ABORTED,
  IDEMPOTENCY_MISMATCH: grpcStatus.FAILED_PRECONDITION,
  STALE_WRITER: grpcStatus.ABORTED,
  SEQUENCE_GAP: grpcStatus.ABORTED,
  CURSOR_HOLDS: grpcStatus.FAILED_PRECONDITION,
  LINEAGE_CHANGED: grpcStatus.FAILED_PRECONDITION,
  LIMIT_EXCEEDED: grpcStatus.RESOURCE_EXHAUSTED,
  NOT_HEAD: grpcStatus.UNAVAILABLE,
  STALE_EPOCH: grpcStatus.UNAVAILABLE,
  UNDER_REPLICATED: grpcStatus.UNAVAILABLE,
  NO_SURVIVOR: grpcStatus.UNAVAILABLE,
  DISK_FULL: grpcStatus.RESOURCE_EXHAUSTED,
  OVERLOADED: grpcStatus.RESOURCE_EXHAUSTED,
  UNAVAILABLE: grpcStatus.UNAVAILABLE,
  DEADLINE_EXCEEDED: grpcStatus.DEADLINE_EXCEEDED,
  CANCELLED: grpcStatus.CANCELLED,
  UNAUTHENTICATED: grpcStatus.UNAUTHENTICATED,
  PERMISSION_DENIED: grpcStatus.PERMISSION_DENIED,
  DAMAGED: grpcStatus.DATA_LOSS,
  INCOMPATIBLE: grpcStatus.FAILED_PRECONDITION,
  INTERNAL: grpcStatus.INTERNAL,
} as const satisfies Record<ErrorCode, grpcStatus>;

const DETAILS_KEY = 'grpc-status-details-bin';

/** Bytes of a message in a status at most: trailers that are too long end the connection. */
const MESSAGE_MAX = 2_000;

/** What a server sends for a refusal. */
export function toStatus(error: JournalError): StatusObject {
  const code = GRPC_CODES[error.code];
  const details = clip(error.message);
  const detail = wireErrorCodec.encode({ ...toWireError(error), message: details });
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(writeStatusDetail(code, details, detail)));
  return { code, details, metadata };
}

const clip = (message: string): string =>
  message.length > MESSAGE_MAX ? `${message.slice(0, MESSAGE_MAX)}…` : message;

/**
 * What a client makes of a status that is not OK. `sent`: whether the request may have reached the
 * other side, which decides the outcome where the status was made on the way.
 */
export function fromStatus(status: StatusObject, sent: boolean, where: string): JournalError {
  const [detail] = status.metadata.get(DETAILS_KEY);
  if (detail instanceof Buffer) {
    const found = detailOf(detail);
    if (found !== undefined) return found;
  }
  const { code, why } = foreign(status);
  const outcome: Outcome = sent && BROKEN_OFF.has(code) ? 'unknown' : 'none';
  const details = status.details.replace(/ Resolution note: $/, '');
  const message = `${where}: ${why ?? (details || grpcStatus[status.code])}`;
  return new JournalError(code, message, {}, outcome);
}

/** Codes of a call that may have been carried out before it broke off: others are refusals. */
const BROKEN_OFF: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'OVERLOADED',
]);

/** Undefined for bytes that are none of ours: the bare status is then all there is. */
function detailOf(bytes: Uint8Array): JournalError | undefined {
  try {
    const detail = readStatusDetail(bytes);
    return detail === undefined ? undefined : fromWireError(wireErrorCodec.decode(detail));
  } catch {
    return undefined;
  }
}

/** A status that was made on the way: the closest code of ours. */
function foreign({ code, details }: StatusObject): { code: ErrorCode; why?: string } {
  switch (code) {
    case grpcStatus.DEADLINE_EXCEEDED:
      return { code: 'DEADLINE_EXCEEDED', why: 'no answer in time' };
    case grpcStatus.UNAUTHENTICATED:
      return { code: 'UNAUTHENTICATED' };
    case grpcStatus.PERMISSION_DENIED:
      return { code: 'PERMISSION_DENIED' };
    case grpcStatus.UNIMPLEMENTED:
      return { code: 'INCOMPATIBLE', why: `does not know the method (${details})` };
    case grpcStatus.INVALID_ARGUMENT:
      return { code: 'INVALID_ARGUMENT' };
    case grpcStatus.RESOURCE_EXHAUSTED:
      // A message over the limit, refused before it was read; else the other side is out of memory.
      return { code: /larger than max/.test(details) ? 'INVALID_ARGUMENT' : 'OVERLOADED' };
    default:
      // A broken connection shows as UNAVAILABLE, CANCELLED, INTERNAL or UNKNOWN.
      return { code: 'UNAVAILABLE' };
  }
}
