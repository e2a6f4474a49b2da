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
  LogShape,
  TablesSnapshot,
} from '../../protocol/chain/messages.ts';
import { EMPTY_SHAPE, epochAt, extended, rebased } from '../../protocol/chain/shape.ts';
import { type ChainState, openChain } from '../../protocol/chain/state.ts';
import {
  emptyTables,
  foldBatch,
  snapshotTables,
  type Tables,
} from '../../protocol/chain/tables.ts';
import { type Configuration, DEFAULT_SETTINGS, type Member } from '../../protocol/configuration.ts';
import { invariant } from '../../protocol/errors.ts';
import {
  type Batch,
  type BatchHeader,
  epoch,
  FIRST_LSN,
  journalId,
  type Lsn,
  lastLsn,
  memberId,
  micros,
  NO_LSN,
  storeId,
  zone,
} from '../../protocol/types.ts';
import type { ChainScope, ChainWorldState, Site } from './chain-parts.ts';

const JOURNAL = journalId('0'.repeat(32));
export const NO_BYTES = new Uint8Array(0);

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
      prints: [],
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
    joinedIn: 0,
    nextRequest: 1,
    clock: 1,
  };
  world.decided.push({
    journal: JOURNAL,
    name: 'explored',
    settings: {
      ...DEFAULT_SETTINGS,
      minReplicas: scope.minReplicas,
      limits: scope.limits ?? DEFAULT_SETTINGS.limits,
    },
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

export function shapeOf(headers: readonly BatchHeader[], baseLsn: Lsn): LogShape {
  let shape = EMPTY_SHAPE;
  for (const header of headers) shape = extended(shape, header.epoch, lastLsn(header));
  return rebased(shape, baseLsn, epochAt(shape, baseLsn) ?? EMPTY_SHAPE.baseEpoch);
}

export function tablesOf(world: ChainWorldState, headers: readonly BatchHeader[]): TablesSnapshot {
  return snapshotTables(foldOf(world, headers));
}

export function foldOf(world: ChainWorldState, headers: readonly BatchHeader[]): Tables {
  const tables = emptyTables(latest(world).settings.limits);
  for (const header of headers) foldBatch(tables, header);
  return tables;
}

export function boot(world: ChainWorldState, site: Site): void {
  site.written = [...site.durable];
  site.operations = [];
  site.state = openChain({
    journal: JOURNAL,
    me: { store: site.store, incarnation: site.incarnation },
    record: site.record,
    shape: shapeOf(site.durable, site.baseLsn),
    tables: tablesOf(world, site.durable),
    settings: latest(world).settings,
  });
}

/** Where a save lies that may end before what was asked for first; -1 for nowhere. */
export function saveApart({ operations }: Site): number {
  const at = operations.findIndex(({ kind }) => kind !== 'write' && kind !== 'trim');
  return operations[at]?.kind === 'save' ? at : -1;
}

/** Ends the operation at this place of those that wait, the first one by default. */
export function finishOperation(world: ChainWorldState, site: Site, place = 0): void {
  const [operation] = site.operations.splice(place, 1);
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
      const tables = operation.refold ? { tables: tablesOf(world, site.durable) } : {};
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

/** The time at a site: everybody's clock runs alike, but not everybody's shows the same. */
export function tickOf(world: ChainWorldState, site: Site): Extract<ChainInput, { kind: 'tick' }> {
  const behind = (world.scope.stores - Number(site.store)) * (world.scope.skewMicros ?? 0);
  return { kind: 'tick', now: micros(world.clock), wall: micros(world.clock + behind) };
}

export function run(world: ChainWorldState, site: Site, input: ChainInput): void {
  const { state } = site;
  if (state === null) return;
  const effects = turn(state, [tickOf(world, site), input]);
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
    case 'forward':
      forward(world, site, state, effect);
      break;
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

/** As the outbox of a replica does: in frames, each with all that is known of the commit. */
function forward(
  world: ChainWorldState,
  site: Site,
  state: ChainState,
  { to, throughLsn, ...run }: Extract<ChainEffect, { kind: 'forward' }>,
): void {
  const batches = site.written
    .filter(({ firstLsn }) => firstLsn > run.previousLsn && firstLsn <= throughLsn)
    .map((header): Batch => ({ header, bytes: NO_BYTES }));
  const { startLsn, committedLsn, barrier } = run;
  const size = world.scope.frameBatches ?? Math.max(1, batches.length);
  let { previousLsn, previousEpoch } = run;
  for (let at = 0; at === 0 || at < batches.length; at += size) {
    const part = batches.slice(at, at + size);
    const frame = { startLsn, previousLsn, previousEpoch, batches: part, committedLsn, barrier };
    send(world, site, state, to, { kind: 'replicate', ...frame });
    const end = part.at(-1)?.header;
    if (end !== undefined) [previousLsn, previousEpoch] = [lastLsn(end), end.epoch];
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
  // Nothing in a message ever changes: machines replace what they hold.
  if (known !== undefined) known.messages.push(message);
  else {
    const { incarnation } = to;
    const messages = [message];
    world.wires.push({ from: site.store, to: to.store, incarnation, messages, prints: [] });
  }
}

export function checkRead(
  world: ChainWorldState,
  site: Site,
  request: number,
  answered: Lsn,
): void {
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
