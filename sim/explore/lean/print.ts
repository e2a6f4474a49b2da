// What tells two worlds of a chain apart: a print of each site and wire, kept until it changes.
//
// Left out is what cannot matter any more: absolute times, numbers of requests, and of a member
// that takes part in no epoch all that entering one sets anew. Stores are alike to the machines, so
// they are named by their place in the newest configuration, in the one before where it names them
// not: two worlds that are one but for names are one.

import type { ChainMessage } from '../../../protocol/chain/messages.ts';
import type { ChainState } from '../../../protocol/chain/state.ts';
import { type Configuration, order } from '../../../protocol/configuration.ts';
import type { BatchHeader, StoreId } from '../../../protocol/types.ts';
import type { ChainWorldState, Site, Wire } from '../chain-parts.ts';
import { type Print, Printer, printOf } from '../marks.ts';
import { dueBits, isGone } from './rules.ts';

/** A name of each store, from 1. */
interface Names {
  /** Tells the namings of one scope apart. */
  readonly key: number;
  readonly of: (store: StoreId) => number;
  /** Places in the list of sites, by name. */
  readonly places: readonly number[];
  /** Of the newest configuration. */
  readonly newest: Print;
}

export function chainPrint(world: ChainWorldState): Print {
  const names = namesOf(world);
  const { sites, wires, used, decided, acknowledged, asked } = world;
  const printer = new Printer();
  let gone = 0;
  for (const place of names.places) {
    const site = sites[place];
    if (site === undefined) continue;
    if (isGone(world, site)) {
      gone |= 1 << place;
      printer.print(printOf(goneText(site)));
      continue;
    }
    printer.print(remembered(site, names, siteText));
    printer.number(dueBits(world, site));
  }
  for (const from of names.places) {
    for (const to of names.places) {
      const wire = from === to ? undefined : wireOf(wires, sites[from], sites[to]);
      const empty = wire === undefined || wire.messages.length === 0 || (gone & (1 << to)) !== 0;
      if (!empty) printer.print(wirePrint(wire, names));
      printer.number(Number(empty));
    }
  }
  printer.number(used.appends + 64 * (used.crashes + 64 * used.cuts));
  printer.number(used.reads + 64 * (used.trims + 64 * used.losses));
  printer.number(Number(world.joinedIn === decided.length));
  printer.print(names.newest);
  for (const [at, identity] of acknowledged) {
    printer.number(at);
    printer.number(identity);
  }
  printer.number(asked.length);
  for (const { store, atLeast } of asked) {
    printer.number(names.of(store));
    printer.number(atLeast);
  }
  return printer.done();
}

function wireOf(wires: readonly Wire[], from: Site | undefined, to: Site | undefined) {
  for (const wire of wires) if (wire.from === from?.store && wire.to === to?.store) return wire;
  return undefined;
}

function remembered(one: Site, names: Names, text: (one: Site, names: Names) => string): Print {
  const known = one.prints[names.key];
  if (known !== undefined) return known;
  const made = printOf(text(one, names));
  one.prints[names.key] = made;
  return made;
}

const messagePrints = new WeakMap<ChainMessage, Print[]>();

function wirePrint(wire: Wire, names: Names): Print {
  const known = wire.prints[names.key];
  if (known !== undefined) return known;
  const printer = new Printer();
  for (const message of wire.messages) {
    let prints = messagePrints.get(message);
    if (prints === undefined) {
      prints = [];
      messagePrints.set(message, prints);
    }
    let print = prints[names.key];
    if (print === undefined) {
      print = printOf(messageText(message, names));
      prints[names.key] = print;
    }
    printer.print(print);
  }
  const made = printer.done();
  wire.prints[names.key] = made;
  return made;
}

/** By all that was decided: worlds replace that list where they add to it. */
const namings = new WeakMap<readonly Configuration[], Names>();

function namesOf(world: ChainWorldState): Names {
  const known = namings.get(world.decided);
  if (known !== undefined) return known;
  const made = makeNames(world);
  namings.set(world.decided, made);
  return made;
}

function makeNames({ sites, decided }: ChainWorldState): Names {
  const named: StoreId[] = [];
  for (let at = decided.length - 1; at >= 0 && named.length < sites.length; at -= 1) {
    const configuration = decided[at];
    if (configuration === undefined) continue;
    for (const { store } of order(configuration)) if (!named.includes(store)) named.push(store);
  }
  for (const { store } of sites) if (!named.includes(store)) named.push(store);
  const numbers: number[] = [];
  let key = 0;
  for (const [at, store] of named.entries()) {
    numbers[Number(store)] = at + 1;
    key = key * named.length + Number(store) - 1;
  }
  const names = { key, of: (store: StoreId) => numbers[Number(store)] ?? 0 };
  const places = named.map((store) => sites.findIndex((site) => site.store === store));
  const newest = printOf(configurationText(decided.at(-1), names));
  return { ...names, places, newest };
}

/** What others are still compared with. */
function goneText({ state }: Site): string {
  if (state === null) return 'gone';
  const runs = state.shape.runs.map((run) => `${run.epoch}@${run.firstLsn}`).join(' ');
  return `gone ${state.shape.baseLsn} ${state.committedLsn} ${runs}`;
}

// ── Sites ─────────────────────────────────────────────────────────────────────────────────────

function siteText(site: Site, names: Names): string {
  const { store, incarnation, state, durable, record, operations, floor, copy } = site;
  const disk = `${headersText(durable)}/${site.baseLsn}/${recordText(record, names)}`;
  const old = copy === null ? '' : `${headersText(copy.durable)}${recordText(copy.record, names)}`;
  const low = floor === null ? '' : `${floor.epoch},${floor.lsn},${floor.entryEpoch}`;
  const start = `#${names.of(store)}@${incarnation} ${disk} ${low} ${old}`;
  if (state === null) return `${start} down`;
  const waiting = operations.map((operation) => operationText(operation, state, names));
  return `${start} ${stateText(state, names)} ${waiting.join(';')}`;
}

function operationText(
  operation: Site['operations'][number],
  state: ChainState,
  names: Names,
): string {
  switch (operation.kind) {
    case 'write':
      return `w${headersText(operation.batches.map(({ header }) => header))}`;
    case 'save':
      return `s${recordText(operation.record, names)}${operation.save - state.nextSave}`;
    case 'truncate':
      return `t${operation.endLsn},${operation.save - state.nextSave}`;
    case 'trim':
      return `b${operation.through}`;
  }
}

function stateText(state: ChainState, names: Names): string {
  const { shape, tables } = state;
  const lasting = [
    state.standing,
    recordText(state.record, names),
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
    state.appends.map((append) => append.untilLsn).join(),
    [...state.remoteReads.values()].map((read) => `${read.answer?.committedLsn ?? '?'}`).join(),
  ].join('|');
  const reads = state.reads.map(({ to, barrier, untilLsn }) => {
    const asker = to.kind === 'member' ? names.of(to.member.store) : 'c';
    return `${asker}${state.live ? barrier : ''}${untilLsn}`;
  });
  return `${lasting} ${reads.join()} ${state.live ? liveText(state, names) : 'out'}`;
}

/** What lasts no longer than the epoch that the member is live in. */
function liveText(state: ChainState, names: Names): string {
  const { wedged, synced, tooOld, gap, ackDue, relayDue } = state;
  const flags = [wedged, synced, tooOld, gap, ackDue, relayDue];
  return [
    flags.map(Number).join(''),
    state.startLsn ?? '?',
    state.sentLsn ?? '?',
    state.toldLsn ?? '?',
    state.toldBarrier,
    state.barrier,
    ackText([...state.acked.values()], names),
  ].join('|');
}

function ackText(
  entries: readonly { readonly store: StoreId; readonly durableLsn: number; barrier: number }[],
  names: Names,
): string {
  const texts = entries.map(
    ({ store, durableLsn, barrier }) => `${names.of(store)}:${durableLsn}:${barrier}`,
  );
  return texts.sort().join(' ');
}

const headersText = (headers: readonly BatchHeader[]): string =>
  headers.map(({ firstLsn, epoch, bodyCrc }) => `${firstLsn}.${epoch}.${bodyCrc}`).join(' ');

function recordText(record: Site['record'], names: Names): string {
  if (record === null) return '-';
  const { configuration, markLsn, retired } = record;
  return `${configurationText(configuration, names)}m${markLsn}${retired ? 'r' : ''}`;
}

function configurationText(
  configuration: Configuration | undefined,
  names: Pick<Names, 'of'>,
): string {
  if (configuration === undefined) return '-';
  const { epoch, serving, joining } = configuration;
  const members = serving.map(({ store, incarnation }) => `${names.of(store)}@${incarnation}`);
  const last = joining === null ? '' : `+${names.of(joining.store)}@${joining.incarnation}`;
  return `e${epoch}[${members.join(' ')}${last}]`;
}

// ── Messages ──────────────────────────────────────────────────────────────────────────────────

function messageText({ epoch, from, body }: ChainMessage, names: Names): string {
  const start = `(${epoch} ${from.incarnation} ${body.kind}`;
  switch (body.kind) {
    case 'replicate': {
      const headers = headersText(body.batches.map(({ header }) => header));
      const { startLsn, previousLsn, previousEpoch, committedLsn, barrier } = body;
      const after = `${startLsn} ${previousLsn} ${previousEpoch} ${committedLsn} ${barrier}`;
      return `${start} ${after} ${headers})`;
    }
    case 'ack':
      return `${start} ${ackText(body.entries, names)})`;
    case 'sync':
      return `${start} ${JSON.stringify(body.shape)})`;
    case 'tooOld':
      return `${start} ${body.baseLsn})`;
    case 'readIndex':
      return `${start})`;
    case 'readIndexAnswer':
      return `${start} ${'code' in body.answer ? body.answer.code : body.answer.committedLsn})`;
  }
}
