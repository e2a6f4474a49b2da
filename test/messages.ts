// Any message of any method, for fast-check: what the codecs must carry without change.

import fc from 'fast-check';
import type {
  AckEntry,
  ChainReport,
  CursorState,
  KeyState,
  LogShape,
} from '../protocol/chain/messages.ts';
import type {
  Configuration,
  JournalSettings,
  Member,
  MemberKey,
} from '../protocol/configuration.ts';
import { ERROR_CODES, type ErrorCode, type Refusal } from '../protocol/errors.ts';
import {
  epoch,
  type Idempotence,
  type JournalLimits,
  journalId,
  lsn,
  memberId,
  micros,
  storeId,
  writerId,
  zone,
} from '../protocol/types.ts';
import type * as control from '../transport/control.ts';
import type { AcceptorMessage } from '../transport/methods.ts';
import type { PeerFrame, WireChainBody } from '../transport/peer.ts';
import type * as open from '../transport/public.ts';

type Any<Value> = fc.Arbitrary<Value>;

/** Objects as the codecs make them: with a prototype, optional fields left out where asked for. */
const plain = <Value, Required extends keyof Value = keyof Value>(
  fields: { [Name in keyof Value]: Any<Value[Name]> },
  options: { requiredKeys?: Required[] } = {},
) => fc.record(fields, { noNullPrototype: true, ...options });

/** Fields in the order of a type, so that a new field is missed by the compiler. */
const record = <Value extends object>(fields: { [Name in keyof Value]-?: Any<Value[Name]> }) =>
  // cast: fast-check gives an object of all the fields.
  plain(fields) as unknown as Any<Value>;

const number = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constant(Number.MAX_SAFE_INTEGER));
const position = number.map((value) => lsn(value));
const time = number.map((value) => micros(value));
const era = number.map((value) => epoch(value));
const small = fc.nat(2 ** 31 - 1);
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const yes = fc.boolean();
const bytes = fc.uint8Array({ maxLength: 300 });
const hex = fc.stringMatching(/^[0-9a-f]{32}$/);
const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/);
const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
const journal = hex.map(journalId);
const store = hex.map(storeId);
const list = <Value>(value: Any<Value>, minLength = 0): Any<Value[]> =>
  fc.array(value, { minLength, maxLength: 4 });
const maybe = <Value>(value: Any<Value>): Any<Value | undefined> =>
  fc.option(value, { nil: undefined });
const orNull = <Value>(value: Any<Value>): Any<Value | null> => fc.option(value, { nil: null });
const kind = <Kind extends string>(value: Kind): Any<Kind> => fc.constant(value);

const memberKey = record<MemberKey>({ store, incarnation: number });
const member = record<Member>({
  store,
  incarnation: number,
  id: label.map(memberId),
  zone: label.map(zone),
  address: text,
});
const limits = record<JournalLimits>({
  keys: fc.integer({ min: 1, max: 1_000_000 }),
  writers: fc.integer({ min: 1, max: 100_000 }),
  writerWindow: fc.integer({ min: 1, max: 1_024 }),
  chosenKeys: fc.integer({ min: 1, max: 100_000 }),
  cursors: fc.integer({ min: 1, max: 10_000 }),
});
const settingFields = {
  replicationFactor: fc.integer({ min: 1, max: 5 }),
  minReplicas: fc.integer({ min: 1, max: 5 }),
  recordBytesMax: fc.integer({ min: 1, max: 2 ** 24 }),
  batchBytesMax: fc.integer({ min: 1, max: 2 ** 24 }),
  retainMillis: number,
  retainBytes: number,
  limits,
};
const settings = record<JournalSettings>(settingFields);
const someSettings: Any<Partial<JournalSettings>> = plain(settingFields, { requiredKeys: [] });
const configuration = record<Configuration>({
  journal,
  name: label,
  settings,
  lineage: number,
  epoch: era,
  mode: kind('chain'),
  firstLsn: position,
  serving: list(member, 1),
  joining: orNull(member),
  deleted: yes,
});
const cursor = record<CursorState>({ name: label, lsn: position, updatedAt: time });

const description = record<open.JournalDescription>({
  configuration,
  firstLsn: position,
  tailLsn: position,
  committedLsn: position,
  bytes: number,
  cursors: list(cursor),
});
const idempotence = record<Idempotence>({
  writer: hex.map(writerId),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  after: number,
  chosen: yes,
});
const append = record<open.AppendCall>({
  journal: label,
  records: list(record<open.NewRecord>({ key: maybe(key), data: bytes }), 1),
  condition: record<open.AppendCall['condition']>({
    expectTail: orNull(position),
    expectKey: orNull(plain({ key, lsn: position })),
    fence: orNull(plain({ key, token: position })),
  }),
  keyOperation: fc.constantFrom('tag', 'claim', 'renew', 'release'),
  leaseMillis: number,
  idempotence: orNull(idempotence),
  tag: number,
});
const appended = record<open.AppendAnswer>({
  tag: number,
  firstLsn: position,
  lastLsn: position,
  timestampMicros: time,
  epoch: era,
  duplicate: yes,
});
const codes = Object.keys(ERROR_CODES) as ErrorCode[];
export const wireError = record<open.WireError>({
  code: fc.constantFrom(...codes),
  message: text,
  retryable: yes,
  outcome: fc.constantFrom('none', 'unknown'),
  firstLsn: maybe(position),
  tailLsn: maybe(position),
  keyLsn: maybe(position),
  tokenLsn: maybe(position),
  leaseMillis: maybe(number),
  configuration: maybe(configuration),
});
const streamAnswer: Any<open.AppendStreamAnswer> = fc.oneof(
  plain({ kind: kind('appended'), answer: appended }),
  plain({ kind: kind('refused'), tag: number, error: wireError }),
);
const start: Any<open.StartPosition> = fc.oneof(
  plain({ kind: kind('lsn'), lsn: position }),
  plain({ kind: fc.constantFrom('first' as const, 'next' as const) }),
  plain({ kind: kind('time'), time }),
  plain({ kind: kind('last'), count: number }),
);
const stored = record<open.JournalRecord>({
  lsn: position,
  timestampMicros: time,
  key: maybe(key),
  data: bytes,
});
const records = record<open.ReadAnswer & open.SubscribeAnswer>({
  records: list(stored),
  nextLsn: position,
  committedLsn: position,
  lineage: number,
});
const named = record<open.Named>({ journal: label });
const nothing = fc.constant<open.Nothing>({});
const status = record<open.ClusterStatus>({
  cluster: text,
  featureLevel: small,
  ready: yes,
  processes: list(
    record<open.ProcessStatus>({
      kind: fc.constantFrom('replica', 'controller'),
      id: text,
      store: text,
      incarnation: number,
      zone: text,
      address: text,
      pid: number,
      dataDirectory: text,
      version: text,
      reachable: yes,
      note: text,
    }),
  ),
  journals: list(
    record<open.JournalStatus>({
      id: journal,
      name: label,
      lineage: number,
      epoch: era,
      writable: yes,
      note: text,
      members: list(
        record<open.MemberStatus>({
          id: text,
          store: text,
          zone: text,
          address: text,
          role: text,
          live: yes,
          synced: yes,
          endLsn: position,
          durableLsn: position,
          committedLsn: position,
          lag: number,
        }),
      ),
      reconfigurations: number,
    }),
  ),
});
const admin: Any<open.AdminRequest> = fc.oneof(
  plain({ kind: kind('memberAdd'), member: label, zone: label }),
  plain({ kind: kind('memberRemove'), member: label }),
  plain({ kind: kind('memberReplace'), member: label, by: label }),
  plain({ kind: kind('forceLoss'), journal: label, member: label, reason: text }),
  plain({ kind: kind('moveHead'), journal: label, member: label }),
  plain({ kind: kind('controllerReplace'), remove: key, add: key }),
);
const adminAnswer = record<open.AdminAnswer>({ done: list(text) });

const ack = record<AckEntry>({ store, durableLsn: position, barrier: number });
const shape = record<LogShape>({
  baseLsn: position,
  baseEpoch: era,
  endLsn: position,
  runs: list(plain({ epoch: era, firstLsn: position })),
});
const refusal: Any<Refusal> = plain({
  code: fc.constantFrom(...codes),
  message: text,
  details: plain(
    { firstLsn: position, tokenLsn: position, leaseMillis: number, configuration },
    { requiredKeys: [] },
  ),
});
const body: Any<WireChainBody> = fc.oneof(
  plain({
    kind: kind('replicate'),
    startLsn: position,
    previousLsn: position,
    previousEpoch: era,
    batches: list(bytes),
    committedLsn: position,
    barrier: number,
  }),
  plain({ kind: kind('ack'), entries: list(ack) }),
  plain({ kind: kind('sync'), shape }),
  plain({ kind: kind('tooOld'), baseLsn: position }),
  plain({ kind: kind('readIndex'), read: number }),
  plain({
    kind: kind('readIndexAnswer'),
    read: number,
    answer: fc.oneof(plain({ committedLsn: position, dataLsn: position }), refusal),
  }),
);
const frame: Any<PeerFrame> = fc.oneof(
  plain({
    kind: kind('hello'),
    cluster: text,
    featureLevelMin: small,
    featureLevelMax: small,
    from: memberKey,
    address: text,
  }),
  plain({
    kind: kind('chain'),
    message: plain({ journal, lineage: number, epoch: era, from: memberKey, body }),
  }),
);
const fetched: Any<control.FetchAnswer> = fc.oneof(
  plain({ kind: kind('base'), piece: bytes, last: yes }),
  plain({
    kind: kind('batches'),
    previousLsn: position,
    previousEpoch: era,
    batches: list(bytes),
    committedLsn: position,
  }),
);

const helloFields = {
  cluster: text,
  featureLevelMin: small,
  featureLevelMax: small,
  sender: text,
};
const directive: Any<control.Directive> = fc.oneof(
  plain({ kind: kind('configure'), configuration }),
  plain({ kind: kind('wedge'), journal, epoch: era }),
  plain({ kind: kind('learn'), configuration, source: member }),
  plain({ kind: kind('probe'), probe: number }),
  plain({ kind: kind('superseded'), incarnation: number }),
  plain({ kind: kind('inventory') }),
);
const ping = record<control.Ping>({
  sequence: number,
  hello: maybe(record<control.Hello>(helloFields)),
  directives: list(directive),
  featureLevel: small,
  controllers: list(text),
});
const report = record<ChainReport>({
  journal,
  lineage: number,
  epoch: era,
  role: fc.constantFrom('head', 'middle', 'tail', 'learner', 'retired', 'restarted', 'none'),
  live: yes,
  synced: yes,
  wedged: yes,
  damaged: yes,
  tooOld: yes,
  endLsn: position,
  endEpoch: era,
  durableLsn: position,
  committedLsn: position,
  baseLsn: position,
  startLsn: orNull(position),
  waitingMicros: time,
  acked: list(ack),
  floor: orNull(plain({ epoch: era, lsn: position, entryEpoch: era })),
});
const pong = record<control.Pong>({
  sequence: number,
  hello: maybe(
    record<control.ReplicaHello>({
      ...helloFields,
      store,
      incarnation: number,
      lastIncarnation: number,
      member: text,
      zone: text,
      address: text,
      pid: number,
      dataDirectory: text,
      version: text,
    }),
  ),
  health: record<control.ReplicaHealth>({
    syncAge: time,
    syncMedian: time,
    syncs: number,
    probe: number,
    loopDelay: time,
    wall: time,
    diskFreeBytes: number,
    diskTotalBytes: number,
    failed: text,
    draining: yes,
  }),
  reports: list(report),
  gone: list(journal),
  inventory: list(configuration),
});
const place = { store, member: label, zone: label };
const change: Any<control.RegisterChange> = fc.oneof(
  plain({ kind: kind('start'), ...place, startId: key, address: text }),
  plain({ kind: kind('format'), ...place }),
  plain({ kind: kind('createJournal'), journal, name: label, settings, firstLsn: position }),
  plain({ kind: kind('deleteJournal'), name: label }),
  plain({ kind: kind('propose'), expectedEpoch: era, configuration }),
);
const changed: Any<control.RegisterAnswer> = fc.oneof(
  plain({ kind: kind('started'), incarnation: number, startId: text }),
  plain({ kind: kind('formatted'), cluster: text }),
  plain({ kind: kind('configuration'), configuration }),
  plain({ kind: kind('refused'), code: text, message: text }),
);
const json = record<AcceptorMessage>({ json: text });
const keyState = record<KeyState>({
  key,
  keyLsn: position,
  tokenLsn: position,
  leaseMillis: number,
});

/** Request and answer of each method, by its path. */
export const MESSAGES: Readonly<Record<string, readonly [Any<unknown>, Any<unknown>]>> = {
  '/journal.v1.Journal/CreateJournal': [
    plain({
      name: label,
      ifAbsent: yes,
      settings: someSettings,
      firstLsn: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    }),
    description,
  ],
  '/journal.v1.Journal/DeleteJournal': [named, nothing],
  '/journal.v1.Journal/ListJournals': [
    nothing,
    plain({ names: list(plain({ name: label, id: journal })) }),
  ],
  '/journal.v1.Journal/DescribeJournal': [named, description],
  '/journal.v1.Journal/Session': [
    named,
    record<open.SessionAnswer>({ endLsn: position, lineage: number, settings, configuration }),
  ],
  '/journal.v1.Journal/Append': [append, appended],
  '/journal.v1.Journal/AppendStream': [append, streamAnswer],
  '/journal.v1.Journal/Read': [
    record<open.ReadRequest>({
      journal: label,
      from: start,
      limit: number,
      bytesMax: number,
      linearizable: yes,
    }),
    records,
  ],
  '/journal.v1.Journal/Subscribe': [
    record<open.SubscribeRequest>({ journal: label, from: start, lineage: number }),
    records,
  ],
  '/journal.v1.Journal/Tail': [
    named,
    record<open.TailAnswer>({
      tailLsn: position,
      endLsn: position,
      firstLsn: position,
      lineage: number,
    }),
  ],
  '/journal.v1.Journal/Trim': [
    record<open.TrimRequest>({ journal: label, through: position, force: yes }),
    record<open.TrimAnswer>({ firstLsn: position }),
  ],
  '/journal.v1.Journal/SetCursor': [
    record<open.SetCursorRequest>({ journal: label, name: label, lsn: orNull(position) }),
    nothing,
  ],
  '/journal.v1.Journal/Cursors': [named, record<open.CursorsAnswer>({ cursors: list(cursor) })],
  '/journal.v1.Journal/Key': [record<open.KeyRequest>({ journal: label, key }), keyState],
  '/journal.v1.Cluster/Status': [nothing, status],
  '/journal.v1.Cluster/Admin': [admin, adminAnswer],
  '/journal.peer.v1.Peer/Link': [frame, frame],
  '/journal.peer.v1.Peer/Fetch': [
    record<control.FetchRequest>({
      journal,
      lineage: number,
      shape,
      repairFirstLsn: position,
      repairLastLsn: position,
    }),
    fetched,
  ],
  '/journal.control.v1.Replica/Observe': [ping, pong],
  '/journal.control.v1.Controller/Change': [change, changed],
  '/journal.control.v1.Controller/Journals': [
    plain({ name: fc.oneof(label, fc.constant('')) }),
    plain({ configurations: list(configuration) }),
  ],
  '/journal.control.v1.Controller/Status': [nothing, status],
  '/journal.control.v1.Controller/Admin': [admin, adminAnswer],
  '/journal.control.v1.Controller/Acceptor': [json, json],
};
