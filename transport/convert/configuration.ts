// Configurations and settings of journals between the wire and their plain values.

import {
  type Configuration,
  DEFAULT_SETTINGS,
  type JournalSettings,
  type Member,
  type MemberKey,
  RECORD_BYTES_LIMIT,
} from '../../protocol/configuration.ts';
import {
  epoch,
  type JournalLimits,
  journalId,
  journalName,
  lsn,
  memberId,
  RangeViolation,
  storeId,
  zone,
} from '../../protocol/types.ts';
import type * as wire from '../gen/journal.ts';
import { count, oneOf, present, whole, within } from './codec.ts';

export const memberOut = (member: Member): wire.Member => member;

export function memberIn(member: wire.Member): Member {
  const { id, zone: place, address } = member;
  if (address.length > 300) throw new RangeViolation('member.address', address, 'host:port');
  return { ...memberKeyIn(member), id: memberId(id), zone: zone(place), address };
}

/** An incarnation of 0 stands for a process that waits for its start. */
export function memberKeyIn(key: { store: string; incarnation: number }): MemberKey {
  return { store: storeId(key.store), incarnation: count('incarnation', key.incarnation) };
}

export function configurationOut(configuration: Configuration): wire.Configuration {
  return {
    ...configuration,
    settings: settingsOut(configuration.settings),
    serving: [...configuration.serving],
    joining: configuration.joining ?? undefined,
    chosenHead: configuration.chosenHead ?? '',
  };
}

export function configurationIn(configuration: wire.Configuration): Configuration {
  const { journal, name, lineage, deleted, joining, chosenHead } = configuration;
  const serving = configuration.serving.map(memberIn);
  if (serving.length === 0 && !deleted) {
    throw new RangeViolation('configuration.serving', 'empty', 'at least one member');
  }
  return {
    journal: journalId(journal),
    name: journalName(name),
    settings: settingsIn(present('configuration.settings', configuration.settings)),
    lineage: count('configuration.lineage', lineage),
    epoch: epoch(configuration.epoch, 'configuration.epoch'),
    mode: oneOf('configuration.mode', configuration.mode, ['chain']),
    firstLsn: lsn(configuration.firstLsn, 'configuration.first_lsn'),
    serving,
    joining: joining === undefined ? null : memberIn(joining),
    deleted,
    ...(chosenHead === '' ? {} : { chosenHead: memberId(chosenHead) }),
  };
}

export function settingsOut(settings: Partial<JournalSettings>): wire.JournalSettings {
  const { replicationFactor, minReplicas, recordBytesMax, batchBytesMax, limits } = settings;
  return {
    replicationFactor,
    minReplicas,
    recordBytesMax,
    batchBytesMax,
    retainMillis: settings.retainMillis?.toString(),
    retainBytes: settings.retainBytes?.toString(),
    limits,
  };
}

/** Settings as they stand in a configuration: all of them. */
export function settingsIn(settings: wire.JournalSettings): JournalSettings {
  const given = partialSettingsIn(settings);
  const missing = settingNames.find((name) => given[name] === undefined);
  if (missing !== undefined) throw new RangeViolation(`settings.${missing}`, 'not set', 'a value');
  return { ...DEFAULT_SETTINGS, ...given };
}

const settingNames = [
  'replicationFactor',
  'minReplicas',
  'recordBytesMax',
  'batchBytesMax',
  'retainMillis',
  'retainBytes',
  'limits',
] as const satisfies readonly (keyof JournalSettings)[];

const MEMBERS_MAX = 5;

/** Settings as a request gives them: those that it leaves out are not there. */
export function partialSettingsIn(settings: wire.JournalSettings): Partial<JournalSettings> {
  const { replicationFactor, minReplicas, recordBytesMax, batchBytesMax } = settings;
  const { retainMillis, retainBytes, limits } = settings;
  const bounded = <Name extends string>(name: Name, value: number | undefined, most: number) =>
    value === undefined ? {} : named(name, within(`settings.${snake(name)}`, value, 1, most));
  const long = <Name extends string>(name: Name, text: string | undefined) =>
    text === undefined ? {} : named(name, whole(`settings.${snake(name)}`, text));
  return {
    ...bounded('replicationFactor', replicationFactor, MEMBERS_MAX),
    ...bounded('minReplicas', minReplicas, MEMBERS_MAX),
    ...bounded('recordBytesMax', recordBytesMax, RECORD_BYTES_LIMIT),
    ...bounded('batchBytesMax', batchBytesMax, RECORD_BYTES_LIMIT),
    ...long('retainMillis', retainMillis),
    ...long('retainBytes', retainBytes),
    ...(limits === undefined ? {} : { limits: limitsIn(limits) }),
  };
}

// cast: an object with one computed key of a literal type has exactly that key.
const named = <Name extends string>(
  name: Name,
  value: number,
): { readonly [key in Name]: number } => ({ [name]: value }) as { readonly [key in Name]: number };

/** The name of a field as the .proto file has it. */
const snake = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const LIMITS_MAX: JournalLimits = {
  keys: 1_000_000,
  writers: 100_000,
  writerWindow: 1_024,
  chosenKeys: 100_000,
  cursors: 10_000,
};

function limitsIn(limits: wire.JournalLimits): JournalLimits {
  // 0 is what a client sends that leaves one out: it takes the default.
  const limit = (name: keyof JournalLimits): number =>
    limits[name] === 0
      ? DEFAULT_SETTINGS.limits[name]
      : within(`settings.limits.${snake(name)}`, limits[name], 1, LIMITS_MAX[name]);
  return {
    keys: limit('keys'),
    writers: limit('writers'),
    writerWindow: limit('writerWindow'),
    chosenKeys: limit('chosenKeys'),
    cursors: limit('cursors'),
  };
}
