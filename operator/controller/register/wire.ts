// What controllers say to each other over the method `acceptor`: JSON both ways, checked here.

import type { Floor } from '../../../protocol/chain/messages.ts';
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
import type {
  AcceptorAnswer,
  AcceptorRequest,
  AcceptorSet,
  Ballot,
  Dump,
  RegisterState,
  SetName,
} from '../../../protocol/paxos/messages.ts';
import {
  epoch,
  type JournalId,
  journalId,
  lsn,
  type Micros,
  micros,
  type StoreId,
  storeId,
} from '../../../protocol/types.ts';
import { readSet } from './records.ts';

/** What one disk has acknowledged of one journal; see floors.ts. */
export interface FloorEntry {
  readonly journal: JournalId;
  readonly store: StoreId;
  readonly floor: Floor;
}

export const VERDICTS = ['fine', 'silent', 'stuck', 'slow', 'failed'] as const;
export type VerdictKind = (typeof VERDICTS)[number];

export interface Gossip {
  readonly from: string;
  readonly wall: Micros;
  /** What the sender thinks of members that are not fine. */
  readonly verdicts: readonly { readonly store: StoreId; readonly kind: VerdictKind }[];
  /** Registers that the sender saw change lately. */
  readonly hints: readonly string[];
  readonly about: ControllerAbout;
}

export interface ControllerAbout {
  readonly store: string;
  readonly address: string;
  readonly zone: string;
  readonly pid: number;
  readonly version: string;
  readonly dataDirectory: string;
  readonly featureLevelMax: number;
  /** What is wrong, in a sentence; empty when nothing is. */
  readonly note: string;
}

export type ControllerRequest =
  | { readonly kind: 'paxos'; readonly requests: readonly AcceptorRequest[] }
  /** A start: all nonces that were drawn since the receiver confirmed one, the newest last. */
  | {
      readonly kind: 'start';
      readonly id: string;
      readonly store: string;
      readonly nonces: readonly string[];
    }
  | { readonly kind: 'gossip'; readonly gossip: Gossip }
  /** All floors of a journal; of all journals where none is named. */
  | { readonly kind: 'floors'; readonly journal: JournalId | null }
  /** Keep these too: they travel with the registers to a new set. */
  | { readonly kind: 'keepFloors'; readonly floors: readonly FloorEntry[] }
  | { readonly kind: 'hello' };

export type ControllerAnswer =
  | { readonly kind: 'paxos'; readonly answers: readonly AcceptorAnswer[] }
  | {
      readonly kind: 'start';
      readonly store: string;
      /** The nonce that is held for the asker is among those offered. */
      readonly confirmed: boolean;
      /** What the answering side itself offers the asker. */
      readonly nonces: readonly string[];
    }
  | { readonly kind: 'gossip'; readonly gossip: Gossip }
  | { readonly kind: 'floors'; readonly floors: readonly FloorEntry[] }
  | { readonly kind: 'kept' }
  | {
      readonly kind: 'hello';
      readonly id: string;
      readonly store: string;
      readonly set: AcceptorSet | null;
    };

/** Requests name the cluster: controllers of two clusters never mix. */
export const encodeRequest = (cluster: string, request: ControllerRequest): string =>
  JSON.stringify({ cluster, ...request });

export const encodeAnswer = (answer: ControllerAnswer): string => JSON.stringify(answer);

export function decodeRequest(json: string): { cluster: string; request: ControllerRequest } {
  const all = fields('request', parse('request', json));
  return { cluster: text('cluster', all.cluster), request: readRequest(all) };
}

function readRequest(all: ReturnType<typeof fields>): ControllerRequest {
  const kinds = ['paxos', 'start', 'gossip', 'floors', 'keepFloors', 'hello'] as const;
  const kind = choice('kind', all.kind, kinds);
  switch (kind) {
    case 'paxos':
      return { kind, requests: list('requests', all.requests, readAcceptorRequest) };
    case 'start':
      return {
        kind,
        id: text('id', all.id),
        store: text('store', all.store),
        nonces: list('nonces', all.nonces, text),
      };
    case 'gossip':
      return { kind, gossip: readGossip(all.gossip) };
    case 'floors':
      return { kind, journal: nullable(all.journal, (id) => journalId(text('journal', id))) };
    case 'keepFloors':
      return { kind, floors: list('floors', all.floors, readFloor) };
    case 'hello':
      return { kind };
  }
}

export function decodeAnswer(json: string): ControllerAnswer {
  const all = fields('answer', parse('answer', json));
  const kinds = ['paxos', 'start', 'gossip', 'floors', 'kept', 'hello'] as const;
  const kind = choice('kind', all.kind, kinds);
  switch (kind) {
    case 'paxos':
      return { kind, answers: list('answers', all.answers, readAcceptorAnswer) };
    case 'start':
      return {
        kind,
        store: text('store', all.store),
        confirmed: flag('confirmed', all.confirmed),
        nonces: list('nonces', all.nonces, text),
      };
    case 'gossip':
      return { kind, gossip: readGossip(all.gossip) };
    case 'floors':
      return { kind, floors: list('floors', all.floors, readFloor) };
    case 'kept':
      return { kind };
    case 'hello':
      return {
        kind,
        id: text('id', all.id),
        store: text('store', all.store),
        set: nullable(all.set, (set) => readSet('set', set)),
      };
  }
}

function readAcceptorRequest(name: string, value: unknown): AcceptorRequest {
  const all = fields(name, value);
  const kinds = ['prepare', 'accept', 'read', 'keys', 'seal', 'install', 'copy'] as const;
  const kind = choice(`${name}.kind`, all.kind, kinds);
  const set = (): SetName => {
    const named = fields(`${name}.set`, all.set);
    return { id: text('set.id', named.id), version: whole('set.version', named.version) };
  };
  const key = (): string => text(`${name}.key`, all.key);
  const ballot = (): Ballot => readBallot(`${name}.ballot`, all.ballot);
  switch (kind) {
    case 'prepare':
      return { kind, set: set(), key: key(), ballot: ballot() };
    case 'accept':
      return { kind, set: set(), key: key(), ballot: ballot(), value: readValue(all.value) };
    case 'read':
      return { kind, set: set(), key: key() };
    case 'keys':
      return { kind, set: set(), prefix: text(`${name}.prefix`, all.prefix) };
    case 'seal':
      return { kind, set: set(), next: readSet(`${name}.next`, all.next) };
    case 'install':
      return { kind, next: readSet(`${name}.next`, all.next), registers: readDump(all.registers) };
    case 'copy':
      return { kind, set: set() };
  }
}

function readAcceptorAnswer(name: string, value: unknown): AcceptorAnswer {
  const all = fields(name, value);
  const kinds = [
    'promise',
    'accepted',
    'nack',
    'state',
    'keys',
    'sealed',
    'installed',
    'copied',
    'wrongSet',
  ] as const;
  const kind = choice(`${name}.kind`, all.kind, kinds);
  switch (kind) {
    case 'promise':
      return { kind, accepted: readBallot('accepted', all.accepted), value: readValue(all.value) };
    case 'accepted':
    case 'installed':
      return { kind };
    case 'nack':
      return { kind, promised: readBallot('promised', all.promised) };
    case 'state':
      return { kind, state: readRegister('state', all.state) };
    case 'keys':
      return { kind, keys: list('keys', all.keys, text) };
    case 'sealed':
      return { kind, next: readSet('next', all.next), registers: readDump(all.registers) };
    case 'copied':
      return { kind, set: readSet('set', all.set), registers: readDump(all.registers) };
    case 'wrongSet':
      return {
        kind,
        newer: nullable(all.newer, (set) => readSet('newer', set)),
        reason: text('reason', all.reason),
      };
  }
}

function readBallot(name: string, value: unknown): Ballot {
  const all = fields(name, value);
  return {
    round: whole(`${name}.round`, all.round),
    proposer: text(`${name}.proposer`, all.proposer),
  };
}

const readValue = (value: unknown): string | null =>
  nullable(value, (given) => text('value', given));

export function readRegister(name: string, value: unknown): RegisterState {
  const all = fields(name, value);
  return {
    promised: readBallot(`${name}.promised`, all.promised),
    accepted: readBallot(`${name}.accepted`, all.accepted),
    value: readValue(all.value),
  };
}

const readDump = (value: unknown): Dump =>
  list('registers', value, (name, item) => {
    const all = fields(name, item);
    return {
      key: text(`${name}.key`, all.key),
      state: readRegister(`${name}.state`, all.state),
    };
  });

export function readFloor(name: string, value: unknown): FloorEntry {
  const all = fields(name, value);
  const floor = fields(`${name}.floor`, all.floor);
  return {
    journal: journalId(text(`${name}.journal`, all.journal)),
    store: storeId(text(`${name}.store`, all.store)),
    floor: {
      epoch: epoch(whole('floor.epoch', floor.epoch)),
      lsn: lsn(whole('floor.lsn', floor.lsn)),
      entryEpoch: epoch(whole('floor.entryEpoch', floor.entryEpoch)),
    },
  };
}

function readGossip(value: unknown): Gossip {
  const all = fields('gossip', value);
  const about = fields('gossip.about', all.about);
  const string = (name: string): string => text(`gossip.about.${name}`, about[name]);
  return {
    from: text('gossip.from', all.from),
    wall: micros(whole('gossip.wall', all.wall)),
    verdicts: list('gossip.verdicts', all.verdicts, (name, item) => {
      const verdict = fields(name, item);
      return {
        store: storeId(text(`${name}.store`, verdict.store)),
        kind: choice(`${name}.kind`, verdict.kind, VERDICTS),
      };
    }),
    hints: list('gossip.hints', all.hints, text),
    about: {
      store: string('store'),
      address: string('address'),
      zone: string('zone'),
      pid: whole('gossip.about.pid', about.pid),
      version: string('version'),
      dataDirectory: string('dataDirectory'),
      featureLevelMax: whole('gossip.about.featureLevelMax', about.featureLevelMax),
      note: string('note'),
    },
  };
}
