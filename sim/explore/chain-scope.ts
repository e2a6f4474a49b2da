// The chain as a scope of the exhaustive search: how a world is copied, told apart and judged.

import type { ChainMessage } from '../../protocol/chain/messages.ts';
import { type ChainState, RESEND_MICROS } from '../../protocol/chain/state.ts';
import type { Configuration } from '../../protocol/configuration.ts';
import type { BatchHeader, Micros } from '../../protocol/types.ts';
import { applyChain, type ChainAction, chainActions } from './chain-actions.ts';
import { checkWorld } from './chain-checks.ts';
import { type ChainScope, type ChainWorldState, openChainWorld, type Site } from './chain-world.ts';
import type { Scope } from './search.ts';

/** All orders of everything within the bounds of `scope`. */
export function chainScope(name: string, scope: ChainScope): Scope<ChainWorldState, ChainAction> {
  return {
    name,
    open: () => openChainWorld(scope),
    actions: chainActions,
    apply: applyChain,
    copy: copyWorld,
    canonical,
    check: checkWorld,
  };
}

/** Batches, records, messages and configurations never change: only what holds them is copied. */
function copyWorld(world: ChainWorldState): ChainWorldState {
  return {
    ...world,
    sites: world.sites.map(copySite),
    wires: world.wires.map((wire) => ({ ...wire, messages: [...wire.messages] })),
    decided: [...world.decided],
    acknowledged: new Map(world.acknowledged),
    asked: [...world.asked],
    used: { ...world.used },
  };
}

function copySite(site: Site): Site {
  return {
    ...site,
    state: site.state === null ? null : copyState(site.state),
    written: [...site.written],
    durable: [...site.durable],
    operations: [...site.operations],
  };
}

function copyState(state: ChainState): ChainState {
  const { tables } = state;
  return {
    ...state,
    acked: new Map(state.acked),
    burned: new Map(state.burned),
    appends: [...state.appends],
    duplicates: [...state.duplicates],
    reads: state.reads.map((read) => ({ ...read })),
    remoteReads: new Map([...state.remoteReads].map(([read, remote]) => [read, { ...remote }])),
    trims: [...state.trims],
    // The explored appends touch no key, writer or cursor: scalars and undos are all there is.
    tables: { ...tables, undo: [...tables.undo] },
  };
}

// ── What tells two worlds apart ───────────────────────────────────────────────────────────────

function canonical(world: ChainWorldState): string {
  const parts = world.sites.map((site) => siteText(site));
  for (const { from, to, messages } of world.wires) {
    if (messages.length === 0) continue;
    parts.push(`${Number(from)}>${Number(to)}:${messages.map(messageText).join('')}`);
  }
  parts.sort();
  const { used, decided } = world;
  const asked = world.asked.map(({ store, atLeast }) => `${Number(store)}${atLeast}`).join();
  parts.push(
    `${used.appends},${used.crashes},${used.cuts},${used.reads},${used.trims},${used.losses}`,
    configurationText(decided.at(-1)),
    [...world.acknowledged.keys()].join(),
    asked,
  );
  return parts.join('\n');
}

function siteText(site: Site): string {
  const { store, incarnation, state, durable, record, operations, floor, copy } = site;
  const disk = `${headersText(durable)}/${site.baseLsn}/${recordText(record)}`;
  const old = copy === null ? '' : `${headersText(copy.durable)}${recordText(copy.record)}`;
  const low = floor === null ? '' : `${floor.epoch},${floor.lsn},${floor.entryEpoch}`;
  const head = `#${Number(store)}@${incarnation} ${disk} ${low} ${old}`;
  if (state === null) return `${head} down`;
  const waiting = operations.map((operation) => operationText(operation, state));
  return `${head} ${stateText(state)} ${waiting.join(';')}`;
}

function operationText(operation: Site['operations'][number], state: ChainState): string {
  switch (operation.kind) {
    case 'write':
      return `w${headersText(operation.batches.map(({ header }) => header))}`;
    case 'save':
      return `s${recordText(operation.record)}${operation.save - state.nextSave}`;
    case 'truncate':
      return `t${operation.endLsn},${operation.save - state.nextSave}`;
    case 'trim':
      return `b${operation.through}`;
  }
}

/** Times only matter by whether the next resend is due. */
function due(state: ChainState, since: Micros): string {
  return state.now - since >= RESEND_MICROS ? '+' : '-';
}

function stateText(state: ChainState): string {
  const { shape, tables } = state;
  const numbers = [
    state.standing,
    recordText(state.record),
    state.known?.epoch ?? 0,
    state.adopting === 0 ? 0 : state.adopting - state.nextSave,
    state.cutting === 0 ? 0 : state.cutting - state.nextSave,
    shape.baseLsn,
    shape.endLsn,
    shape.runs.map((run) => `${run.epoch}@${run.firstLsn}`).join(' '),
    state.durableLsn,
    state.committedLsn,
    tables.undo.length,
    state.trims.map((trim) => trim.through).join(),
    flags(state),
    state.startLsn ?? '?',
    state.sentLsn ?? '?',
    state.toldLsn ?? '?',
    state.toldBarrier,
    state.barrier,
    [...state.acked.values()]
      .map((entry) => `${Number(entry.store)}:${entry.durableLsn}:${entry.barrier}`)
      .sort()
      .join(' '),
    state.appends.map((append) => append.untilLsn).join(),
    state.reads
      .map((read) => `${read.to.kind === 'member' ? read.to.member.store : 'c'}${read.barrier}`)
      .join(),
    [...state.remoteReads.values()]
      .map((read) => `${read.answer?.committedLsn ?? '?'}${due(state, read.sentAt)}`)
      .join(),
    due(state, state.syncSentAt) + due(state, state.forwardedAt) + due(state, state.relayedAt),
  ];
  return numbers.join('|');
}

function flags(state: ChainState): string {
  const { live, wedged, synced, tooOld, gap, ackDue, relayDue } = state;
  return [live, wedged, synced, tooOld, gap, ackDue, relayDue].map(Number).join('');
}

const headersText = (headers: readonly BatchHeader[]): string =>
  headers.map(({ firstLsn, epoch, bodyCrc }) => `${firstLsn}.${epoch}.${bodyCrc}`).join(' ');

function recordText(record: Site['record']): string {
  if (record === null) return '-';
  return `${configurationText(record.configuration)}m${record.markLsn}${record.retired ? 'r' : ''}`;
}

function configurationText(configuration: Configuration | undefined): string {
  if (configuration === undefined) return '-';
  const { epoch, serving, joining } = configuration;
  const members = serving.map(({ store, incarnation }) => `${Number(store)}@${incarnation}`);
  const last = joining === null ? '' : `+${Number(joining.store)}@${joining.incarnation}`;
  return `e${epoch}[${members.join(' ')}${last}]`;
}

function messageText({ epoch, from, body }: ChainMessage): string {
  const head = `(${epoch} ${from.incarnation} ${body.kind}`;
  switch (body.kind) {
    case 'replicate': {
      const headers = headersText(body.batches.map(({ header }) => header));
      const { startLsn, previousLsn, previousEpoch, committedLsn, barrier } = body;
      const after = `${startLsn} ${previousLsn} ${previousEpoch} ${committedLsn} ${barrier}`;
      return `${head} ${after} ${headers})`;
    }
    case 'ack':
      return `${head} ${body.entries.map((entry) => Object.values(entry).join(':')).join()})`;
    case 'sync':
      return `${head} ${JSON.stringify(body.shape)})`;
    case 'tooOld':
      return `${head} ${body.baseLsn})`;
    case 'readIndex':
      return `${head})`;
    case 'readIndexAnswer':
      return `${head} ${'code' in body.answer ? body.answer.code : body.answer.committedLsn})`;
  }
}
