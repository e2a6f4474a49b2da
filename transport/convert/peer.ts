// The Peer service between the wire and the plain values of ../peer.ts and ../control.ts.
//
// Batches pass through as the bytes they are.

import type { Codec } from '../../io/network.ts';
import type { AckEntry, LogShape } from '../../protocol/chain/messages.ts';
import type { MemberKey } from '../../protocol/configuration.ts';
import { epoch, journalId, lsn, storeId } from '../../protocol/types.ts';
import type { FetchAnswer, FetchRequest } from '../control.ts';
import * as wire from '../gen/peer.ts';
import type { PeerFrame, WireChainBody } from '../peer.ts';
import { codec, count, noChoice, present } from './codec.ts';
import { memberKeyIn } from './configuration.ts';
import { refusalCodec } from './errors.ts';

export const peerFrameCodec: Codec<PeerFrame> = codec(
  'PeerFrame',
  wire.PeerFrame,
  frameOut,
  frameIn,
);

function frameOut(frame: PeerFrame): wire.PeerFrame {
  if (frame.kind === 'hello') return { frame: { $case: 'hello', value: frame } };
  if (frame.kind === 'room') return { frame: { $case: 'room', value: { full: frame.full } } };
  const { journal, lineage, epoch: number, from, body } = frame.message;
  const value = { journal, lineage, epoch: number, from, body: bodyOut(body) };
  return { frame: { $case: 'chain', value } };
}

function frameIn({ frame }: wire.PeerFrame): PeerFrame {
  switch (frame?.$case) {
    case 'hello': {
      const { cluster, featureLevelMin, featureLevelMax, from, address } = frame.value;
      return {
        kind: 'hello',
        cluster,
        featureLevelMin: count('feature_level_min', featureLevelMin),
        featureLevelMax: count('feature_level_max', featureLevelMax),
        from: fromIn(from),
        address,
      };
    }
    case 'chain': {
      const { journal, lineage, epoch: number, from, body } = frame.value;
      const message = {
        journal: journalId(journal),
        lineage: count('lineage', lineage),
        epoch: epoch(number),
        from: fromIn(from),
        body: bodyIn(body),
      };
      return { kind: 'chain', message };
    }
    case 'room':
      return { kind: 'room', full: frame.value.full };
    default:
      throw noChoice('frame', 'hello, chain, room');
  }
}

const fromIn = (from: wire.MemberKey | undefined): MemberKey => memberKeyIn(present('from', from));

type Body = NonNullable<wire.ChainMessage['body']>;

function bodyOut(body: WireChainBody): Body {
  switch (body.kind) {
    case 'replicate':
      return { $case: 'replicate', value: { ...body, batches: [...body.batches] } };
    case 'ack':
      return { $case: 'ack', value: { entries: [...body.entries] } };
    case 'sync':
      return { $case: 'sync', value: { shape: shapeOut(body.shape) } };
    case 'tooOld':
      return { $case: 'tooOld', value: { baseLsn: body.baseLsn } };
    case 'readIndex':
      return { $case: 'readIndex', value: { read: body.read } };
    case 'readIndexAnswer':
      return { $case: 'readIndexAnswer', value: { read: body.read, answer: answerOut(body) } };
  }
}

type ReadIndexAnswer = Extract<WireChainBody, { kind: 'readIndexAnswer' }>;

function answerOut({ answer }: ReadIndexAnswer): NonNullable<wire.ReadIndexAnswer['answer']> {
  return 'code' in answer
    ? { $case: 'refusal', value: { errorDetail: refusalCodec.encode(answer) } }
    : { $case: 'position', value: answer };
}

function answerIn(answer: wire.ReadIndexAnswer['answer']): ReadIndexAnswer['answer'] {
  switch (answer?.$case) {
    case 'position':
      return {
        committedLsn: lsn(answer.value.committedLsn, 'committed_lsn'),
        dataLsn: lsn(answer.value.dataLsn, 'data_lsn'),
      };
    case 'refusal':
      return refusalCodec.decode(answer.value.errorDetail);
    default:
      throw noChoice('read_index_answer.answer', 'position, refusal');
  }
}

function bodyIn(body: Body | undefined): WireChainBody {
  switch (body?.$case) {
    case 'replicate':
      return replicateIn(body.value);
    case 'ack':
      return { kind: 'ack', entries: body.value.entries.map(ackIn) };
    case 'sync':
      return { kind: 'sync', shape: shapeIn(body.value.shape) };
    case 'tooOld':
      return { kind: 'tooOld', baseLsn: lsn(body.value.baseLsn, 'base_lsn') };
    case 'readIndex':
      return { kind: 'readIndex', read: count('read', body.value.read) };
    case 'readIndexAnswer': {
      const { read, answer } = body.value;
      return { kind: 'readIndexAnswer', read: count('read', read), answer: answerIn(answer) };
    }
    default:
      throw noChoice('body', 'replicate, ack, sync, too_old, read_index, read_index_answer');
  }
}

function replicateIn(replicate: wire.Replicate): Extract<WireChainBody, { kind: 'replicate' }> {
  return {
    kind: 'replicate',
    startLsn: lsn(replicate.startLsn, 'start_lsn'),
    previousLsn: lsn(replicate.previousLsn, 'previous_lsn'),
    previousEpoch: epoch(replicate.previousEpoch, 'previous_epoch'),
    batches: replicate.batches,
    committedLsn: lsn(replicate.committedLsn, 'committed_lsn'),
    barrier: count('barrier', replicate.barrier),
  };
}

export function ackIn({ store, durableLsn, barrier }: wire.AckEntry): AckEntry {
  return {
    store: storeId(store),
    durableLsn: lsn(durableLsn, 'durable_lsn'),
    barrier: count('barrier', barrier),
  };
}

const shapeOut = (shape: LogShape): wire.LogShape => ({ ...shape, runs: [...shape.runs] });

function shapeIn(shape: wire.LogShape | undefined): LogShape {
  const { baseLsn, baseEpoch, endLsn, runs } = present('shape', shape);
  return {
    baseLsn: lsn(baseLsn, 'base_lsn'),
    baseEpoch: epoch(baseEpoch, 'base_epoch'),
    endLsn: lsn(endLsn, 'end_lsn'),
    runs: runs.map((run) => ({ epoch: epoch(run.epoch), firstLsn: lsn(run.firstLsn) })),
  };
}

export const fetchCodec: Codec<FetchRequest> = codec(
  'FetchRequest',
  wire.FetchRequest,
  (request) => ({ ...request, shape: shapeOut(request.shape) }),
  ({ journal, lineage, shape, repairFirstLsn, repairLastLsn }) => ({
    journal: journalId(journal),
    lineage: count('lineage', lineage),
    shape: shapeIn(shape),
    repairFirstLsn: lsn(repairFirstLsn, 'repair_first_lsn'),
    repairLastLsn: lsn(repairLastLsn, 'repair_last_lsn'),
  }),
);

export const fetchAnswerCodec: Codec<FetchAnswer> = codec(
  'FetchResponse',
  wire.FetchResponse,
  fetchedOut,
  fetchedIn,
);

function fetchedOut(answer: FetchAnswer): wire.FetchResponse {
  if (answer.kind === 'base') {
    const { piece, last } = answer;
    return { part: { $case: 'base', value: { piece, last } } };
  }
  return { part: { $case: 'batches', value: { ...answer, batches: [...answer.batches] } } };
}

function fetchedIn({ part }: wire.FetchResponse): FetchAnswer {
  switch (part?.$case) {
    case 'base':
      return { kind: 'base', piece: part.value.piece, last: part.value.last };
    case 'batches': {
      const { previousLsn, previousEpoch, batches, committedLsn } = part.value;
      return {
        kind: 'batches',
        previousLsn: lsn(previousLsn, 'previous_lsn'),
        previousEpoch: epoch(previousEpoch, 'previous_epoch'),
        batches,
        committedLsn: lsn(committedLsn, 'committed_lsn'),
      };
    }
    default:
      throw noChoice('part', 'base, batches');
  }
}
