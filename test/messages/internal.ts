// Any message between the processes of a cluster, for fast-check.

import fc from 'fast-check';
import type { AckEntry, ChainReport, LogShape } from '../../protocol/chain/messages.ts';
import type { Refusal } from '../../protocol/errors.ts';
import type * as control from '../../transport/control.ts';
import type { AcceptorMessage } from '../../transport/methods.ts';
import type { PeerFrame, WireChainBody } from '../../transport/peer.ts';
import { codes } from './public.ts';
import {
  type Any,
  bytes,
  configuration,
  era,
  journal,
  key,
  kind,
  label,
  list,
  maybe,
  member,
  memberKey,
  number,
  orNull,
  plain,
  position,
  record,
  settings,
  small,
  store,
  text,
  time,
  yes,
} from './values.ts';

export const ack = record<AckEntry>({ store, durableLsn: position, barrier: number });
export const shape = record<LogShape>({
  baseLsn: position,
  baseEpoch: era,
  endLsn: position,
  runs: list(plain({ epoch: era, firstLsn: position })),
});
export const refusal: Any<Refusal> = plain({
  code: fc.constantFrom(...codes),
  message: text,
  details: plain(
    { firstLsn: position, tokenLsn: position, leaseMillis: number, configuration },
    { requiredKeys: [] },
  ),
});
export const body: Any<WireChainBody> = fc.oneof(
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
export const frame: Any<PeerFrame> = fc.oneof(
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
  plain({ kind: kind('room'), full: text }),
);
export const fetched: Any<control.FetchAnswer> = fc.oneof(
  plain({ kind: kind('base'), piece: bytes, last: yes }),
  plain({
    kind: kind('batches'),
    previousLsn: position,
    previousEpoch: era,
    batches: list(bytes),
    committedLsn: position,
  }),
);

export const helloFields = {
  cluster: text,
  featureLevelMin: small,
  featureLevelMax: small,
  sender: text,
};
export const directive: Any<control.Directive> = fc.oneof(
  plain({ kind: kind('configure'), configuration }),
  plain({ kind: kind('wedge'), journal, epoch: era }),
  plain({ kind: kind('learn'), configuration, source: member }),
  plain({ kind: kind('probe'), probe: number }),
  plain({ kind: kind('superseded'), incarnation: number }),
  plain({ kind: kind('inventory') }),
);
export const ping = record<control.Ping>({
  sequence: number,
  hello: maybe(record<control.Hello>(helloFields)),
  directives: list(directive),
  featureLevel: small,
  controllers: list(text),
});
export const report = record<ChainReport>({
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
export const pong = record<control.Pong>({
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
    full: text,
  }),
  reports: list(report),
  gone: list(journal),
  inventory: list(configuration),
});
export const place = { store, member: label, zone: label };
export const change: Any<control.RegisterChange> = fc.oneof(
  plain({ kind: kind('start'), ...place, startId: key, after: number, address: text }),
  plain({ kind: kind('format'), ...place }),
  plain({ kind: kind('createJournal'), journal, name: label, settings, firstLsn: position }),
  plain({ kind: kind('deleteJournal'), name: label }),
  plain({ kind: kind('deleteJournal'), name: label, journal }),
  plain({ kind: kind('propose'), expectedEpoch: era, configuration }),
);
export const changed: Any<control.RegisterAnswer> = fc.oneof(
  plain({ kind: kind('started'), incarnation: number, startId: text }),
  plain({ kind: kind('formatted'), cluster: text }),
  plain({ kind: kind('configuration'), configuration }),
  plain({ kind: kind('refused'), code: text, message: text }),
);
export const json = record<AcceptorMessage>({ json: text });
