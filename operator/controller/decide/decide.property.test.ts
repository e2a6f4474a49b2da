// Whatever is seen of a journal, no decision breaks the survivor rule, names a process that cannot
// adopt, or takes a member away before the others have proved that they can go on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChainReport } from '../../../protocol/chain/messages.ts';
import {
  type Configuration,
  DEFAULT_SETTINGS,
  type Member,
  order,
  sameMember,
} from '../../../protocol/configuration.ts';
import {
  epoch,
  journalId,
  lsn,
  memberId,
  micros,
  type StoreId,
  storeId,
  zone,
} from '../../../protocol/types.ts';
import { evidenceOf } from '../reconfigure/reconfigure.ts';
import { decide } from './decide.ts';
import { place, spread } from './placement.ts';
import type { MemberFacts, Situation } from './situation.ts';
import { whyNot } from './succession.ts';

const JOURNAL = journalId('e'.repeat(32));
const LABELS = ['a', 'b', 'c', 'd'] as const;
const storeOf = (id: string): StoreId => storeId(id.repeat(32));
const times = fc.constantFrom(0, 100, 300, 400, 500, 1_000, 2_500, 6_000);
const millis = times.map((count) => micros(count * 1_000));

const reports = fc.record({
  journal: fc.constant(JOURNAL),
  lineage: fc.constant(1),
  epoch: fc.constantFrom(3, 4, 5).map((value) => epoch(value)),
  role: fc.constantFrom('head', 'tail', 'learner', 'restarted', 'retired') as fc.Arbitrary<
    ChainReport['role']
  >,
  live: fc.boolean(),
  synced: fc.boolean(),
  wedged: fc.boolean(),
  damaged: fc.boolean(),
  tooOld: fc.boolean(),
  endLsn: fc.nat(12).map((value) => lsn(value)),
  endEpoch: fc.constantFrom(3, 4, 5).map((value) => epoch(value)),
  durableLsn: fc.nat(12).map((value) => lsn(value)),
  committedLsn: fc.nat(12).map((value) => lsn(value)),
  baseLsn: fc.nat(3).map((value) => lsn(value)),
  startLsn: fc.option(fc.nat(12).map((value) => lsn(value))),
  waitingMicros: millis,
  acked: fc.array(
    fc.record({
      store: fc.constantFrom(...LABELS).map(storeOf),
      durableLsn: fc.nat(12).map((value) => lsn(value)),
      barrier: fc.constant(0),
    }),
    { maxLength: 4 },
  ),
  floor: fc.constant(null),
});

const factsOf = (id: string): fc.Arbitrary<MemberFacts> =>
  fc.record({
    store: fc.constant(storeOf(id)),
    id: fc.constant(memberId(id)),
    zone: fc.constantFrom('x', 'y').map((value) => zone(value)),
    address: fc.constant(`${id}:1`),
    incarnation: fc.constantFrom(0, 1, 1, 1, 2),
    generation: fc.constantFrom(0, 1, 1, 1, 2),
    verdict: fc.constantFrom('fine', 'fine', 'fine', 'silent', 'stuck', 'slow', 'failed'),
    syncs: fc.boolean(),
    syncing: fc.boolean(),
    proved: fc.boolean(),
    leaving: fc.constantFrom('no', 'no', 'no', 'drain', 'remove'),
    clockOff: fc.boolean(),
    admissible: fc.boolean(),
    heldBack: fc.constantFrom('', '', 'damped', 'disk'),
    slowNow: fc.boolean(),
    report: fc.option(reports),
    restsFor: fc.constantFrom(0, 1_000_000).map((count) => micros(count)),
    learnedPerSecond: fc.nat(100),
    floor: fc.option(
      fc.record({
        epoch: fc.constantFrom(3, 4, 5).map((value) => epoch(value)),
        lsn: fc.nat(12).map((value) => lsn(value)),
        entryEpoch: fc.constantFrom(3, 4, 5).map((value) => epoch(value)),
      }),
    ),
    load: fc.nat(3),
  });

const member = (id: string): Member => ({
  store: storeOf(id),
  incarnation: 1,
  id: memberId(id),
  zone: zone('x'),
  address: `${id}:1`,
});

const configurations: fc.Arbitrary<Configuration> = fc
  .tuple(fc.shuffledSubarray([...LABELS], { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([ids, joins]) => {
    const serving = ids.map(member);
    const joining = joins && serving.length > 1 ? (serving.pop() ?? null) : null;
    return {
      journal: JOURNAL,
      name: 'orders',
      settings: DEFAULT_SETTINGS,
      lineage: 1,
      epoch: epoch(5),
      mode: 'chain',
      firstLsn: lsn(1),
      serving,
      joining,
      deleted: false,
    };
  });

const situations: fc.Arbitrary<Situation> = fc
  .record({
    configuration: configurations,
    facts: fc.tuple(...LABELS.map(factsOf)),
    decidedFor: millis,
    wedgedFor: fc.option(millis),
    orphanFor: fc.option(millis),
    stalledFor: millis,
    silentFor: millis,
    missingFor: millis,
    reordered: fc.boolean(),
    floorsKnown: fc.boolean(),
  })
  .map(({ facts, ...rest }) => ({
    ...rest,
    members: new Map(facts.map((one) => [one.store, one])),
  }));

function check(situation: Situation): string {
  const { configuration, members } = situation;
  const decision = decide(situation);
  if (decision.kind !== 'propose') return decision.kind;
  const next = decision.configuration;
  assert.equal(whyNot(configuration, next, evidenceOf(situation)), null);
  const named = (key: Member): boolean =>
    order(configuration).some((known) => sameMember(known, key));
  for (const one of order(next).filter((key) => !named(key))) {
    const facts = members.get(one.store);
    assert.equal(facts?.incarnation, one.incarnation, 'a process that is not there is named');
    assert.equal(facts?.verdict, 'fine', 'a member that does not answer is named');
    assert.equal(facts?.syncs, true, 'a member that is not known to sync is named');
  }
  const kept = next.serving.filter((one) => configuration.serving.some((o) => sameMember(o, one)));
  if (kept.length > 0 && kept.length < configuration.serving.length) {
    for (const { store } of kept) {
      assert.equal(members.get(store)?.proved, true, 'serving shrank to one that proved nothing');
    }
  }
  return `propose ${decision.cause}`;
}

test('no decision breaks the rules', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(situations, (situation) => {
      const kind = check(situation);
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }),
    { numRuns: 20_000 },
  );
  for (const kind of ['wedge', 'learn', 'floors', 'propose cold', 'propose silent']) {
    assert.ok((seen.get(kind) ?? 0) > 20, `${kind} was hardly tried: ${seen.get(kind)}`);
  }
});

const placeOf = (id: string, where: string, load: number, heads: number) => ({
  member: { ...member(id), zone: zone(where) },
  load,
  heads,
  unfit: false,
});

test('a new journal goes over the zones, and to the head that has fewest', () => {
  const places = [
    placeOf('a', 'x', 5, 2),
    placeOf('b', 'x', 0, 1),
    placeOf('c', 'y', 9, 0),
    placeOf('d', 'z', 1, 3),
  ];
  const ids = place(places, 3).map(({ id }) => id);
  assert.deepEqual(ids, ['c', 'b', 'd'], 'least loaded of each zone, c heads fewest');
  assert.equal(place(places, 5).length, 4, 'no more than there are');
});

test('heads move only where it makes them more even', () => {
  const chain = (ids: readonly string[]): Configuration => ({
    journal: JOURNAL,
    name: 'orders',
    settings: DEFAULT_SETTINGS,
    lineage: 1,
    epoch: epoch(5),
    mode: 'chain',
    firstLsn: lsn(1),
    serving: ids.map(member),
    joining: null,
    deleted: false,
  });
  const fit = new Set(LABELS.map(storeOf));
  assert.equal(spread([chain(['a', 'b']), chain(['b', 'a'])], fit), null);
  const chosen = { ...chain(['a', 'b']), chosenHead: memberId('a') };
  assert.equal(spread([chosen, chosen], fit), null, 'a person wants it so');
  assert.notEqual(spread([{ ...chosen, chosenHead: memberId('b') }, chosen], fit), null);
  assert.equal(spread([chain(['a', 'b']), chain(['a', 'c']), chain(['b', 'a'])], new Set()), null);
  const move = spread([chain(['a', 'b']), chain(['a', 'c'])], fit);
  assert.equal(move?.configuration.serving[0]?.id, 'a');
});
