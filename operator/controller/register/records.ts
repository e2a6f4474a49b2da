// What the registers hold, as values and as JSON: the keys, and the edge where each is checked.
//
//   journal/<id>     Configuration, tombstones included
//   name/<name>      which journal has the name, or had it
//   node/<store>     the last start of a replica's store
//   member/<label>   one-time grant to format a volume, and the store that used it
//   loss/<id>/<lineage>   why a loss was forced
//   acceptors        the acceptor set (protocol/paxos)
//   feature          feature level of the cluster
//   recovery         present in a set that was formatted to be rebuilt
//
// No key is ever deleted: what is over becomes a tombstone.

import {
  type Configuration,
  compareConfigurations,
  type JournalSettings,
  type Member,
} from '../../../protocol/configuration.ts';
import {
  choice,
  fields,
  flag,
  list,
  nullable,
  parse,
  text,
  whole,
} from '../../../protocol/fields.ts';
import type { AcceptorSet, Seat } from '../../../protocol/paxos/messages.ts';
import {
  epoch,
  type JournalId,
  journalId,
  journalName,
  type Lsn,
  lsn,
  type MemberId,
  memberId,
  RangeViolation,
  type StoreId,
  storeId,
  type Zone,
  zone,
} from '../../../protocol/types.ts';

export const journalKey = (journal: JournalId): string => `journal/${journal}`;
/** The journal whose configuration a key holds; null for any other key. */
export const journalOfKey = (key: string): JournalId | null =>
  key.startsWith('journal/') ? journalId(key.slice('journal/'.length)) : null;
export const nameKey = (name: string): string => `name/${name}`;
export const nodeKey = (store: StoreId): string => `node/${store}`;
export const memberKey = (member: string): string => `member/${member}`;
export const lossKey = (journal: JournalId, lineage: number): string =>
  `loss/${journal}/${lineage}`;
export const FEATURE_KEY = 'feature';
export const RECOVERY_KEY = 'recovery';

/** The last start of a store. */
export interface NodeRecord {
  readonly store: StoreId;
  /** Incarnation of the last start; from 1. */
  readonly generation: number;
  /** Who took it; empty: reserved by a rebuild, it is no start and stops nobody. */
  readonly startId: string;
  readonly member: MemberId;
  readonly zone: Zone;
  readonly address: string;
}

/** Permission to format one volume under a label, and what became of it. */
export interface GrantRecord {
  readonly member: MemberId;
  readonly zone: Zone;
  /** The store that used the grant; null while it is open. */
  readonly store: StoreId | null;
  /** Rises with every change, so that an older read is told from a newer one. */
  readonly revision: number;
  /** The label is to leave every journal: `by` is to take its place, where it is given. */
  readonly leaving: { readonly by: string | null } | null;
  /** Ids of the last orders about it, oldest first: none of them is carried out again. */
  readonly orders?: readonly string[];
}

export interface NameRecord {
  readonly name: string;
  readonly journal: JournalId;
  readonly settings: JournalSettings;
  readonly firstLsn: Lsn;
  /** The journal was deleted: the name is free. */
  readonly deleted: boolean;
  /** Rises with every change. */
  readonly revision: number;
}

export interface LossRecord {
  readonly journal: JournalId;
  readonly lineage: number;
  readonly member: string;
  readonly reason: string;
  /** Epoch that was given up. */
  readonly epoch: number;
  /** The order that asked for it, where that had an id. */
  readonly order?: string;
  /** It took effect: no other order is written over it. */
  readonly taken?: boolean;
  /** Ids of orders that it was ahead of: no copy of them is carried out any more. */
  readonly passed?: readonly string[];
}

export const encode = (value: object): string => JSON.stringify(value);

export function decodeConfiguration(json: string): Configuration {
  const all = fields('configuration', parse('configuration', json));
  return {
    journal: journalId(text('journal', all.journal)),
    name: journalName(text('name', all.name)),
    settings: readSettings(all.settings),
    lineage: whole('lineage', all.lineage),
    epoch: epoch(whole('epoch', all.epoch)),
    mode: choice('mode', all.mode, ['chain']),
    firstLsn: lsn(whole('firstLsn', all.firstLsn), 'firstLsn'),
    serving: list('serving', all.serving, readMember),
    joining: nullable(all.joining, (value) => readMember('joining', value)),
    deleted: flag('deleted', all.deleted),
    ...(all.chosenHead === undefined
      ? {}
      : { chosenHead: memberId(text('chosenHead', all.chosenHead)) }),
  };
}

/**
 * The compare-and-swap of a journal's register: `next` where it still holds what `next` was judged
 * on. Whoever was ahead stays, so that no epoch is ever decided twice.
 */
export const replacing =
  (latest: Configuration, next: Configuration) =>
  (current: string | null): string | null => {
    const known = current === null ? null : decodeConfiguration(current);
    return known !== null && compareConfigurations(known, latest) === 0 ? encode(next) : current;
  };

/** The register of a name, taken for a journal: whoever has it keeps it until it is deleted. */
export const naming =
  (wanted: Pick<NameRecord, 'name' | 'journal' | 'settings' | 'firstLsn'>) =>
  (current: string | null): string => {
    const before = current === null ? null : decodeName(current);
    if (current !== null && before?.deleted === false) return current;
    const { name, journal, settings, firstLsn } = wanted;
    const revision = (before?.revision ?? 0) + 1;
    const next: NameRecord = { name, journal, settings, firstLsn, deleted: false, revision };
    return encode(next);
  };

function readMember(name: string, value: unknown): Member {
  const all = fields(name, value);
  return {
    store: storeId(text(`${name}.store`, all.store)),
    incarnation: whole(`${name}.incarnation`, all.incarnation),
    id: memberId(text(`${name}.id`, all.id)),
    zone: zone(text(`${name}.zone`, all.zone)),
    address: text(`${name}.address`, all.address),
  };
}

function readSettings(value: unknown): JournalSettings {
  const all = fields('settings', value);
  const limits = fields('settings.limits', all.limits);
  const number = (name: string): number => whole(`settings.${name}`, all[name]);
  const limit = (name: string): number => whole(`settings.limits.${name}`, limits[name]);
  return {
    replicationFactor: number('replicationFactor'),
    minReplicas: number('minReplicas'),
    recordBytesMax: number('recordBytesMax'),
    batchBytesMax: number('batchBytesMax'),
    retainMillis: number('retainMillis'),
    retainBytes: number('retainBytes'),
    limits: {
      keys: limit('keys'),
      writers: limit('writers'),
      writerWindow: limit('writerWindow'),
      chosenKeys: limit('chosenKeys'),
      cursors: limit('cursors'),
    },
  };
}

export function decodeNode(json: string): NodeRecord {
  const all = fields('node', parse('node', json));
  return {
    store: storeId(text('store', all.store)),
    generation: whole('generation', all.generation),
    startId: text('startId', all.startId),
    member: memberId(text('member', all.member)),
    zone: zone(text('zone', all.zone)),
    address: text('address', all.address),
  };
}

export function decodeLoss(json: string): LossRecord {
  const all = fields('loss', parse('loss', json));
  return {
    journal: journalId(text('journal', all.journal)),
    lineage: whole('lineage', all.lineage),
    member: text('member', all.member),
    reason: text('reason', all.reason),
    epoch: whole('epoch', all.epoch),
    ...(all.order === undefined ? {} : { order: text('order', all.order) }),
    ...(all.taken === undefined ? {} : { taken: flag('taken', all.taken) }),
    ...(all.passed === undefined ? {} : { passed: list('passed', all.passed, text) }),
  };
}

export function decodeGrant(json: string): GrantRecord {
  const all = fields('grant', parse('grant', json));
  return {
    member: memberId(text('member', all.member)),
    zone: zone(text('zone', all.zone)),
    store: nullable(all.store, (value) => storeId(text('store', value))),
    revision: whole('revision', all.revision),
    leaving: nullable(all.leaving, (value) => {
      const by = fields('leaving', value).by;
      return { by: nullable(by, (label) => text('leaving.by', label)) };
    }),
    ...(all.orders === undefined ? {} : { orders: list('orders', all.orders, text) }),
  };
}

export function decodeName(json: string): NameRecord {
  const all = fields('name', parse('name', json));
  return {
    name: journalName(text('name', all.name)),
    journal: journalId(text('journal', all.journal)),
    settings: readSettings(all.settings),
    firstLsn: lsn(whole('firstLsn', all.firstLsn), 'firstLsn'),
    deleted: flag('deleted', all.deleted),
    revision: whole('revision', all.revision),
  };
}

export function readSeat(name: string, value: unknown): Seat {
  const all = fields(name, value);
  return {
    id: text(`${name}.id`, all.id),
    store: text(`${name}.store`, all.store),
    address: text(`${name}.address`, all.address),
  };
}

export function readSet(name: string, value: unknown): AcceptorSet {
  const all = fields(name, value);
  const seats = list(`${name}.seats`, all.seats, readSeat);
  checkSeats(seats);
  return {
    id: text(`${name}.id`, all.id),
    version: whole(`${name}.version`, all.version),
    seats,
  };
}

/** 1, 3 or 5 different controllers. */
export function checkSeats(seats: readonly Pick<Seat, 'id' | 'address'>[]): void {
  if (![1, 3, 5].includes(seats.length)) {
    throw new RangeViolation('controllers', seats.length, '1, 3 or 5');
  }
  for (const field of ['id', 'address'] as const) {
    const given = seats.map((seat) => seat[field]);
    if (new Set(given).size !== given.length || given.includes('')) {
      throw new RangeViolation(`${field} of controllers`, given.join(','), 'a different one each');
    }
  }
}

export const decodeSet = (json: string): AcceptorSet => readSet('set', parse('set', json));

export const decodeFeature = (json: string | null): number =>
  json === null ? 0 : whole('level', fields('feature', parse('feature', json)).level);

/** Whether registers are still to be rebuilt, so that nothing may be decided from them. */
export const isRebuilding = (json: string | null): boolean =>
  json !== null && text('recovery', fields('recovery', parse('recovery', json)).state) === 'open';
