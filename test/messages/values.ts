// Any number, name or configuration, for fast-check: the parts of all messages.

import fc from 'fast-check';
import type { CursorState } from '../../protocol/chain/messages.ts';
import type {
  Configuration,
  JournalSettings,
  Member,
  MemberKey,
} from '../../protocol/configuration.ts';
import {
  epoch,
  type JournalLimits,
  journalId,
  lsn,
  memberId,
  micros,
  storeId,
  zone,
} from '../../protocol/types.ts';

export type Any<Value> = fc.Arbitrary<Value>;

/** Objects as the codecs make them: with a prototype, optional fields left out where asked for. */
export const plain = <Value, Required extends keyof Value = keyof Value>(
  fields: { [Name in keyof Value]: Any<Value[Name]> },
  options: { requiredKeys?: Required[] } = {},
) => fc.record(fields, { noNullPrototype: true, ...options });

/** Fields in the order of a type, so that a new field is missed by the compiler. */
export const record = <Value extends object>(
  fields: { [Name in keyof Value]-?: Any<Value[Name]> },
) =>
  // cast: fast-check gives an object of all the fields.
  plain(fields) as unknown as Any<Value>;

export const number = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constant(Number.MAX_SAFE_INTEGER));
export const position = number.map((value) => lsn(value));
export const time = number.map((value) => micros(value));
export const era = number.map((value) => epoch(value));
export const small = fc.nat(2 ** 31 - 1);
export const text = fc.string({ unit: 'grapheme', maxLength: 40 });
export const yes = fc.boolean();
export const bytes = fc.uint8Array({ maxLength: 300 });
export const hex = fc.stringMatching(/^[0-9a-f]{32}$/);
export const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/);
export const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
export const journal = hex.map(journalId);
export const store = hex.map(storeId);
export const list = <Value>(value: Any<Value>, minLength = 0): Any<Value[]> =>
  fc.array(value, { minLength, maxLength: 4 });
export const maybe = <Value>(value: Any<Value>): Any<Value | undefined> =>
  fc.option(value, { nil: undefined });
export const orNull = <Value>(value: Any<Value>): Any<Value | null> =>
  fc.option(value, { nil: null });
export const kind = <Kind extends string>(value: Kind): Any<Kind> => fc.constant(value);

export const memberKey = record<MemberKey>({ store, incarnation: number });
export const member = record<Member>({
  store,
  incarnation: number,
  id: label.map(memberId),
  zone: label.map(zone),
  address: text,
});
export const limits = record<JournalLimits>({
  keys: fc.integer({ min: 1, max: 1_000_000 }),
  writers: fc.integer({ min: 1, max: 100_000 }),
  writerWindow: fc.integer({ min: 1, max: 1_024 }),
  chosenKeys: fc.integer({ min: 1, max: 100_000 }),
  cursors: fc.integer({ min: 1, max: 10_000 }),
});
export const settingFields = {
  replicationFactor: fc.integer({ min: 1, max: 5 }),
  minReplicas: fc.integer({ min: 1, max: 5 }),
  recordBytesMax: fc.integer({ min: 1, max: 2 ** 24 }),
  batchBytesMax: fc.integer({ min: 1, max: 2 ** 24 }),
  retainMillis: number,
  retainBytes: number,
  limits,
};
export const settings = record<JournalSettings>(settingFields);
export const someSettings: Any<Partial<JournalSettings>> = plain(settingFields, {
  requiredKeys: [],
});
export const configuration: Any<Configuration> = fc
  .tuple(
    record<Omit<Configuration, 'chosenHead'>>({
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
    }),
    maybe(label.map(memberId)),
  )
  .map(([rest, chosenHead]) => (chosenHead === undefined ? rest : { ...rest, chosenHead }));
export const cursor = record<CursorState>({ name: label, lsn: position, updatedAt: time });
