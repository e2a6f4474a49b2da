// What the head does with requests: remembers what was asked before, judges conditions together
// with the assignment of positions, and says "no" only from committed state.

import { order } from '../configuration.ts';
import { type Refusal, refusal } from '../errors.ts';
import type { BatchHeader, Control, Idempotence, KeyPosition, Lsn } from '../types.ts';
import { after, micros, NO_EPOCH, NO_LSN } from '../types.ts';
import { awaitCommit, firstAfter, notHead, underReplicated } from './commit.ts';
import type {
  AppendCondition,
  AppendRequest,
  ChainEffect,
  ChainReply,
  ChainRequest,
  RequestId,
} from './messages.ts';
import { extended } from './shape.ts';
import { type ChainState, isHead, place } from './state.ts';
import { type AppendMemory, cursorStates, foldBatch, lowestCursor, recall } from './tables.ts';

/** How many refused sequences a head remembers; the oldest go first. */
const BURNED_MAX = 10_000;

export function takeRequest(
  state: ChainState,
  request: RequestId,
  body: ChainRequest,
  effects: ChainEffect[],
): void {
  if (body.kind === 'readIndex' && place(state) !== null && !isHead(state)) {
    askHead(state, request, effects);
    return;
  }
  if (!isHead(state) || state.wedged) {
    refuse(request, notHead(state), effects);
    return;
  }
  switch (body.kind) {
    case 'append':
      takeAppend(state, request, body, effects);
      break;
    case 'trim':
      takeTrim(state, request, body, effects);
      break;
    case 'cursor':
      takeCursor(state, request, body, effects);
      break;
    case 'forget':
      takeForget(state, request, body.key, effects);
      break;
    case 'readIndex':
      prove(state, request, NO_LSN, null);
      break;
    case 'key':
      takeKey(state, request, body.key);
      break;
    case 'cursors': {
      const cursors = cursorStates(state.tables);
      prove(state, request, state.shape.endLsn, { kind: 'cursors', cursors });
    }
  }
}

function refuse(request: RequestId, refused: Refusal, effects: ChainEffect[]): void {
  const reply = { kind: 'refused', refusal: refused, outcome: 'none' } as const;
  effects.push({ kind: 'reply', request, reply });
}

/** A reply that is true only if nothing newer exists: after a commit, and behind a barrier. */
function prove(
  state: ChainState,
  request: RequestId,
  untilLsn: Lsn,
  reply: ChainReply | null,
): void {
  state.reads.push({ to: { kind: 'client', request, reply }, untilLsn, barrier: null });
}

function askHead(state: ChainState, request: RequestId, effects: ChainEffect[]): void {
  const here = place(state);
  if (here === null) return;
  const read = state.nextRead;
  state.nextRead += 1;
  state.remoteReads.set(read, { request, sentAt: state.now, answer: null });
  effects.push({ kind: 'send', to: here.head, body: { kind: 'readIndex', read } });
}

// ── Appends ───────────────────────────────────────────────────────────────────────────────────

function takeAppend(
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
    if (known.kind !== 'new') {
      refuse(request, recallRefusal(known, body.idempotence), effects);
      return;
    }
    if (isBurned(state, body.idempotence)) {
      refuse(request, burnedRefusal(body.idempotence), effects);
      return;
    }
  }
  const refused = admission(state, body);
  if (refused !== null) {
    burn(state, body.idempotence);
    refuse(request, refused, effects);
    return;
  }
  const failed = judge(state, body.condition);
  if (failed !== null) {
    burn(state, body.idempotence);
    const reply = { kind: 'refused', refusal: failed.refused, outcome: 'none' } as const;
    prove(state, request, failed.becauseLsn, reply);
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

/** A refusal burns its sequence, so that what was pipelined behind it is no gap. */
function burn(state: ChainState, idempotence: Idempotence | null): void {
  if (idempotence === null || idempotence.chosen) return;
  state.burned.delete(idempotence.writer);
  state.burned.set(idempotence.writer, idempotence.sequence);
  if (state.burned.size <= BURNED_MAX) return;
  const [oldest] = state.burned.keys();
  if (oldest !== undefined) state.burned.delete(oldest);
}

function isBurned(state: ChainState, idempotence: Idempotence): boolean {
  if (idempotence.chosen) return false;
  return idempotence.sequence < (state.burned.get(idempotence.writer) ?? 0);
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
  else state.duplicates.push({ request, untilLsn, since: state.now, reply });
}

function tooFew(state: ChainState): boolean {
  const configuration = place(state)?.configuration;
  if (configuration === undefined) return true;
  return order(configuration).length < configuration.settings.minReplicas;
}

/** Why no append at all may be taken now, or not this one; null where it may. */
function admission(state: ChainState, body: AppendRequest): Refusal | null {
  const configuration = place(state)?.configuration;
  if (configuration === undefined) return notHead(state);
  if (tooFew(state)) return underReplicated(configuration);
  const { limits } = state.tables.scalars;
  const added = body.keys.filter(({ key }) => !state.tables.keys.has(key)).length;
  if (state.tables.keys.size + added > limits.keys) {
    return refusal('LIMIT_EXCEEDED', `the journal holds ${limits.keys} keys, which is its limit`);
  }
  return null;
}

interface Failed {
  readonly refused: Refusal;
  /** The entry that made the condition fail: "no" is said once it is committed. */
  readonly becauseLsn: Lsn;
}

function judge(state: ChainState, condition: AppendCondition): Failed | null {
  const { dataLsn } = state.tables.scalars;
  const { expectTail, expectKey, fence } = condition;
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
      return { refused: refusal('FENCED', message, details), becauseLsn: tokenLsn };
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
      return { refused: refusal('CONDITION_FAILED', message, details), becauseLsn: keyLsn };
    }
  }
  return null;
}

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

/** A header of one record with nothing special, at `firstLsn`. Times only rise, whatever clocks do. */
function blank(state: ChainState, firstLsn: Lsn): BatchHeader {
  const epoch = state.record?.epoch ?? NO_EPOCH;
  return {
    journal: state.journal,
    firstLsn,
    count: 1,
    epoch,
    timestamp: micros(Math.max(state.tables.scalars.lastTimestamp + 1, state.wall)),
    kind: 'data',
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    keys: [],
    control: null,
    bodyCrc: 0,
    bodyBytes: 0,
  };
}

function write(
  state: ChainState,
  request: RequestId,
  header: BatchHeader,
  effects: ChainEffect[],
  reply: ChainReply,
): void {
  const untilLsn = after(header.firstLsn, header.count - 1);
  state.shape = extended(state.shape, header.epoch, untilLsn);
  foldBatch(state.tables, header);
  effects.push({ kind: 'append', request, header });
  awaitCommit(state, { request, untilLsn, since: state.now, reply });
}

// ── Control entries ───────────────────────────────────────────────────────────────────────────

function writeControl(
  state: ChainState,
  request: RequestId,
  control: Exclude<Control, { kind: 'config' }>,
  trimmedLsn: Lsn,
  effects: ChainEffect[],
): void {
  const configuration = place(state)?.configuration;
  if (configuration === undefined || tooFew(state)) {
    const refused = configuration === undefined ? notHead(state) : underReplicated(configuration);
    refuse(request, refused, effects);
    return;
  }
  const firstLsn = after(state.shape.endLsn, 1);
  const header: BatchHeader = { ...blank(state, firstLsn), kind: control.kind, control };
  if (control.kind === 'trim') state.trims.push({ lsn: firstLsn, through: control.through });
  const firstLeft = firstAfter(trimmedLsn);
  write(state, request, header, effects, { kind: 'applied', lsn: firstLsn, firstLsn: firstLeft });
}

function takeTrim(
  state: ChainState,
  request: RequestId,
  { through, force }: Extract<ChainRequest, { kind: 'trim' }>,
  effects: ChainEffect[],
): void {
  const { trimmedLsn } = state.tables.scalars;
  const holding = lowestCursor(state.tables);
  if (through > state.committedLsn) {
    const details = { tailLsn: state.committedLsn };
    const message = `through is ${through}, allowed is at most ${state.committedLsn}`;
    refuse(request, refusal('OUT_OF_RANGE', message, details), effects);
  } else if (!force && holding !== undefined && through > holding.lsn) {
    const message = `cursor ${holding.name} has consumed up to ${holding.lsn} only`;
    refuse(
      request,
      refusal('CURSOR_HOLDS', message, { firstLsn: firstAfter(trimmedLsn) }),
      effects,
    );
  } else if (through <= trimmedLsn) {
    const firstLsn = firstAfter(trimmedLsn);
    prove(state, request, state.shape.endLsn, { kind: 'applied', lsn: NO_LSN, firstLsn });
  } else {
    writeControl(state, request, { kind: 'trim', through }, through, effects);
  }
}

function takeCursor(
  state: ChainState,
  request: RequestId,
  { name, lsn: at }: Extract<ChainRequest, { kind: 'cursor' }>,
  effects: ChainEffect[],
): void {
  const { limits, trimmedLsn } = state.tables.scalars;
  const known = state.tables.cursors.has(name);
  if (at === null && !known) {
    refuse(request, refusal('NOT_FOUND', `no cursor ${name}`), effects);
  } else if (at !== null && at > state.shape.endLsn) {
    const message = `lsn is ${at}, allowed is at most ${state.shape.endLsn}`;
    refuse(request, refusal('OUT_OF_RANGE', message, { tailLsn: state.shape.endLsn }), effects);
  } else if (at !== null && !known && state.tables.cursors.size >= limits.cursors) {
    const message = `the journal holds ${limits.cursors} cursors, which is its limit`;
    refuse(request, refusal('LIMIT_EXCEEDED', message), effects);
  } else {
    writeControl(state, request, { kind: 'cursor', name, lsn: at }, trimmedLsn, effects);
  }
}

/** Only a key whose lease is over is forgotten; positions never come back, so old tokens stay wrong. */
function takeForget(
  state: ChainState,
  request: RequestId,
  key: string,
  effects: ChainEffect[],
): void {
  const entry = state.tables.keys.get(key);
  if (entry === undefined) {
    refuse(request, refusal('NOT_FOUND', `no record has key ${key}`), effects);
  } else if (entry.timestamp + entry.leaseMillis * 1000 > state.wall) {
    const details = { keyLsn: entry.keyLsn, tokenLsn: entry.tokenLsn };
    refuse(request, refusal('CONDITION_FAILED', `key ${key} is leased`, details), effects);
  } else {
    const { trimmedLsn } = state.tables.scalars;
    writeControl(state, request, { kind: 'forget', key }, trimmedLsn, effects);
  }
}

function takeKey(state: ChainState, request: RequestId, key: string): void {
  const entry = state.tables.keys.get(key);
  const keyLsn = entry?.keyLsn ?? NO_LSN;
  const tokenLsn = entry?.tokenLsn ?? NO_LSN;
  const leaseMillis = entry?.leaseMillis ?? 0;
  prove(state, request, state.shape.endLsn, { kind: 'key', key, keyLsn, tokenLsn, leaseMillis });
}

export function cancelRequest(state: ChainState, request: RequestId): void {
  state.appends = state.appends.filter((append) => append.request !== request);
  state.duplicates = state.duplicates.filter((append) => append.request !== request);
  state.reads = state.reads.filter(({ to }) => to.kind !== 'client' || to.request !== request);
  for (const [read, remote] of state.remoteReads) {
    if (remote.request === request) state.remoteReads.delete(read);
  }
}
