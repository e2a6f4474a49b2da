// The control services between the wire and the plain values of ../control.ts.

import type { Codec } from '../../io/network.ts';
import type { ChainReport } from '../../protocol/chain/messages.ts';
import {
  epoch,
  journalId,
  journalName,
  label,
  lsn,
  micros,
  RangeViolation,
  storeId,
} from '../../protocol/types.ts';
import type * as plain from '../control.ts';
import * as wire from '../gen/control.ts';
import { codec, count, noChoice, oneOf, present } from './codec.ts';
import {
  configurationIn,
  configurationOut,
  memberIn,
  memberOut,
  settingsIn,
  settingsOut,
} from './configuration.ts';
import { ackIn } from './peer.ts';

export const pingCodec: Codec<plain.Ping> = codec(
  'Ping',
  wire.Ping,
  ({ sequence, hello, directives, featureLevel, controllers }) => ({
    sequence,
    hello,
    directives: directives.map((directive) => ({ directive: directiveOut(directive) })),
    featureLevel,
    controllers: [...controllers],
  }),
  ({ sequence, hello, directives, featureLevel, controllers }) => ({
    sequence: count('sequence', sequence),
    hello: hello === undefined ? undefined : helloIn(hello),
    directives: directives.map(({ directive }) => directiveIn(directive)),
    featureLevel: count('feature_level', featureLevel),
    controllers,
  }),
);

function helloIn({ cluster, featureLevelMin, featureLevelMax, sender }: wire.Hello): plain.Hello {
  return {
    cluster,
    featureLevelMin: count('feature_level_min', featureLevelMin),
    featureLevelMax: count('feature_level_max', featureLevelMax),
    sender,
  };
}

type Directive = NonNullable<wire.Directive['directive']>;

function directiveOut(directive: plain.Directive): Directive {
  switch (directive.kind) {
    case 'configure':
      return { $case: 'configure', value: configurationOut(directive.configuration) };
    case 'wedge':
      return { $case: 'wedge', value: { journal: directive.journal, epoch: directive.epoch } };
    case 'learn': {
      const configuration = configurationOut(directive.configuration);
      return { $case: 'learn', value: { configuration, source: memberOut(directive.source) } };
    }
    case 'probe':
      return { $case: 'probe', value: directive.probe };
    case 'superseded':
      return { $case: 'superseded', value: directive.incarnation };
    case 'inventory':
      return { $case: 'inventory', value: true };
  }
}

function directiveIn(directive: Directive | undefined): plain.Directive {
  switch (directive?.$case) {
    case 'configure':
      return { kind: 'configure', configuration: configurationIn(directive.value) };
    case 'wedge': {
      const { journal, epoch: number } = directive.value;
      return { kind: 'wedge', journal: journalId(journal), epoch: epoch(number) };
    }
    case 'learn': {
      const { configuration, source } = directive.value;
      return {
        kind: 'learn',
        configuration: configurationIn(present('learn.configuration', configuration)),
        source: memberIn(present('learn.source', source)),
      };
    }
    case 'probe':
      return { kind: 'probe', probe: count('probe', directive.value) };
    case 'superseded':
      return { kind: 'superseded', incarnation: count('superseded', directive.value) };
    case 'inventory':
      return { kind: 'inventory' };
    default:
      throw noChoice('directive', 'configure, wedge, learn, probe, superseded, inventory');
  }
}

export const pongCodec: Codec<plain.Pong> = codec(
  'Pong',
  wire.Pong,
  ({ sequence, hello, health, reports, gone, inventory }) => ({
    sequence,
    hello: hello === undefined ? undefined : { ...hello, hello },
    health: healthOut(health),
    reports: reports.map(reportOut),
    gone: [...gone],
    inventory: inventory.map(configurationOut),
  }),
  ({ sequence, hello, health, reports, gone, inventory }) => ({
    sequence: count('sequence', sequence),
    hello: hello === undefined ? undefined : replicaHelloIn(hello),
    health: healthIn(present('health', health)),
    reports: reports.map(reportIn),
    gone: gone.map(journalId),
    inventory: inventory.map(configurationIn),
  }),
);

function replicaHelloIn({ hello, ...rest }: wire.ReplicaHello): plain.ReplicaHello {
  return {
    ...helloIn(present('hello.hello', hello)),
    ...rest,
    store: storeId(rest.store),
    incarnation: count('hello.incarnation', rest.incarnation),
    lastIncarnation: count('hello.last_incarnation', rest.lastIncarnation),
    pid: count('hello.pid', rest.pid),
  };
}

function healthOut(health: plain.ReplicaHealth): wire.ReplicaHealth {
  const { syncAge, syncMedian, loopDelay, wall, ...rest } = health;
  return {
    ...rest,
    syncAgeMicros: syncAge,
    syncMedianMicros: syncMedian,
    loopDelayMicros: loopDelay,
    wallMicros: wall,
  };
}

function healthIn(health: wire.ReplicaHealth): plain.ReplicaHealth {
  return {
    syncAge: micros(health.syncAgeMicros, 'sync_age_micros'),
    syncMedian: micros(health.syncMedianMicros, 'sync_median_micros'),
    syncs: count('syncs', health.syncs),
    probe: count('probe', health.probe),
    loopDelay: micros(health.loopDelayMicros, 'loop_delay_micros'),
    wall: micros(health.wallMicros, 'wall_micros'),
    diskFreeBytes: count('disk_free_bytes', health.diskFreeBytes),
    diskTotalBytes: count('disk_total_bytes', health.diskTotalBytes),
    failed: health.failed,
    draining: health.draining,
    full: health.full,
  };
}

function reportOut(report: ChainReport): wire.ChainReport {
  const { startLsn, acked, floor, ...rest } = report;
  return {
    ...rest,
    startLsn: startLsn ?? undefined,
    acked: [...acked],
    floor: floor ?? undefined,
  };
}

const ROLES = ['head', 'middle', 'tail', 'learner', 'retired', 'restarted', 'none'] as const;

function reportIn(report: wire.ChainReport): ChainReport {
  const { live, synced, wedged, damaged, tooOld, startLsn, acked, floor } = report;
  return {
    journal: journalId(report.journal),
    lineage: count('report.lineage', report.lineage),
    epoch: epoch(report.epoch, 'report.epoch'),
    role: oneOf('report.role', report.role, ROLES),
    live,
    synced,
    wedged,
    damaged,
    tooOld,
    endLsn: lsn(report.endLsn, 'report.end_lsn'),
    endEpoch: epoch(report.endEpoch, 'report.end_epoch'),
    durableLsn: lsn(report.durableLsn, 'report.durable_lsn'),
    committedLsn: lsn(report.committedLsn, 'report.committed_lsn'),
    baseLsn: lsn(report.baseLsn, 'report.base_lsn'),
    startLsn: startLsn === undefined ? null : lsn(startLsn, 'report.start_lsn'),
    waitingMicros: micros(report.waitingMicros, 'report.waiting_micros'),
    acked: acked.map(ackIn),
    floor: floor === undefined ? null : floorIn(floor),
  };
}

function floorIn(floor: wire.Floor): NonNullable<ChainReport['floor']> {
  return {
    epoch: epoch(floor.epoch, 'floor.epoch'),
    lsn: lsn(floor.lsn, 'floor.lsn'),
    entryEpoch: epoch(floor.entryEpoch, 'floor.entry_epoch'),
  };
}

export const changeCodec: Codec<plain.RegisterChange> = codec(
  'ChangeRequest',
  wire.ChangeRequest,
  (request) => ({
    change: changeOut(request),
    deleteId: request.kind === 'deleteJournal' ? (request.journal ?? '') : '',
  }),
  ({ change, deleteId }) => changeIn(change, deleteId),
);

type Change = NonNullable<wire.ChangeRequest['change']>;

function changeOut(change: plain.RegisterChange): Change {
  switch (change.kind) {
    case 'start':
      return { $case: 'start', value: change };
    case 'format':
      return { $case: 'format', value: change };
    case 'createJournal': {
      const value = { ...change, settings: settingsOut(change.settings) };
      return { $case: 'createJournal', value };
    }
    case 'deleteJournal':
      return { $case: 'deleteJournal', value: change.name };
    case 'propose': {
      const { expectedEpoch } = change;
      const configuration = configurationOut(change.configuration);
      return { $case: 'propose', value: { expectedEpoch, configuration } };
    }
  }
}

function changeIn(change: Change | undefined, deleteId: string): plain.RegisterChange {
  switch (change?.$case) {
    case 'start': {
      const { store, startId, member, zone, address } = change.value;
      if (startId === '') throw new RangeViolation('start_id', '', 'not empty');
      const after = count('after', change.value.after);
      return { kind: 'start', ...placeIn({ store, member, zone }), startId, after, address };
    }
    case 'format':
      return { kind: 'format', ...placeIn(change.value) };
    case 'createJournal': {
      const { journal, name, settings, firstLsn } = change.value;
      return {
        kind: 'createJournal',
        journal: journalId(journal),
        name: journalName(name),
        settings: settingsIn(present('settings', settings)),
        firstLsn: lsn(firstLsn, 'first_lsn'),
      };
    }
    case 'deleteJournal': {
      const which = deleteId === '' ? {} : { journal: journalId(deleteId) };
      return { kind: 'deleteJournal', name: journalName(change.value), ...which };
    }
    case 'propose': {
      const { expectedEpoch, configuration } = change.value;
      return {
        kind: 'propose',
        expectedEpoch: epoch(expectedEpoch, 'expected_epoch'),
        configuration: configurationIn(present('configuration', configuration)),
      };
    }
    default:
      throw noChoice('change', 'start, format, create_journal, delete_journal, propose');
  }
}

function placeIn(place: { store: string; member: string; zone: string }) {
  return {
    store: storeId(place.store),
    member: label('member', place.member),
    zone: label('zone', place.zone),
  };
}

export const changeAnswerCodec: Codec<plain.RegisterAnswer> = codec(
  'ChangeResponse',
  wire.ChangeResponse,
  (answer) => ({ answer: changedOut(answer) }),
  ({ answer }) => changedIn(answer),
);

type Changed = NonNullable<wire.ChangeResponse['answer']>;

function changedOut(answer: plain.RegisterAnswer): Changed {
  switch (answer.kind) {
    case 'started':
      return { $case: 'started', value: answer };
    case 'formatted':
      return { $case: 'formatted', value: answer };
    case 'configuration':
      return { $case: 'configuration', value: configurationOut(answer.configuration) };
    case 'refused':
      return { $case: 'refused', value: answer };
  }
}

function changedIn(answer: Changed | undefined): plain.RegisterAnswer {
  switch (answer?.$case) {
    case 'started': {
      const { incarnation, startId } = answer.value;
      return { kind: 'started', incarnation: count('incarnation', incarnation), startId };
    }
    case 'formatted':
      return { kind: 'formatted', cluster: answer.value.cluster };
    case 'configuration':
      return { kind: 'configuration', configuration: configurationIn(answer.value) };
    case 'refused':
      return { kind: 'refused', code: answer.value.code, message: answer.value.message };
    default:
      throw noChoice('answer', 'started, formatted, configuration, refused');
  }
}

export const journalsCodec: Codec<plain.JournalLookup> = codec(
  'JournalsRequest',
  wire.JournalsRequest,
  (request) => request,
  ({ name }) => ({ name: name === '' ? '' : journalName(name) }),
);

export const journalsAnswerCodec: Codec<plain.JournalsAnswer> = codec(
  'JournalsResponse',
  wire.JournalsResponse,
  ({ configurations, lost }) => ({
    configurations: configurations.map(configurationOut),
    lost: [...lost],
  }),
  ({ configurations, lost }) => ({
    configurations: configurations.map(configurationIn),
    lost: lost.map(({ journal, note }) => ({ journal: journalId(journal), note })),
  }),
);

/** A message of the Paxos register or gossip: JSON, which its readers check. */
export interface AcceptorMessage {
  readonly json: string;
}

export const acceptorCodec: Codec<AcceptorMessage> = codec(
  'AcceptorRequest',
  wire.AcceptorRequest,
  (message) => message,
  ({ json }) => ({ json }),
);

export const acceptorAnswerCodec: Codec<AcceptorMessage> = codec(
  'AcceptorResponse',
  wire.AcceptorResponse,
  (message) => message,
  ({ json }) => ({ json }),
);
