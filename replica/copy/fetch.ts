// The giving side of a copy: committed entries for a learner, or one range for a peer whose disk
// damaged it. Nothing that is not committed ever leaves by this door.

import type { Clock } from '../../io/clock.ts';
import { type Handler, serverStream } from '../../io/network.ts';
import { encodeBase } from '../../log/base.ts';
import { endEpoch, epochAt, matchPoint } from '../../protocol/chain/shape.ts';
import { KIB, MIB } from '../../protocol/configuration.ts';
import { deleted, JournalError } from '../../protocol/errors.ts';
import {
  after,
  type Batch,
  type Lsn,
  lastLsn,
  lower,
  micros,
  NO_EPOCH,
  NO_LSN,
} from '../../protocol/types.ts';
import type { FetchAnswer, FetchRequest } from '../../transport/control.ts';
import { peerMethods } from '../../transport/methods.ts';
import type { Host } from '../drive/host.ts';
import type { Access } from '../service/access.ts';

const FRAME_BYTES = 512 * KIB;
const PIECE_BYTES = MIB;
/** A learner that hears nothing for longer takes its source for gone. */
const IDLE = micros(1_000_000);

export interface FetchParts {
  readonly clock: Clock;
  readonly access: Access;
  find(journal: FetchRequest['journal']): Host | undefined;
}

/** Serves `fetch`: ends only with the caller, or when this replica is no good source any more. */
export function fetchHandler(parts: FetchParts): Handler {
  return serverStream(peerMethods.fetch, (request, context) => {
    parts.access(context, 'member', null);
    return fetch(parts, request, context.signal);
  });
}

async function* fetch(
  parts: FetchParts,
  request: FetchRequest,
  signal: AbortSignal,
): AsyncIterable<FetchAnswer> {
  const host = parts.find(request.journal);
  if (host === undefined) {
    throw new JournalError('NOT_FOUND', `this replica has no journal ${request.journal}`);
  }
  if (request.repairFirstLsn > 0) yield* range(host, request);
  else yield* follow(parts, host, request, signal);
}

async function* range(host: Host, request: FetchRequest): AsyncIterable<FetchAnswer> {
  const last = lower(request.repairLastLsn, known(host, request));
  let from = request.repairFirstLsn;
  while (from <= last) {
    // A read brings as much as fits: whoever repairs takes the range alone.
    const batches = (await committed(host, from)).filter(({ header }) => header.firstLsn <= last);
    const end = batches.at(-1);
    if (end === undefined) return;
    yield frame(host, batches);
    from = after(lastLsn(end.header), 1);
  }
}

/**
 * How far this log is surely that of who asks. What a member of the same lineage has committed is
 * in all of them; one that was put out may hold what its successors gave up, and is a help only as
 * far as both logs are of the same epochs.
 */
function known(host: Host, { lineage, shape }: FetchRequest): Lsn {
  if (host.isMember && host.lineage === lineage) return host.committedLsn;
  return lower(host.committedLsn, matchPoint(host.state.shape, shape) ?? NO_LSN);
}

async function* follow(
  parts: FetchParts,
  host: Host,
  { shape, lineage }: FetchRequest,
  signal: AbortSignal,
): AsyncIterable<FetchAnswer> {
  check(host, lineage);
  const match = matchPoint(host.state.shape, shape);
  if (match === null && shape.baseLsn > host.committedLsn) {
    throw new JournalError('UNAVAILABLE', `base is ${shape.baseLsn}, ${host.committedLsn} is here`);
  }
  let at = match === null ? null : lower(match, host.committedLsn);
  while (!signal.aborted) {
    check(host, lineage);
    if (at === null || at < host.state.shape.baseLsn) {
      const base = await host.log.base();
      yield* pieces(encodeBase(base));
      at = base.lsn;
      continue;
    }
    const { lineage: before } = host;
    const batches = await committed(host, after(at, 1)).catch(orBase);
    if (host.lineage !== before) {
      // What was read may have been replaced: whoever learns begins anew.
      throw new JournalError('UNAVAILABLE', `lineage was ${before}, ${host.lineage} is here now`);
    }
    if (batches === null) {
      at = null;
      continue;
    }
    yield batches.length === 0 ? heartbeat(host, at) : frame(host, batches);
    const end = batches.at(-1);
    if (end !== undefined) at = lastLsn(end.header);
    if (at >= host.committedLsn) await host.bell.wait(parts.clock, IDLE, signal);
  }
}

/** What was read was trimmed meanwhile: go on from the base. */
function orBase(error: unknown): null {
  if (error instanceof JournalError && error.code === 'TRIMMED') return null;
  throw error;
}

function check(host: Host, lineage: number): void {
  if (host.closed) throw deleted(host.name);
  if (!host.readable) {
    throw new JournalError('UNAVAILABLE', `this replica does not serve journal ${host.name} now`);
  }
  if (lineage > host.lineage) {
    throw new JournalError('UNAVAILABLE', `lineage is ${lineage}, ${host.lineage} is here`);
  }
}

/** Committed batches from the one that holds `from` on; empty where there are none yet. */
async function committed(host: Host, from: Lsn): Promise<readonly Batch[]> {
  // As known before: what lies above may be cut, and committed anew, while the disk reads.
  const through = host.committedLsn;
  if (from > through) return [];
  const batches = await host.log.read(from, FRAME_BYTES);
  return batches.filter(({ header }) => lastLsn(header) <= through);
}

function frame(host: Host, batches: readonly Batch[]): FetchAnswer {
  const first = batches[0]?.header.firstLsn ?? after(host.committedLsn, 1);
  return { ...heartbeat(host, after(first, -1)), batches: batches.map(({ bytes }) => bytes) };
}

function heartbeat(host: Host, previousLsn: Lsn): Extract<FetchAnswer, { kind: 'batches' }> {
  const { shape } = host.state;
  const previousEpoch =
    epochAt(shape, previousLsn) ?? (shape.endLsn === previousLsn ? endEpoch(shape) : NO_EPOCH);
  return {
    kind: 'batches',
    previousLsn,
    previousEpoch,
    batches: [],
    committedLsn: host.committedLsn,
  };
}

function* pieces(bytes: Uint8Array): Iterable<FetchAnswer> {
  for (let at = 0; ; at += PIECE_BYTES) {
    const last = at + PIECE_BYTES >= bytes.length;
    yield { kind: 'base', piece: bytes.subarray(at, at + PIECE_BYTES), last };
    if (last) return;
  }
}
