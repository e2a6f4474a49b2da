// Requests at a member: what the head takes itself, and what is asked of it from elsewhere.

import { refusal } from '../errors.ts';
import { after, type BatchHeader, type Control, type Lsn, NO_LSN } from '../types.ts';
import { takeAppend } from './append.ts';
import { firstAfter, notHead, underReplicated } from './commit.ts';
import { blank, deny, prove, refuse, tooFew, write } from './entry.ts';
import type { ChainEffect, ChainRequest, RequestId } from './messages.ts';
import { type ChainState, isHead, place } from './state.ts';
import { cursorStates, lowestCursor } from './tables.ts';

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

function askHead(state: ChainState, request: RequestId, effects: ChainEffect[]): void {
  const here = place(state);
  if (here === null) return;
  const read = state.nextRead;
  state.nextRead += 1;
  state.remoteReads.set(read, { request, sentAt: state.now, answer: null });
  effects.push({ kind: 'send', to: here.head, body: { kind: 'readIndex', read } });
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
  const { endLsn } = state.shape;
  // Not only what this head knows to be committed: a new one lags behind what was acknowledged. The
  // entry lies above what it names, so it is carried out once both are committed.
  if (through > endLsn) {
    const details = { tailLsn: endLsn };
    const message = `through is ${through}, allowed is at most ${endLsn}`;
    deny(state, request, refusal('OUT_OF_RANGE', message, details));
  } else if (!force && holding !== undefined && through > holding.lsn) {
    const message = `cursor ${holding.name} has consumed up to ${holding.lsn} only`;
    const details = { firstLsn: firstAfter(trimmedLsn) };
    deny(state, request, refusal('CURSOR_HOLDS', message, details));
  } else if (through <= trimmedLsn) {
    const firstLsn = firstAfter(trimmedLsn);
    prove(state, request, endLsn, { kind: 'applied', lsn: NO_LSN, firstLsn });
  } else {
    writeControl(state, request, { kind: 'trim', through }, through, effects);
  }
}

function takeCursor(
  state: ChainState,
  request: RequestId,
  { name, lsn: at, expectEnd }: Extract<ChainRequest, { kind: 'cursor' }>,
  effects: ChainEffect[],
): void {
  const { limits, trimmedLsn } = state.tables.scalars;
  const known = state.tables.cursors.has(name);
  const { endLsn } = state.shape;
  if (expectEnd !== null && expectEnd !== endLsn) {
    const message = `expected the end ${expectEnd}, it is ${endLsn}`;
    deny(state, request, refusal('CONDITION_FAILED', message, { tailLsn: endLsn }));
  } else if (at === null && !known) {
    deny(state, request, refusal('NOT_FOUND', `no cursor ${name}`));
  } else if (at !== null && at > endLsn) {
    const message = `lsn is ${at}, allowed is at most ${endLsn}`;
    deny(state, request, refusal('OUT_OF_RANGE', message, { tailLsn: endLsn }));
  } else if (at !== null && !known && state.tables.cursors.size >= limits.cursors) {
    const message = `the journal holds ${limits.cursors} cursors, which is its limit`;
    deny(state, request, refusal('LIMIT_EXCEEDED', message));
  } else {
    writeControl(state, request, { kind: 'cursor', name, lsn: at }, trimmedLsn, effects);
  }
}

/** Only a key whose lease is over is forgotten; positions never return: old tokens stay wrong. */
function takeForget(
  state: ChainState,
  request: RequestId,
  key: string,
  effects: ChainEffect[],
): void {
  const entry = state.tables.keys.get(key);
  if (entry === undefined) {
    deny(state, request, refusal('NOT_FOUND', `no record has key ${key}`));
  } else if (entry.timestamp + entry.leaseMillis * 1000 > state.wall) {
    const details = { keyLsn: entry.keyLsn, tokenLsn: entry.tokenLsn };
    deny(state, request, refusal('CONDITION_FAILED', `key ${key} is leased`, details));
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
