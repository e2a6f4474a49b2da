// The Journal service, appends aside, between the wire and the plain values of ../public.ts.

import type { Codec } from '../../io/network.ts';
import type { CursorState } from '../../protocol/chain/messages.ts';
import { FIRST_LSN_LIMIT } from '../../protocol/configuration.ts';
import { FIRST_LSN, journalId, journalName, label, lsn, micros } from '../../protocol/types.ts';
import * as wire from '../gen/journal.ts';
import type * as plain from '../public.ts';
import { checkKey, codec, count, lsnText, noChoice, present, whole } from './codec.ts';
import {
  configurationIn,
  configurationOut,
  partialSettingsIn,
  settingsIn,
  settingsOut,
} from './configuration.ts';
import { recordsIn, recordsOut } from './records.ts';

export const createJournalCodec: Codec<plain.CreateJournalRequest> = codec(
  'CreateJournalRequest',
  wire.CreateJournalRequest,
  ({ name, ifAbsent, settings, firstLsn, journalId: id = '' }) => ({
    name,
    ifAbsent,
    settings: settingsOut(settings),
    firstLsn: firstLsn.toString(),
    journalId: id,
  }),
  ({ name, ifAbsent, settings, firstLsn, journalId: id }) => ({
    ...(id === '' ? {} : { journalId: journalId(id) }),
    name: journalName(name),
    ifAbsent,
    settings: settings === undefined ? {} : partialSettingsIn(settings),
    firstLsn: firstLsn === '0' ? FIRST_LSN : lsn(whole('first_lsn', firstLsn, 0, FIRST_LSN_LIMIT)),
  }),
);

const named = (name: string, generated: typeof wire.TailRequest): Codec<plain.Named> =>
  codec(
    name,
    generated,
    (message) => message,
    ({ journal }) => ({ journal: journalName(journal) }),
  );

export const deleteJournalCodec = named('DeleteJournalRequest', wire.DeleteJournalRequest);
export const describeJournalCodec = named('DescribeJournalRequest', wire.DescribeJournalRequest);
export const sessionCodec = named('SessionRequest', wire.SessionRequest);
export const tailCodec = named('TailRequest', wire.TailRequest);
export const cursorsCodec = named('CursorsRequest', wire.CursorsRequest);

/** For messages without a field: what a newer version may have put in is skipped. */
export const nothing = (name: string, generated: typeof wire.ListJournalsRequest) =>
  codec<plain.Nothing, wire.ListJournalsRequest>(
    name,
    generated,
    () => ({}),
    () => ({}),
  );

export const listJournalsCodec = nothing('ListJournalsRequest', wire.ListJournalsRequest);
export const journalDeletedCodec = nothing('DeleteJournalResponse', wire.DeleteJournalResponse);
export const keyForgottenCodec = nothing('ForgetKeyResponse', wire.ForgetKeyResponse);
export const cursorSetCodec = nothing('SetCursorResponse', wire.SetCursorResponse);

const described = (
  name: string,
  generated: typeof wire.CreateJournalResponse,
): Codec<plain.JournalDescription> =>
  codec(
    name,
    generated,
    (description) => ({ journal: descriptionOut(description) }),
    ({ journal }) => descriptionIn(present('journal', journal)),
  );

export const journalCreatedCodec = described('CreateJournalResponse', wire.CreateJournalResponse);
export const journalDescribedCodec = described(
  'DescribeJournalResponse',
  wire.DescribeJournalResponse,
);

function descriptionOut(description: plain.JournalDescription): wire.JournalDescription {
  return {
    ...description,
    configuration: configurationOut(description.configuration),
    cursors: description.cursors.map(cursorOut),
  };
}

function descriptionIn(description: wire.JournalDescription): plain.JournalDescription {
  return {
    configuration: configurationIn(present('configuration', description.configuration)),
    firstLsn: lsn(description.firstLsn, 'first_lsn'),
    tailLsn: lsn(description.tailLsn, 'tail_lsn'),
    committedLsn: lsn(description.committedLsn, 'committed_lsn'),
    bytes: count('bytes', description.bytes),
    cursors: description.cursors.map(cursorIn),
  };
}

function cursorOut({ name, lsn: position, updatedAt }: CursorState): wire.Cursor {
  return { name, lsn: position, updatedMicros: updatedAt };
}

function cursorIn({ name, lsn: position, updatedMicros }: wire.Cursor): CursorState {
  return {
    name: label('cursor name', name),
    lsn: lsn(position),
    updatedAt: micros(updatedMicros, 'updated_micros'),
  };
}

export const journalsListedCodec: Codec<plain.JournalNames> = codec(
  'ListJournalsResponse',
  wire.ListJournalsResponse,
  ({ names }) => ({ journals: names.map(({ name, id }) => ({ name, id })) }),
  ({ journals }) => ({
    names: journals.map(({ name, id }) => ({ name: journalName(name), id: journalId(id) })),
  }),
);

export const sessionAnswerCodec: Codec<plain.SessionAnswer> = codec(
  'SessionResponse',
  wire.SessionResponse,
  ({ endLsn, lineage, settings, configuration }) => ({
    endLsn,
    lineage,
    settings: settingsOut(settings),
    configuration: configurationOut(configuration),
  }),
  ({ endLsn, lineage, settings, configuration }) => ({
    endLsn: lsn(endLsn, 'end_lsn'),
    lineage: count('lineage', lineage),
    settings: settingsIn(present('settings', settings)),
    configuration: configurationIn(present('configuration', configuration)),
  }),
);

function startOut(from: plain.StartPosition): wire.StartPosition {
  switch (from.kind) {
    case 'lsn':
      return { position: { $case: 'lsn', value: from.lsn.toString() } };
    case 'time':
      return { position: { $case: 'timeMicros', value: from.time.toString() } };
    case 'last':
      return { position: { $case: 'last', value: from.count.toString() } };
    case 'first':
    case 'next':
      return { position: { $case: from.kind, value: true } };
  }
}

function startIn(from: wire.StartPosition | undefined): plain.StartPosition {
  const position = from?.position;
  switch (position?.$case) {
    case 'lsn':
      return { kind: 'lsn', lsn: lsnText('from.lsn', position.value) };
    case 'timeMicros':
      return { kind: 'time', time: micros(whole('from.time_micros', position.value)) };
    case 'last':
      return { kind: 'last', count: whole('from.last', position.value) };
    case 'first':
    case 'next':
      return { kind: position.$case };
    default:
      throw noChoice('from', 'lsn, first, next, time_micros, last');
  }
}

export const readCodec: Codec<plain.ReadRequest> = codec(
  'ReadRequest',
  wire.ReadRequest,
  ({ journal, from, limit, bytesMax, linearizable }) => ({
    journal,
    from: startOut(from),
    limit: limit.toString(),
    bytesMax: bytesMax.toString(),
    linearizable,
  }),
  ({ journal, from, limit, bytesMax, linearizable }) => ({
    journal: journalName(journal),
    from: startIn(from),
    limit: whole('limit', limit),
    bytesMax: whole('bytes_max', bytesMax),
    linearizable,
  }),
);

export const subscribeCodec: Codec<plain.SubscribeRequest> = codec(
  'SubscribeRequest',
  wire.SubscribeRequest,
  ({ journal, from, lineage }) => ({
    journal,
    from: startOut(from),
    lineage: lineage.toString(),
  }),
  ({ journal, from, lineage }) => ({
    journal: journalName(journal),
    from: startIn(from),
    lineage: whole('lineage', lineage),
  }),
);

const records = (
  name: string,
  generated: typeof wire.ReadResponse,
): Codec<plain.ReadAnswer & plain.SubscribeAnswer> =>
  codec(
    name,
    generated,
    (answer) => ({ ...answer, records: recordsOut(answer.records) }),
    (answer) => ({
      records: recordsIn(answer.records),
      nextLsn: lsn(answer.nextLsn, 'next_lsn'),
      committedLsn: lsn(answer.committedLsn, 'committed_lsn'),
      lineage: count('lineage', answer.lineage),
    }),
  );

export const readAnswerCodec: Codec<plain.ReadAnswer> = records('ReadResponse', wire.ReadResponse);
export const subscribeAnswerCodec: Codec<plain.SubscribeAnswer> = records(
  'SubscribeResponse',
  wire.SubscribeResponse,
);

export const tailAnswerCodec: Codec<plain.TailAnswer> = codec(
  'TailResponse',
  wire.TailResponse,
  (answer) => answer,
  ({ tailLsn, endLsn, firstLsn, lineage }) => ({
    tailLsn: lsn(tailLsn, 'tail_lsn'),
    endLsn: lsn(endLsn, 'end_lsn'),
    firstLsn: lsn(firstLsn, 'first_lsn'),
    lineage: count('lineage', lineage),
  }),
);

export const trimCodec: Codec<plain.TrimRequest> = codec(
  'TrimRequest',
  wire.TrimRequest,
  ({ journal, through, force }) => ({ journal, through: through.toString(), force }),
  ({ journal, through, force }) => ({
    journal: journalName(journal),
    through: lsnText('through', through),
    force,
  }),
);

export const trimAnswerCodec: Codec<plain.TrimAnswer> = codec(
  'TrimResponse',
  wire.TrimResponse,
  (answer) => answer,
  ({ firstLsn }) => ({ firstLsn: lsn(firstLsn, 'first_lsn') }),
);

export const setCursorCodec: Codec<plain.SetCursorRequest> = codec(
  'SetCursorRequest',
  wire.SetCursorRequest,
  ({ journal, name, lsn: position, expectEnd }) => ({
    journal,
    name,
    lsn: position?.toString(),
    expectEnd: expectEnd?.toString(),
  }),
  ({ journal, name, lsn: position, expectEnd }) => ({
    journal: journalName(journal),
    name: label('cursor name', name),
    lsn: position === undefined ? null : lsnText('lsn', position),
    expectEnd: expectEnd === undefined ? null : lsnText('expect_end', expectEnd),
  }),
);

export const cursorsAnswerCodec: Codec<plain.CursorsAnswer> = codec(
  'CursorsResponse',
  wire.CursorsResponse,
  ({ cursors }) => ({ cursors: cursors.map(cursorOut) }),
  ({ cursors }) => ({ cursors: cursors.map(cursorIn) }),
);

export const keyCodec: Codec<plain.KeyRequest> = codec(
  'KeyRequest',
  wire.KeyRequest,
  (request) => request,
  ({ journal, key }) => ({ journal: journalName(journal), key: checkKey('key', key) }),
);

export const forgetKeyCodec: Codec<plain.KeyRequest> = codec(
  'ForgetKeyRequest',
  wire.ForgetKeyRequest,
  (request) => request,
  ({ journal, key }) => ({ journal: journalName(journal), key: checkKey('key', key) }),
);

export const keyAnswerCodec: Codec<plain.KeyAnswer> = codec(
  'KeyResponse',
  wire.KeyResponse,
  (answer) => answer,
  ({ key, keyLsn, tokenLsn, leaseMillis }) => ({
    key: checkKey('key', key),
    keyLsn: lsn(keyLsn, 'key_lsn'),
    tokenLsn: lsn(tokenLsn, 'token_lsn'),
    leaseMillis: count('lease_millis', leaseMillis),
  }),
);
