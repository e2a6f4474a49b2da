// The google.rpc.Status in which gRPC carries details of an error, ours among others.

import { BinaryReader } from '@bufbuild/protobuf/wire';
import * as wire from '../gen/rpc_status.ts';

const TYPE_URL = 'type.googleapis.com/journal.v1.ErrorDetail';

/** `detail` is an encoded journal.v1.ErrorDetail. */
export function writeStatusDetail(code: number, message: string, detail: Uint8Array): Uint8Array {
  const details = [{ typeUrl: TYPE_URL, value: detail }];
  return wire.Status.encode({ code, message, details }).finish();
}

/** The encoded journal.v1.ErrorDetail, undefined where there is none. Throws on broken bytes. */
export function readStatusDetail(bytes: Uint8Array): Uint8Array | undefined {
  const { details } = wire.Status.decode(new BinaryReader(bytes));
  return details.find(({ typeUrl }) => typeUrl === TYPE_URL)?.value;
}
