// What may happen next in the world of a chain, and how it happens: one list of choices for random
// walks, scenarios and exhaustive search alike.

import type { ChainRequest } from '../../protocol/chain/messages.ts';
import { NO_CONDITION } from '../../protocol/chain/messages.ts';
import { epochAt, matchPoint } from '../../protocol/chain/shape.ts';
import { type ChainState, outstanding } from '../../protocol/chain/state.ts';
import { type Configuration, findMember, head } from '../../protocol/configuration.ts';
import { invariant } from '../../protocol/errors.ts';
import { type Batch, lastLsn, lsn, NO_LSN, type StoreId } from '../../protocol/types.ts';
import type { Asked, ChainWorldState, Site } from './chain-parts.ts';
import { noteJoined, successors } from './chain-rules.ts';
import {
  boot,
  finishOperation,
  latest,
  NO_BYTES,
  run,
  saveApart,
  shapeOf,
  tablesOf,
  tickOf,
} from './chain-world.ts';
import { isGone, savesAtOnce } from './lean/rules.ts';

export type ChainAction =
  | { readonly kind: 'deliver'; readonly wire: number }
  | { readonly kind: 'disk'; readonly site: number }
  /** A save ends before writes that were asked for first. */
  | { readonly kind: 'save'; readonly site: number }
  /** Hears of the configuration of this epoch, or of the newest. */
  | { readonly kind: 'configure'; readonly site: number; readonly epoch?: number }
  | { readonly kind: 'tick'; readonly site: number }
  | { readonly kind: 'append'; readonly site: number }
  | { readonly kind: 'trim'; readonly site: number }
  | { readonly kind: 'read'; readonly site: number }
  | { readonly kind: 'crash'; readonly site: number }
  | { readonly kind: 'start'; readonly site: number }
  | { readonly kind: 'cut'; readonly wire: number }
  | { readonly kind: 'copy'; readonly site: number }
  | { readonly kind: 'restore'; readonly site: number }
  | { readonly kind: 'loseEnd'; readonly site: number }
  | { readonly kind: 'learn'; readonly site: number; readonly source: number }
  /** With a site: decided, and heard of there at once. */
  | { readonly kind: 'decide'; readonly next: Configuration; readonly site?: number };

// ── Actions ───────────────────────────────────────────────────────────────────────────────────

/** Everything that may happen next. */
export function chainActions(world: ChainWorldState): ChainAction[] {
  const { scope, used } = world;
  const actions: ChainAction[] = [];
  const still = !scope.patient || isStill(world);
  for (const [wire, { to, messages }] of world.wires.entries()) {
    if (messages.length === 0 || isGoneStore(world, to)) continue;
    actions.push({ kind: 'deliver', wire });
    if (used.cuts < scope.cuts) actions.push({ kind: 'cut', wire });
  }
  for (const [site, at] of world.sites.entries()) {
    const { state, operations } = at;
    if (isGone(world, at)) continue;
    if (state === null) {
      actions.push({ kind: 'start', site });
      if (used.losses < scope.losses) {
        if (world.sites[site]?.copy != null) actions.push({ kind: 'restore', site });
        actions.push({ kind: 'loseEnd', site });
      }
      continue;
    }
    if (used.losses < scope.losses) actions.push({ kind: 'copy', site });
    if (operations.length > 0) actions.push({ kind: 'disk', site });
    if (scope.savesApart && saveApart(at) > 0) actions.push({ kind: 'save', site });
    if (used.crashes < scope.crashes) actions.push({ kind: 'crash', site });
    addNews(world, site, state, actions);
    if (state.live && state.record?.configuration !== undefined) {
      const leads = head(state.record.configuration)?.store === state.me.store;
      if (leads && used.appends < scope.appends) actions.push({ kind: 'append', site });
      if (leads && used.trims < scope.trims) actions.push({ kind: 'trim', site });
      if (used.reads < scope.reads) actions.push({ kind: 'read', site });
      if (still && outstanding(state)) actions.push({ kind: 'tick', site });
    }
    addLearning(world, site, actions);
  }
  if (latest(world).epoch < scope.epochs) addDecisions(world, actions);
  return actions;
}

function isGoneStore(world: ChainWorldState, store: StoreId): boolean {
  const site = world.sites.find((one) => one.store === store);
  return site !== undefined && isGone(world, site);
}

/**
 * To members a decision is what they hear of it: where no other can follow on it, deciding when the
 * first of them hears is the same as deciding before.
 */
function addDecisions(world: ChainWorldState, actions: ChainAction[]): void {
  const { lean, epochs } = world.scope;
  const last = lean === true && latest(world).epoch + 1 === epochs;
  for (const next of successors(world)) {
    if (!last) {
      actions.push({ kind: 'decide', next });
      continue;
    }
    for (const [site, { state }] of world.sites.entries()) {
      if (state !== null) actions.push({ kind: 'decide', next, site });
    }
  }
}

function addNews(
  world: ChainWorldState,
  site: number,
  state: ChainState,
  actions: ChainAction[],
): void {
  if ((state.known?.epoch ?? 0) < latest(world).epoch) actions.push({ kind: 'configure', site });
  if (world.scope.lateNews !== true) return;
  for (const { epoch } of world.decided.slice(0, -1)) {
    if (epoch > (state.record?.epoch ?? 0)) actions.push({ kind: 'configure', site, epoch });
  }
}

/** Nothing is under way: a patient member's clock may run on to its next resend. */
function isStill(world: ChainWorldState): boolean {
  for (const { to, messages } of world.wires) {
    if (messages.length > 0 && !isGoneStore(world, to)) return false;
  }
  return world.sites.every((site) => site.operations.length === 0 || isGone(world, site));
}

function addLearning(world: ChainWorldState, site: number, actions: ChainAction[]): void {
  const state = world.sites[site]?.state;
  if (state == null || state.live || findMember(latest(world), state.me) !== undefined) return;
  for (const [source, { state: other }] of world.sites.entries()) {
    if (source === site || other === null || !other.live || !other.synced) continue;
    if (other.committedLsn > state.committedLsn) actions.push({ kind: 'learn', site, source });
  }
}

export function applyChain(world: ChainWorldState, action: ChainAction): void {
  if (action.kind === 'decide') {
    world.decided.push(action.next);
    const hears = action.site === undefined ? undefined : world.sites[action.site];
    if (hears !== undefined) configure(world, hears, action.next);
  } else if (action.kind === 'deliver' || action.kind === 'cut') {
    applyWire(world, action);
  } else {
    const site = world.sites[action.site];
    invariant(site !== undefined, 'an action names a site', () => String(action.site));
    applySite(world, site, action);
  }
  if (world.scope.lean) noteJoined(world);
}

function applyWire(
  world: ChainWorldState,
  action: { readonly kind: 'deliver' | 'cut'; readonly wire: number },
): void {
  const wire = world.wires[action.wire];
  const target = world.sites.find((site) => site.store === wire?.to);
  if (wire === undefined || target === undefined) return;
  if (action.kind === 'deliver') {
    const message = wire.messages.shift();
    if (message !== undefined) run(world, target, { kind: 'message', message });
    return;
  }
  world.used.cuts += 1;
  relink(world, wire.from, wire.to);
}

/** Loses what is under way between two stores, and tells both that there is a new link. */
function relink(world: ChainWorldState, one: StoreId, other: StoreId): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ]) {
    const at = world.wires.findIndex((wire) => wire.from === from && wire.to === to);
    if (at >= 0) world.wires.splice(at, 1);
  }
  for (const [here, there] of [
    [one, other],
    [other, one],
  ]) {
    const site = world.sites.find(({ store }) => store === here);
    const peer = world.sites.find(({ store }) => store === there);
    if (site === undefined || peer?.state == null) continue;
    const { store, incarnation } = peer;
    run(world, site, { kind: 'linked', peer: { store, incarnation } });
  }
}

type SiteAction = Exclude<ChainAction, { kind: 'decide' | 'deliver' | 'cut' }>;

function applySite(world: ChainWorldState, site: Site, action: SiteAction): void {
  switch (action.kind) {
    case 'disk':
      finishOperation(world, site);
      break;
    case 'save':
      finishOperation(world, site, saveApart(site));
      break;
    case 'configure':
      configure(world, site, decidedAt(world, action.epoch));
      break;
    case 'tick':
      world.clock += 100_000;
      run(world, site, tickOf(world, site));
      break;
    case 'append':
    case 'trim':
    case 'read':
      applyRequest(world, site, action.kind);
      break;
    case 'crash':
      world.used.crashes += 1;
      site.state = null;
      site.operations = [];
      for (const wire of world.wires) {
        if (wire.from === site.store || wire.to === site.store) wire.messages.length = 0;
      }
      break;
    case 'start':
      site.incarnation += 1;
      boot(world, site);
      for (const other of world.sites) {
        if (other !== site && other.state !== null) relink(world, site.store, other.store);
      }
      break;
    case 'copy':
      site.copy = { durable: [...site.durable], record: site.record, baseLsn: site.baseLsn };
      break;
    case 'restore':
      world.used.losses += 1;
      if (site.copy !== null) Object.assign(site, site.copy);
      break;
    case 'loseEnd':
      world.used.losses += 1;
      site.durable = site.durable.filter(
        (header, at) => at < site.durable.length - 1 || lastLsn(header) <= site.baseLsn,
      );
      break;
    case 'learn':
      applyLearn(world, site, action.source);
  }
}

function configure(world: ChainWorldState, site: Site, configuration: Configuration): void {
  run(world, site, { kind: 'configure', configuration });
  if (!savesAtOnce(world)) return;
  while (site.operations.length > 0) finishOperation(world, site);
}

function decidedAt(world: ChainWorldState, epoch: number | undefined): Configuration {
  return world.decided.find((one) => one.epoch === epoch) ?? latest(world);
}

function applyRequest(world: ChainWorldState, site: Site, kind: 'append' | 'trim' | 'read'): void {
  const request = world.nextRequest;
  world.nextRequest += 1;
  let body: ChainRequest = { kind: 'readIndex' };
  if (kind === 'append') {
    world.used.appends += 1;
    body = {
      kind: 'append',
      count: 1,
      bodyCrc: request,
      bodyBytes: 1,
      keys: [],
      keyOperation: 'tag',
      leaseMillis: 0,
      idempotence: null,
      condition: NO_CONDITION,
    };
  } else if (kind === 'trim') {
    world.used.trims += 1;
    body = { kind: 'trim', through: site.state?.committedLsn ?? NO_LSN, force: true };
  } else {
    world.used.reads += 1;
    world.asked.push(freshRead(world, site.store, request));
  }
  run(world, site, { kind: 'request', request, body });
}

/** A read that begins now must see what was acknowledged before. */
export function freshRead(world: ChainWorldState, store: StoreId, request: number): Asked {
  return { store, request, atLeast: lsn(Math.max(0, ...world.acknowledged.keys())) };
}

function applyLearn(world: ChainWorldState, site: Site, at: number): void {
  const source = world.sites[at];
  if (source?.state == null || site.state === null) return;
  run(world, site, { kind: 'learn', configuration: latest(world) });
  const match = matchPoint(source.state.shape, site.state.shape);
  if (match === null) {
    installBase(world, site, source);
    return;
  }
  const { committedLsn } = source.state;
  const batches = source.written
    .filter((header) => header.firstLsn > match && lastLsn(header) <= committedLsn)
    .map((header): Batch => ({ header, bytes: NO_BYTES }));
  const previousEpoch = epochAt(source.state.shape, match);
  if (previousEpoch === undefined) return;
  run(world, site, { kind: 'learned', previousLsn: match, previousEpoch, batches, committedLsn });
}

function installBase(world: ChainWorldState, site: Site, source: Site): void {
  if (source.baseLsn <= site.baseLsn || site.operations.length > 0) return;
  run(world, site, { kind: 'basing', baseLsn: source.baseLsn });
  // The next order to learn finds it saved.
  if (site.operations.length > 0) return;
  const headers = source.durable.filter((header) => lastLsn(header) <= source.baseLsn);
  site.durable = [...headers];
  site.written = [...headers];
  site.baseLsn = source.baseLsn;
  const shape = shapeOf(headers, source.baseLsn);
  run(world, site, { kind: 'based', shape, tables: tablesOf(world, headers) });
}
