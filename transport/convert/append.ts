// Appends between the wire and their plain values: the request that is refused in most ways.

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { Codec } from '../../io/network.ts';
import type { AppendCondition } from '../../protocol/chain/messages.ts';
import { LEASE_MILLIS_LIMIT } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  epoch,
  type Idempotence,
  journalId,
  journalName,
  type KeyOperation,
  lsn,
  micros,
  RangeViolation,
  writerId,
} from '../../protocol/types.ts';
import * as wire from '../gen/journal.ts';
import type { AppendAnswer, AppendCall, AppendStreamAnswer, UnreadableAppend } from '../public.ts';
import { checkKey, codec, count, lsnText, noChoice, present, refusing, whole } from './codec.ts';
import { wireErrorIn, wireErrorOut } from './errors.ts';
import { checkRecordCount, newRecordsIn, newRecordsOut } from './records.ts';

const appendMessage = codec('AppendRequest', wire.AppendRequest, appendOut, appendIn);

export const appendCodec: Codec<AppendCall> = {
  encode: appendMessage.encode,
  decode(bytes) {
    checkRecordCount(bytes);
    return appendMessage.decode(bytes);
  },
};

/**
 * Appends of a stream: one that is out of a range is given as such, to be refused by its number,
 * for those pipelined behind it are not at fault. Bytes that are no message end the stream.
 */
export const streamedAppendCodec: Codec<AppendCall | UnreadableAppend> = {
  encode(call) {
    if ('unreadable' in call) throw call.unreadable;
    return appendMessage.encode(call);
  },
  decode(bytes) {
    try {
      return appendCodec.decode(bytes);
    } catch (error) {
      const text = error instanceof JournalError ? numberOf(bytes) : undefined;
      if (!(error instanceof JournalError) || text === undefined) throw error;
      return { tag: refusing(() => whole('tag', text)), unreadable: error };
    }
  },
};

const TAG_FIELD = 7;

/** The tag of a request as text; undefined for bytes that are no message. */
function numberOf(request: Uint8Array): string | undefined {
  let tag = '0';
  try {
    const reader = new BinaryReader(request);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === TAG_FIELD && type === WireType.Varint) tag = reader.int64().toString();
      else reader.skip(type, field);
    }
  } catch {
    return undefined;
  }
  return tag;
}

const operations = {
  tag: wire.KeyOperation.KEY_OPERATION_TAG,
  claim: wire.KeyOperation.KEY_OPERATION_CLAIM,
  renew: wire.KeyOperation.KEY_OPERATION_RENEW,
  release: wire.KeyOperation.KEY_OPERATION_RELEASE,
} as const satisfies Record<KeyOperation, wire.KeyOperation>;

function operationIn(value: wire.KeyOperation): KeyOperation {
  switch (value) {
    case wire.KeyOperation.KEY_OPERATION_UNSPECIFIED:
    case wire.KeyOperation.KEY_OPERATION_TAG:
      return 'tag';
    case wire.KeyOperation.KEY_OPERATION_CLAIM:
      return 'claim';
    case wire.KeyOperation.KEY_OPERATION_RENEW:
      return 'renew';
    case wire.KeyOperation.KEY_OPERATION_RELEASE:
      return 'release';
    default:
      throw new RangeViolation('key_operation', value, '0 to 4 (tag, claim, renew, release)');
  }
}

function appendOut(call: AppendCall): wire.AppendRequest {
  const { journal, records, condition, keyOperation, leaseMillis, idempotence, tag } = call;
  return {
    journal,
    records: newRecordsOut(records),
    condition: conditionOut(condition),
    keyOperation: operations[keyOperation],
    leaseMillis: leaseMillis.toString(),
    idempotence: idempotence === null ? undefined : idempotenceOut(idempotence),
    tag: tag.toString(),
    journalId: call.journalId ?? '',
  };
}

function appendIn(request: wire.AppendRequest): AppendCall {
  const { condition, idempotence } = request;
  return {
    journal: journalName(request.journal),
    records: newRecordsIn(request.records),
    condition: conditionIn(condition),
    keyOperation: operationIn(request.keyOperation),
    leaseMillis: whole('lease_millis', request.leaseMillis, 0, LEASE_MILLIS_LIMIT),
    idempotence: idempotence === undefined ? null : idempotenceIn(idempotence),
    tag: whole('tag', request.tag),
    journalId: request.journalId === '' ? undefined : journalId(request.journalId),
  };
}

function conditionOut(condition: AppendCondition): wire.AppendCondition | undefined {
  const { expectTail, expectKey, fence, lineage } = condition;
  const none = expectTail === null && expectKey === null && fence === null;
  if (none && lineage === undefined) return undefined;
  return {
    lineage,
    expectTail: expectTail?.toString(),
    expectKey:
      expectKey === null ? undefined : { key: expectKey.key, lsn: expectKey.lsn.toString() },
    fence: fence === null ? undefined : { key: fence.key, token: fence.token.toString() },
  };
}

function conditionIn(condition: wire.AppendCondition | undefined): AppendCondition {
  const { expectTail, expectKey, fence, lineage } = condition ?? {};
  return {
    lineage: lineage === undefined ? undefined : count('condition.lineage', lineage),
    expectTail: expectTail === undefined ? null : lsnText('condition.expect_tail', expectTail),
    expectKey:
      expectKey === undefined
        ? null
        : {
            key: checkKey('condition.expect_key.key', expectKey.key),
            lsn: lsnText('condition.expect_key.lsn', expectKey.lsn),
          },
    fence:
      fence === undefined
        ? null
        : {
            key: checkKey('condition.fence.key', fence.key),
            token: lsnText('condition.fence.token', fence.token),
          },
  };
}

function idempotenceOut(idempotence: Idempotence): wire.Idempotence {
  const { writer, sequence, after, chosen } = idempotence;
  return { writer, sequence: sequence.toString(), after: after.toString(), chosen };
}

function idempotenceIn(idempotence: wire.Idempotence): Idempotence {
  return {
    writer: writerId(idempotence.writer),
    sequence: whole('idempotence.sequence', idempotence.sequence, 1),
    after: whole('idempotence.after', idempotence.after),
    chosen: idempotence.chosen,
  };
}

export const appendAnswerCodec: Codec<AppendAnswer> = codec(
  'AppendResponse',
  wire.AppendResponse,
  (answer) => answer,
  answerIn,
);

function answerIn(answer: wire.AppendResponse): AppendAnswer {
  return {
    tag: count('tag', answer.tag),
    firstLsn: lsn(answer.firstLsn, 'first_lsn'),
    lastLsn: lsn(answer.lastLsn, 'last_lsn'),
    timestampMicros: micros(answer.timestampMicros, 'timestamp_micros'),
    epoch: epoch(answer.epoch),
    duplicate: answer.duplicate,
  };
}

export const appendStreamAnswerCodec: Codec<AppendStreamAnswer> = codec(
  'AppendStreamResponse',
  wire.AppendStreamResponse,
  streamAnswerOut,
  streamAnswerIn,
);

function streamAnswerOut(answer: AppendStreamAnswer): wire.AppendStreamResponse {
  if (answer.kind === 'appended') return { result: { $case: 'appended', value: answer.answer } };
  const { tag, error } = answer;
  return { result: { $case: 'refused', value: { tag, error: wireErrorOut(error) } } };
}

function streamAnswerIn({ result }: wire.AppendStreamResponse): AppendStreamAnswer {
  switch (result?.$case) {
    case 'appended':
      return { kind: 'appended', answer: answerIn(result.value) };
    case 'refused':
      return {
        kind: 'refused',
        tag: count('tag', result.value.tag),
        error: wireErrorIn(present('refused.error', result.value.error)),
      };
    default:
      throw noChoice('result', 'appended, refused');
  }
}
