// The decoders of what controllers say to each other, and of what their registers and disks hold.

import fc from 'fast-check';
import { readContacts } from '../../operator/controller/format.ts';
import {
  decodeConfiguration,
  decodeFeature,
  decodeGrant,
  decodeLoss,
  decodeName,
  decodeNode,
  decodeSet,
  encode,
  isRebuilding,
} from '../../operator/controller/register/records.ts';
import {
  type ControllerAnswer,
  type ControllerRequest,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  type Gossip,
} from '../../operator/controller/register/wire.ts';
import { readLedger } from '../../operator/journal/ledger.ts';
import { readAuthority, readPair } from '../../operator/manifests/secret.ts';
import type { AcceptorSet, RegisterState } from '../../protocol/paxos/messages.ts';
import { epoch, journalId, lsn, micros, storeId } from '../../protocol/types.ts';
import { configuration, hex, journal, label, list, number, settings } from '../messages/values.ts';
import { allJson, type Decoder } from './decoder.ts';

const SAMPLES = 12;
const CLUSTER = '0f'.repeat(16);
const JOURNAL = journalId('ab'.repeat(16));
const STORE = storeId('cd'.repeat(16));

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const bytesOf = (text: string): Uint8Array => Buffer.from(text);

const SET: AcceptorSet = {
  id: 'first',
  version: 3,
  seats: ['c1', 'c2', 'c3'].map((id) => ({ id, store: STORE, address: `${id}:7411` })),
};

// ── What they say ─────────────────────────────────────────────────────────────────────────────

const ballot = { round: 4, proposer: 'c2' };
const state: RegisterState = { promised: ballot, accepted: ballot, value: '{"a":1}' };
const registers = [{ key: 'feature', state }];
const key = `journal/${JOURNAL}`;
const floor = { epoch: epoch(2), lsn: lsn(9), entryEpoch: epoch(1) };
const floors = [{ journal: JOURNAL, store: STORE, floor }];

const gossip: Gossip = {
  from: 'c1',
  wall: micros(1_700_000_000_000_000),
  verdicts: [{ store: STORE, kind: 'stuck' }],
  hints: [key],
  about: {
    store: STORE,
    address: 'c1:7411',
    zone: 'a',
    pid: 7,
    version: '1.2.3',
    dataDirectory: '/data',
    featureLevelMax: 1,
    note: '',
  },
};

const REQUESTS: readonly ControllerRequest[] = [
  {
    kind: 'paxos',
    requests: [
      { kind: 'prepare', set: SET, key, ballot },
      { kind: 'accept', set: SET, key, ballot, value: '{}' },
      { kind: 'read', set: SET, key },
    ],
  },
  {
    kind: 'paxos',
    requests: [
      { kind: 'keys', set: SET, prefix: 'node/' },
      { kind: 'seal', set: SET, next: SET },
      { kind: 'install', next: SET, registers },
      { kind: 'copy', set: SET },
    ],
  },
  { kind: 'start', id: 'c1', store: STORE, nonces: ['x', 'y'] },
  { kind: 'gossip', gossip },
  { kind: 'floors', journal: JOURNAL },
  { kind: 'floors', journal: null },
  { kind: 'keepFloors', floors },
  { kind: 'hello' },
];

const ANSWERS: readonly ControllerAnswer[] = [
  {
    kind: 'paxos',
    answers: [
      { kind: 'promise', accepted: ballot, value: null },
      { kind: 'accepted' },
      { kind: 'nack', promised: ballot },
      { kind: 'state', state },
      { kind: 'keys', keys: [key] },
    ],
  },
  {
    kind: 'paxos',
    answers: [
      { kind: 'sealed', next: SET, registers },
      { kind: 'installed' },
      { kind: 'copied', set: SET, registers },
      { kind: 'wrongSet', newer: SET, reason: 'sealed' },
    ],
  },
  { kind: 'start', store: STORE, confirmed: true, nonces: ['x'] },
  { kind: 'gossip', gossip },
  { kind: 'floors', floors },
  { kind: 'kept' },
  { kind: 'hello', id: 'c1', store: STORE, set: SET },
];

const MESSAGES: readonly Decoder[] = [
  {
    name: 'controllers/request',
    seeds: () => REQUESTS.map((request) => bytesOf(encodeRequest(CLUSTER, request))),
    decode: (bytes) => decodeRequest(textOf(bytes)).request,
    withJson: allJson,
  },
  {
    name: 'controllers/answer',
    seeds: () => ANSWERS.map((answer) => bytesOf(encodeAnswer(answer))),
    decode: (bytes) => decodeAnswer(textOf(bytes)),
    withJson: allJson,
  },
];

// ── What registers hold ───────────────────────────────────────────────────────────────────────

const member = { member: label, zone: label };

const nodes = fc.record({
  store: hex,
  generation: number,
  startId: hex,
  ...member,
  address: label,
});
const losses = fc.record(
  {
    ...{ journal, lineage: number, member: label, reason: label, epoch: number, order: label },
    ...{ taken: fc.boolean(), passed: list(label) },
  },
  { requiredKeys: ['journal', 'lineage', 'member', 'reason', 'epoch'] },
);
const grants = fc.record(
  {
    ...member,
    store: fc.option(hex),
    revision: number,
    leaving: fc.option(fc.record({ by: fc.option(label) })),
    orders: list(hex),
  },
  { requiredKeys: ['member', 'zone', 'store', 'revision', 'leaving'] },
);
const names = fc.record({
  name: label,
  journal,
  settings,
  firstLsn: number,
  deleted: fc.boolean(),
  revision: number,
});

function register(
  name: string,
  values: fc.Arbitrary<object>,
  decode: (json: string) => unknown,
): Decoder {
  const sample = (): object[] => fc.sample(values, { numRuns: SAMPLES, seed: 7 });
  return {
    name: `register/${name}`,
    seeds: () => sample().map((value) => bytesOf(encode(value))),
    decode: (bytes) => decode(textOf(bytes)),
    withJson: allJson,
  };
}

const REGISTERS: readonly Decoder[] = [
  register('configuration', configuration, decodeConfiguration),
  register('node', nodes, decodeNode),
  register('loss', losses, decodeLoss),
  register('grant', grants, decodeGrant),
  register('name', names, decodeName),
  register('set', fc.constant(SET), decodeSet),
  register('feature', fc.record({ level: number }), decodeFeature),
  register('recovery', fc.constantFrom({ state: 'open' }, { state: 'closed' }), isRebuilding),
  {
    name: 'contacts',
    seeds: () => [bytesOf(encode(SET))],
    decode: (bytes) => readContacts(bytes),
    withJson: allJson,
  },
];

// ── What the operator keeps in Kubernetes, where people edit things ───────────────────────────

const LEDGER = {
  ownerUid: 'u-1',
  clusterId: CLUSTER,
  formatted: true,
  restored: false,
  recovery: '',
  recovered: '',
  decided: {
    image: 'journal:1',
    zones: ['a', 'b'],
    members: 3,
    replicationFactor: 3,
    controllers: 3,
  },
  replicas: [
    { id: 'r1', zone: 'a', claimUid: 'c', granted: true, leaving: '', by: '', ordered: false },
  ],
  controllers: [{ id: 'c1', zone: 'a', claimUid: 'c', formatted: true, leaving: '', by: '' }],
  nextReplica: 4,
  nextController: 4,
};
const AUTHORITY = {
  current: { cert: 'PEM', key: 'PEM' },
  next: null,
  previous: [{ cert: 'PEM', untilMillis: 7 }],
  rotation: '',
};

const holding = (data: object) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'n', namespace: 'm' },
  data: { ...data },
});

const OBJECTS: readonly Decoder[] = [
  {
    name: 'ledger',
    seeds: () => [bytesOf(JSON.stringify(LEDGER))],
    decode: (bytes) => readLedger(holding({ 'ledger.json': textOf(bytes) })),
    withJson: allJson,
  },
  {
    name: 'authority',
    seeds: () => [bytesOf(JSON.stringify(AUTHORITY))],
    decode: (bytes) => {
      const said = Buffer.from(bytes).toString('base64');
      readPair(holding({ 'tls.crt': textOf(bytes), 'tls.key': said }));
      return readAuthority(holding({ 'authority.json': said }));
    },
    withJson: allJson,
  },
];

export const CONTROLLERS: readonly Decoder[] = [...MESSAGES, ...REGISTERS, ...OBJECTS];
