// A journal of a few members as one plain value: the real chain machines, FIFO links, disks that
// finish one operation at a time, and a register that is atomic. Every choice is an action, so
// that a random walk and an exhaustive search can take the same steps.
//
// The register and the rules for the next configuration are those of the design (survivor rule,
// cold rule with an ideal floor), without any knowledge of who is alive: safety needs none.

import { turn } from '../../protocol/chain/machine.ts';
import type {
  ChainBody,
  ChainEffect,
  ChainInput,
  ChainMessage,
  ChainRecord,
  ChainRequest,
  Floor,
  LogShape,
  TablesSnapshot,
} from '../../protocol/chain/messages.ts';
import { NO_CONDITION } from '../../protocol/chain/messages.ts';
import { EMPTY_SHAPE, epochAt, extended, matchPoint, rebased } from '../../protocol/chain/shape.ts';
import { type ChainState, isDamaged, openChain } from '../../protocol/chain/state.ts';
import { emptyTables, foldBatch, snapshotTables } from '../../protocol/chain/tables.ts';
import {
  type Configuration,
  DEFAULT_SETTINGS,
  findMember,
  head,
  type Member,
  order,
} from '../../protocol/configuration.ts';
import { invariant } from '../../protocol/errors.ts';
import {
  type Batch,
  type BatchHeader,
  epoch,
  FIRST_LSN,
  journalId,
  type Lsn,
  lastLsn,
  lsn,
  memberId,
  micros,
  NO_LSN,
  type StoreId,
  storeId,
  zone,
} from '../../protocol/types.ts';

const JOURNAL = journalId('0'.repeat(32));
const NO_BYTES = new Uint8Array(0);

/** What a disk still has to do, in order; a crash forgets it. */
type DiskOperation = Extract<
  ChainEffect,
  { kind: 'write' } | { kind: 'truncate' } | { kind: 'save' } | { kind: 'trim' }
>;

interface Site {
  readonly store: StoreId;
  incarnation: number;
  /** Null while the process is down. */
  state: ChainState | null;
  /** All batches since the beginning, written or under way: the base hides a part of them. */
  written: BatchHeader[];
  durable: BatchHeader[];
  record: ChainRecord | null;
  baseLsn: Lsn;
  operations: DiskOperation[];
  floor: Floor | null;
  /** An old copy of the volume, that somebody may put back while the process is down. */
  copy: Pick<Site, 'durable' | 'record' | 'baseLsn'> | null;
}

interface Wire {
  readonly from: StoreId;
  readonly to: StoreId;
  readonly incarnation: number;
  readonly messages: ChainMessage[];
}

/** A linearizable read under way, and what was acknowledged before it began. */
interface Asked {
  readonly store: StoreId;
  readonly request: number;
  readonly atLeast: Lsn;
}

export interface ChainScope {
  readonly stores: number;
  /** Members of the first configuration. */
  readonly initial: number;
  readonly epochs: number;
  readonly appends: number;
  readonly crashes: number;
  readonly cuts: number;
  readonly reads: number;
  readonly trims: number;
  /** Old copies of volumes that are put back, and ends of logs that are lost. */
  readonly losses: number;
  readonly minReplicas: number;
}

export interface ChainWorldState {
  readonly scope: ChainScope;
  readonly sites: Site[];
  readonly wires: Wire[];
  readonly decided: Configuration[];
  /** Acknowledged appends: position to identity. */
  readonly acknowledged: Map<Lsn, number>;
  readonly asked: Asked[];
  used: {
    appends: number;
    crashes: number;
    cuts: number;
    reads: number;
    trims: number;
    losses: number;
  };
  nextRequest: number;
  clock: number;
  /** Sees every effect as it is carried out; for people who read along. */
  observe?: (store: StoreId, effect: ChainEffect) => void;
}

export type ChainAction =
  | { readonly kind: 'deliver'; readonly wire: number }
  | { readonly kind: 'disk'; readonly site: number }
  | { readonly kind: 'configure'; readonly site: number }
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
  | { readonly kind: 'decide'; readonly next: Configuration };

const SETTINGS = { ...DEFAULT_SETTINGS };

export function openChainWorld(scope: ChainScope): ChainWorldState {
  const sites = Array.from({ length: scope.stores }, (_, at): Site => {
    const store = storeId(String(at + 1).padStart(32, '0'));
    return {
      store,
      incarnation: 1,
      state: null,
      written: [],
      durable: [],
      record: null,
      baseLsn: NO_LSN,
      operations: [],
      floor: null,
      copy: null,
    };
  });
  const world: ChainWorldState = {
    scope,
    sites,
    wires: [],
    decided: [],
    acknowledged: new Map(),
    asked: [],
    used: { appends: 0, crashes: 0, cuts: 0, reads: 0, trims: 0, losses: 0 },
    nextRequest: 1,
    clock: 1,
  };
  world.decided.push({
    journal: JOURNAL,
    name: 'explored',
    settings: { ...SETTINGS, minReplicas: scope.minReplicas },
    lineage: 1,
    epoch: epoch(1),
    firstLsn: FIRST_LSN,
    mode: 'chain',
    serving: sites.slice(0, scope.initial).map(memberOf),
    joining: null,
    deleted: false,
  });
  for (const site of sites) boot(world, site);
  return world;
}

export function memberOf(site: Pick<Site, 'store' | 'incarnation'>): Member {
  return {
    store: site.store,
    incarnation: site.incarnation,
    id: memberId(`m${Number(site.store)}`),
    zone: zone(`z${Number(site.store)}`),
    address: `m${Number(site.store)}:1`,
  };
}

/** The newest configuration that was decided. */
export function latest(world: ChainWorldState): Configuration {
  const newest = world.decided.at(-1);
  invariant(newest !== undefined, 'a journal has a configuration', () => 'none');
  return newest;
}

// ── Disks ─────────────────────────────────────────────────────────────────────────────────────

function shapeOf(headers: readonly BatchHeader[], baseLsn: Lsn): LogShape {
  let shape = EMPTY_SHAPE;
  for (const header of headers) shape = extended(shape, header.epoch, lastLsn(header));
  return rebased(shape, baseLsn, epochAt(shape, baseLsn) ?? EMPTY_SHAPE.baseEpoch);
}

function tablesOf(headers: readonly BatchHeader[]): TablesSnapshot {
  const tables = emptyTables();
  for (const header of headers) foldBatch(tables, header);
  return snapshotTables(tables);
}

function boot(world: ChainWorldState, site: Site): void {
  site.written = [...site.durable];
  site.operations = [];
  site.state = openChain({
    journal: JOURNAL,
    me: { store: site.store, incarnation: site.incarnation },
    record: site.record,
    shape: shapeOf(site.durable, site.baseLsn),
    tables: tablesOf(site.durable),
    settings: latest(world).settings,
  });
}

function finishOperation(world: ChainWorldState, site: Site): void {
  const operation = site.operations.shift();
  if (operation === undefined) return;
  switch (operation.kind) {
    case 'write': {
      for (const { header } of operation.batches) site.durable.push(header);
      const last = operation.batches.at(-1);
      if (last !== undefined)
        run(world, site, { kind: 'synced', durableLsn: lastLsn(last.header) });
      break;
    }
    case 'save':
      site.record = operation.record;
      run(world, site, { kind: 'saved', save: operation.save });
      break;
    case 'truncate': {
      const kept = (header: BatchHeader): boolean => lastLsn(header) <= operation.endLsn;
      site.durable = site.durable.filter(kept);
      const tables = operation.refold ? { tables: tablesOf(site.durable) } : {};
      run(world, site, { kind: 'saved', save: operation.save, ...tables });
      break;
    }
    case 'trim': {
      const border = site.durable.findLast((header) => lastLsn(header) <= operation.through);
      if (border === undefined || lastLsn(border) <= site.baseLsn) break;
      site.baseLsn = lastLsn(border);
      const shape = shapeOf(site.durable, site.baseLsn);
      run(world, site, { kind: 'based', shape, tables: null });
    }
  }
}

// ── Machines ──────────────────────────────────────────────────────────────────────────────────

function run(world: ChainWorldState, site: Site, input: ChainInput): void {
  const { state } = site;
  if (state === null) return;
  const time = micros(world.clock);
  const effects = turn(state, [{ kind: 'tick', now: time, wall: time }, input]);
  if (state.floor !== null) site.floor = state.floor;
  for (const effect of effects) {
    world.observe?.(site.store, effect);
    carryOut(world, site, state, effect);
  }
}

/** Hands an input of the caller's own to the machine of a site, and carries out what it says. */
export function feed(world: ChainWorldState, at: number, input: ChainInput): void {
  const site = world.sites[at];
  invariant(site !== undefined, 'an input names a site', () => String(at));
  run(world, site, input);
}

function carryOut(
  world: ChainWorldState,
  site: Site,
  state: ChainState,
  effect: ChainEffect,
): void {
  switch (effect.kind) {
    case 'append': {
      const batch: Batch = { header: effect.header, bytes: NO_BYTES };
      site.written.push(effect.header);
      site.operations.push({ kind: 'write', batches: [batch] });
      break;
    }
    case 'write':
      for (const { header } of effect.batches) site.written.push(header);
      site.operations.push(effect);
      break;
    case 'truncate':
      site.written = site.written.filter((header) => lastLsn(header) <= effect.endLsn);
      site.operations.push(effect);
      break;
    case 'save':
    case 'trim':
      site.operations.push(effect);
      break;
    case 'send':
      send(world, site, state, effect.to, effect.body);
      break;
    case 'forward': {
      const batches = site.written
        .filter(({ firstLsn }) => firstLsn > effect.previousLsn && firstLsn <= effect.throughLsn)
        .map((header): Batch => ({ header, bytes: NO_BYTES }));
      const { previousLsn, previousEpoch, startLsn, committedLsn, barrier } = effect;
      const body: ChainBody = {
        kind: 'replicate',
        startLsn,
        previousLsn,
        previousEpoch,
        batches,
        committedLsn,
        barrier,
      };
      send(world, site, state, effect.to, body);
      break;
    }
    case 'reply':
      if (effect.reply.kind === 'appended') {
        const { firstLsn } = effect.reply;
        const header = site.written.find((batch) => batch.firstLsn === firstLsn);
        world.acknowledged.set(firstLsn, header?.bodyCrc ?? 0);
      } else if (effect.reply.kind === 'readIndex') {
        checkRead(world, site, effect.request, effect.reply.committedLsn);
      }
      break;
    case 'setAside':
      site.written = [];
      site.durable = [];
      break;
    case 'commit':
    case 'inquire':
      break;
  }
}

function send(
  world: ChainWorldState,
  site: Site,
  state: ChainState,
  to: Member,
  body: ChainBody,
): void {
  const { record } = state;
  const target = world.sites.find((other) => other.store === to.store);
  if (record === null || target?.state === null || target?.incarnation !== to.incarnation) return;
  const message: ChainMessage = {
    journal: JOURNAL,
    lineage: record.configuration.lineage,
    epoch: record.epoch,
    from: { store: site.store, incarnation: site.incarnation },
    body,
  };
  const known = world.wires.find((wire) => wire.from === site.store && wire.to === to.store);
  if (known !== undefined) known.messages.push(structuredClone(message));
  else {
    const { incarnation } = to;
    const messages = [structuredClone(message)];
    world.wires.push({ from: site.store, to: to.store, incarnation, messages });
  }
}

function checkRead(world: ChainWorldState, site: Site, request: number, answered: Lsn): void {
  const at = world.asked.findIndex(
    (asked) => asked.store === site.store && asked.request === request,
  );
  const asked = world.asked[at];
  if (asked === undefined) return;
  world.asked.splice(at, 1);
  invariant(
    answered >= asked.atLeast,
    'a linearizable read sees what was acknowledged before it',
    () => `${answered}, acknowledged was ${asked.atLeast}`,
  );
}

// ── Actions ───────────────────────────────────────────────────────────────────────────────────

/** Everything that may happen next. */
export function chainActions(world: ChainWorldState): ChainAction[] {
  const { scope, used } = world;
  const actions: ChainAction[] = [];
  for (const [wire, { messages }] of world.wires.entries()) {
    if (messages.length === 0) continue;
    actions.push({ kind: 'deliver', wire });
    if (used.cuts < scope.cuts) actions.push({ kind: 'cut', wire });
  }
  for (const [site, { state, operations }] of world.sites.entries()) {
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
    if (used.crashes < scope.crashes) actions.push({ kind: 'crash', site });
    if ((state.known?.epoch ?? 0) < latest(world).epoch) actions.push({ kind: 'configure', site });
    if (state.live && state.record?.configuration !== undefined) {
      const leads = head(state.record.configuration)?.store === state.me.store;
      if (leads && used.appends < scope.appends) actions.push({ kind: 'append', site });
      if (leads && used.trims < scope.trims) actions.push({ kind: 'trim', site });
      if (used.reads < scope.reads) actions.push({ kind: 'read', site });
      if (!state.synced || state.gap) actions.push({ kind: 'tick', site });
      else if (state.reads.length + state.remoteReads.size > 0)
        actions.push({ kind: 'tick', site });
    }
    addLearning(world, site, actions);
  }
  if (latest(world).epoch < scope.epochs) {
    for (const next of successors(world)) actions.push({ kind: 'decide', next });
  }
  return actions;
}

function addLearning(world: ChainWorldState, site: number, actions: ChainAction[]): void {
  const state = world.sites[site]?.state;
  if (state == null || state.live || findMember(latest(world), state.me) !== undefined) return;
  for (const [source, { state: other }] of world.sites.entries()) {
    if (source === site || other === null || !other.live || !other.synced) continue;
    if (other.committedLsn > state.committedLsn) actions.push({ kind: 'learn', site, source });
  }
}

/** Every configuration that the survivor rule or the cold rule allows next. */
function successors(world: ChainWorldState): Configuration[] {
  const now = latest(world);
  const survivors = [...now.serving];
  if (now.joining !== null && joinedEnough(world, now, now.joining)) survivors.push(now.joining);
  const chosen: Configuration[] = [];
  for (const serving of orderings(survivors)) addWithJoiners(world, now, serving, chosen);
  for (const { store } of now.serving) {
    const site = world.sites.find((candidate) => candidate.store === store);
    if (site?.state == null || findMember(now, memberOf(site)) !== undefined) continue;
    if (aboveFloor(site)) addWithJoiners(world, now, [memberOf(site)], chosen);
  }
  return chosen;
}

function joinedEnough(world: ChainWorldState, now: Configuration, joining: Member): boolean {
  return world.sites.some(({ state }) => {
    if (state?.record?.epoch !== now.epoch || !state.live || state.startLsn === null) return false;
    if (head(now)?.store !== state.me.store) return false;
    const entry = state.acked.get(joining.store);
    return entry !== undefined && entry.durableLsn >= state.startLsn;
  });
}

/** Every non-empty subset, each in its order and with each member first. */
function orderings(members: readonly Member[]): Member[][] {
  const subsets: Member[][] = [];
  for (let mask = 1; mask < 1 << members.length; mask += 1) {
    const subset = members.filter((_, at) => (mask & (1 << at)) !== 0);
    for (const [at, first] of subset.entries()) {
      subsets.push([first, ...subset.slice(0, at), ...subset.slice(at + 1)]);
    }
  }
  return subsets;
}

function addWithJoiners(
  world: ChainWorldState,
  now: Configuration,
  serving: readonly Member[],
  chosen: Configuration[],
): void {
  const next = { ...now, epoch: epoch(now.epoch + 1), serving, joining: null };
  chosen.push(next);
  for (const site of world.sites) {
    const taken = serving.some(({ store }) => store === site.store);
    if (!taken && site.state !== null) chosen.push({ ...next, joining: memberOf(site) });
  }
}

/** Whether a volume may stand for what it once acknowledged (cold rule). */
export function aboveFloor(site: Pick<Site, 'state' | 'floor' | 'record'>): boolean {
  const { state, floor } = site;
  if (state === null || isDamaged(state)) return false;
  if (floor === null) return true;
  if ((state.record?.epoch ?? 0) > floor.epoch) return true;
  return state.shape.baseLsn > floor.lsn || epochAt(state.shape, floor.lsn) === floor.entryEpoch;
}

export function applyChain(world: ChainWorldState, action: ChainAction): void {
  if (action.kind === 'decide') {
    world.decided.push(action.next);
  } else if (action.kind === 'deliver' || action.kind === 'cut') {
    applyWire(world, action);
  } else {
    const site = world.sites[action.site];
    invariant(site !== undefined, 'an action names a site', () => String(action.site));
    applySite(world, site, action);
  }
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
    case 'configure':
      run(world, site, { kind: 'configure', configuration: latest(world) });
      break;
    case 'tick':
      world.clock += 100_000;
      run(world, site, { kind: 'tick', now: micros(world.clock), wall: micros(world.clock) });
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
    const atLeast = lsn(Math.max(0, ...world.acknowledged.keys()));
    world.asked.push({ store: site.store, request, atLeast });
  }
  run(world, site, { kind: 'request', request, body });
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
  const headers = source.durable.filter((header) => lastLsn(header) <= source.baseLsn);
  site.durable = [...headers];
  site.written = [...headers];
  site.baseLsn = source.baseLsn;
  const shape = shapeOf(headers, source.baseLsn);
  run(world, site, { kind: 'based', shape, tables: tablesOf(headers) });
}

/** What members there are for the invariants: running ones as they are. */
export function chainStates(world: ChainWorldState): ChainState[] {
  return world.sites.flatMap(({ state }) => (state === null ? [] : [state]));
}

/** Everything acknowledged is on the disk of every serving member that is up, with its identity. */
export function checkAcknowledged(world: ChainWorldState): void {
  for (const member of latest(world).serving) {
    const site = world.sites.find(({ store }) => store === member.store);
    if (site?.state == null || site.incarnation !== member.incarnation) continue;
    for (const [at, identity] of world.acknowledged) {
      const held = site.durable.find((header) => header.firstLsn === at);
      invariant(
        held?.bodyCrc === identity,
        'what was acknowledged is on every serving member',
        () => `${at} on ${site.store} is ${held?.bodyCrc ?? 'missing'}, was ${identity}`,
      );
    }
  }
}

/** All members of the newest configuration, in chain order, for messages. */
export function describeWorld(world: ChainWorldState): string {
  const now = latest(world);
  const members = order(now).map((member) => `${Number(member.store)}@${member.incarnation}`);
  const sites = world.sites.map(({ store, state, durable, operations }) => {
    const shown =
      state === null
        ? 'down'
        : `${state.standing} e${state.record?.epoch ?? 0} ${state.live ? 'live' : ''} ` +
          `${state.synced ? 'synced' : ''} c${state.committedLsn} d${state.durableLsn} ` +
          `e${state.shape.endLsn} start ${state.startLsn}`;
    return `${Number(store)}: ${shown} disk ${durable.length} operations ${operations.length}`;
  });
  return [`epoch ${now.epoch}: ${members.join(' ')}`, ...sites].join('\n');
}
