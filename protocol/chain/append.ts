// What the head does with an append: remembers what was asked before, judges conditions together
// with the assignment of positions, and says "no" only from committed state.

import { type Refusal, refusal } from '../errors.ts';
import {
  after,
  type BatchHeader,
  type Idempotence,
  type KeyPosition,
  type Lsn,
  NO_EPOCH,
  NO_LSN,
  type WriterId,
} from '../types.ts';
import { notHead, underReplicated } from './commit.ts';
import { blank, deny, refuse, tooFew, write } from './entry.ts';
import type {
  AppendCondition,
  AppendRequest,
  ChainEffect,
  ChainReply,
  RequestId,
} from './messages.ts';
import { awake, type ChainState, type Failed, place } from './state.ts';
import { type AppendMemory, recall } from './tables.ts';

/** How many refused sequences a head remembers; the oldest go first. */
const BURNED_MAX = 10_000;

export function takeAppend(
  state: ChainState,
  request: RequestId,
  body: AppendRequest,
  effects: ChainEffect[],
): void {
  if (body.idempotence !== null) {
    const known = recall(state.tables, body.idempotence, body);
    if (known.kind === 'same') {
      awaitDuplicate(state, request, known.memory, effects);
      return;
    }
    const { writer, after: expected } = body.idempotence;
    // A burned number is in no log, and what was pipelined behind it does not wait for it.
    const passed = known.kind === 'gap' && expected <= burnedSequence(state, writer);
    if (known.kind === 'mismatch') {
      // What used the key may be cut away yet: then nobody did.
      const { firstLsn, count } = known.memory;
      const refused = recallRefusal(known, body.idempotence);
      deny(state, request, refused, after(firstLsn, count - 1));
      return;
    }
    if (known.kind !== 'new' && !passed) {
      refuse(request, recallRefusal(known, body.idempotence), effects);
      return;
    }
    if (isBurned(state, body.idempotence)) {
      refuse(request, burnedRefusal(body.idempotence), effects);
      return;
    }
  }
  const refused = admission(state) ?? notYet(state, body.condition);
  if (refused !== null) {
    // It is to be sent again and keeps its number: what was pipelined behind it is a gap till then.
    refuse(request, refused, effects);
    return;
  }
  // A copy that comes late, and that nobody waits for, may find that its condition holds by now.
  const failed = judge(state, body) ?? refusedBefore(state, body.idempotence);
  if (failed !== null) {
    burn(state, body.idempotence, failed);
    deny(state, request, failed.refused, failed.becauseLsn);
    return;
  }
  assign(state, request, body, effects);
}

function recallRefusal(
  known: { readonly kind: 'mismatch' | 'stale' | 'gap'; readonly lastSequence?: number },
  { sequence, after: expected }: Idempotence,
): Refusal {
  switch (known.kind) {
    case 'mismatch':
      return refusal(
        'IDEMPOTENCY_MISMATCH',
        'the idempotency key was used before for an append of other records',
      );
    case 'stale':
      return refusal(
        'STALE_WRITER',
        `sequence ${sequence} is older than what is remembered of this writer`,
      );
    case 'gap':
      return refusal(
        'SEQUENCE_GAP',
        `sequence ${sequence} expects ${expected} in the log, which ends at ${known.lastSequence}`,
      );
  }
}

function burnedRefusal({ sequence }: Idempotence): Refusal {
  return refusal('STALE_WRITER', `sequence ${sequence} was refused before, or passed over`);
}

/**
 * A refusal burns its sequence: it is never appended, and what was pipelined behind it is no gap. A
 * key that a person chose may be asked for again, once its condition holds.
 */
function burn(state: ChainState, idempotence: Idempotence | null, failed: Failed): void {
  if (idempotence === null || idempotence.chosen) return;
  const { writer, sequence } = idempotence;
  state.burned.delete(writer);
  state.burned.set(writer, { sequence, ...failed });
  if (state.burned.size <= BURNED_MAX) return;
  const [oldest] = state.burned.keys();
  if (oldest !== undefined) state.burned.delete(oldest);
}

function isBurned(state: ChainState, idempotence: Idempotence): boolean {
  if (idempotence.chosen) return false;
  return idempotence.sequence < burnedSequence(state, idempotence.writer);
}

const burnedSequence = (state: ChainState, writer: WriterId): number =>
  state.burned.get(writer)?.sequence ?? 0;

/** What this very number was refused for, null where it was not. */
function refusedBefore(state: ChainState, idempotence: Idempotence | null): Failed | null {
  if (idempotence === null || idempotence.chosen) return null;
  const burned = state.burned.get(idempotence.writer);
  return burned?.sequence === idempotence.sequence ? burned : null;
}

/** The answer of the first time: at once where it is committed, else when it is. */
function awaitDuplicate(
  state: ChainState,
  request: RequestId,
  memory: AppendMemory,
  effects: ChainEffect[],
): void {
  const here = place(state);
  if (here !== null && tooFew(state)) {
    const reply = {
      kind: 'refused',
      refusal: underReplicated(here.configuration),
      outcome: 'unknown',
    } as const;
    effects.push({ kind: 'reply', request, reply });
    return;
  }
  const untilLsn = after(memory.firstLsn, memory.count - 1);
  const reply: ChainReply = {
    kind: 'appended',
    firstLsn: memory.firstLsn,
    lastLsn: untilLsn,
    timestamp: memory.timestamp,
    epoch: state.record?.epoch ?? NO_EPOCH,
    duplicate: true,
  };
  if (untilLsn <= state.committedLsn) effects.push({ kind: 'reply', request, reply });
  else state.duplicates.push({ request, untilLsn, since: awake(state), reply });
}

/** Why no append may be taken now; null where one may. */
function admission(state: ChainState): Refusal | null {
  const configuration = place(state)?.configuration;
  if (configuration === undefined) return notHead(state);
  return tooFew(state) ? underReplicated(configuration) : null;
}

/** Who knows of a later lineage than this member is sent on to its head, which is not here. */
function notYet(state: ChainState, { lineage = 0 }: AppendCondition): Refusal | null {
  return lineage > lineageOf(state) ? notHead(state) : null;
}

const lineageOf = (state: ChainState): number => state.record?.configuration.lineage ?? 0;

/** Why these records may not be appended; null where they may. */
function judge(state: ChainState, { condition, keys }: AppendRequest): Failed | null {
  const { dataLsn, limits } = state.tables.scalars;
  const lineage = lineageOf(state);
  if (condition.lineage !== undefined && condition.lineage < lineage) {
    const message = `the condition is of lineage ${condition.lineage}, it is ${lineage} now`;
    return { refused: refusal('LINEAGE_CHANGED', message), becauseLsn: NO_LSN };
  }
  const { expectTail, expectKey, fence } = condition;
  const added = keys.filter(({ key }) => !state.tables.keys.has(key)).length;
  if (state.tables.keys.size + added > limits.keys) {
    const message = `the journal holds ${limits.keys} keys, which is its limit`;
    return { refused: refusal('LIMIT_EXCEEDED', message), becauseLsn: state.shape.endLsn };
  }
  if (expectTail !== null && (dataLsn > expectTail || expectTail > state.shape.endLsn)) {
    const message = `expected tail ${expectTail}, the tail is ${dataLsn}`;
    const refused = refusal('CONDITION_FAILED', message, { tailLsn: dataLsn });
    return { refused, becauseLsn: dataLsn };
  }
  if (fence !== null) {
    const entry = state.tables.keys.get(fence.key);
    const tokenLsn = entry?.tokenLsn ?? NO_LSN;
    if (tokenLsn !== fence.token) {
      const message = `key ${fence.key} is held under token ${tokenLsn}, not ${fence.token}`;
      const leaseMillis = entry?.leaseMillis ?? 0;
      const details = { tokenLsn, keyLsn: entry?.keyLsn ?? NO_LSN, leaseMillis };
      const refused = refusal('FENCED', message, details);
      return { refused, becauseLsn: because(state, tokenLsn) };
    }
  }
  if (expectKey !== null) {
    const entry = state.tables.keys.get(expectKey.key);
    const keyLsn = entry?.keyLsn ?? NO_LSN;
    if (keyLsn !== expectKey.lsn) {
      const message =
        `expected the last record of key ${expectKey.key} at ${expectKey.lsn}, ` +
        `it is at ${keyLsn}`;
      const details = {
        tailLsn: dataLsn,
        keyLsn,
        tokenLsn: entry?.tokenLsn ?? NO_LSN,
        leaseMillis: entry?.leaseMillis ?? 0,
      };
      const refused = refusal('CONDITION_FAILED', message, details);
      return { refused, becauseLsn: because(state, keyLsn) };
    }
  }
  return null;
}

/** What a key without an entry comes from is unknown: it may have been forgotten just now. */
const because = (state: ChainState, at: Lsn): Lsn => (at === NO_LSN ? state.shape.endLsn : at);

/** Gives the batch its place and time (spec: HeadAppend). */
function assign(
  state: ChainState,
  request: RequestId,
  body: AppendRequest,
  effects: ChainEffect[],
): void {
  const firstLsn = after(state.shape.endLsn, 1);
  const keys: KeyPosition[] = body.keys.map(({ key, offset }) => ({
    key,
    lsn: after(firstLsn, offset),
  }));
  const header: BatchHeader = {
    ...blank(state, firstLsn),
    count: body.count,
    keyOperation: body.keyOperation,
    leaseMillis: body.leaseMillis,
    idempotence: body.idempotence,
    keys,
    bodyCrc: body.bodyCrc,
    bodyBytes: body.bodyBytes,
  };
  const last = after(firstLsn, body.count - 1);
  write(state, request, header, effects, {
    kind: 'appended',
    firstLsn,
    lastLsn: last,
    timestamp: header.timestamp,
    epoch: header.epoch,
    duplicate: false,
  });
}
