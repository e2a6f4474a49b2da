// What changes of several steps are told as where one of them fails: registers in memory, one
// member, and a register that is out of reach when a test says so.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock } from '../../io/node.ts';
import { DEFAULT_SETTINGS } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { Update } from '../../protocol/paxos/proposer.ts';
import { FIRST_LSN, journalId, micros } from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import { Admin } from './admin.ts';
import { Changes } from './changes.ts';
import { Reconfigurer } from './reconfigure/reconfigure.ts';
import { decodeConfiguration, encode, journalKey, memberKey, nameKey } from './register/records.ts';

const member = memberOf('a');
const JOURNAL = journalId('f'.repeat(32));
const create = {
  kind: 'createJournal',
  journal: JOURNAL,
  name: 'orders',
  settings: { ...DEFAULT_SETTINGS, minReplicas: 1, replicationFactor: 1 },
  firstLsn: FIRST_LSN,
} as const;
const values = new Map<string, string | null>();
/** Keys whose changes fail, and how. */
const lost = new Map<string, JournalError>();
const unreached = () => new JournalError('UNAVAILABLE', 'no controller answers');
const { signal } = new AbortController();

beforeEach(() => {
  values.clear();
  lost.clear();
});

const register = {
  read: (key: string) => Promise.resolve(values.get(key) ?? null),
  change: async (key: string, update: Update) => {
    const error = lost.get(key);
    if (error !== undefined) throw error;
    const before = values.get(key) ?? null;
    const value = update(before);
    values.set(key, value);
    return { before, value };
  },
};

const { store, id, zone, address } = member;
const catalog = {
  complete: true,
  rebuilding: false,
  configurations: () => [],
  configuration: () => undefined,
  nodes: () => [{ store, generation: 1, startId: 's', member: id, zone, address }],
  grant: () => ({ member: id, zone, store, revision: 1, leaving: null }),
  decidedAt: () => micros(0),
  note: () => undefined,
  touch: () => undefined,
};
const report = { live: true, epoch: 1, synced: true, startLsn: null, acked: [] };
const observer = {
  find: () => ({
    hello: { incarnation: 1 },
    health: null,
    lastPong: nodeClock.now(),
    reports: new Map([[JOURNAL, { report, at: 0, grown: [] }]]),
  }),
};
const metrics = { lost: () => undefined, reconfigured: () => undefined };
const gossip = { offsets: () => [], hint: () => undefined };
const parts = { clock: nodeClock, logger: silent, register, catalog, observer, metrics, gossip };
// cast: what they look at beyond this is not reached by these changes.
const reconfigurer = new Reconfigurer(parts as never);
const changes = new Changes({ ...parts, cluster: 'c', reconfigurer } as never);
const admin = new Admin({ ...parts, reconfigurer } as never);

async function told(change: Promise<unknown>): Promise<readonly string[]> {
  const error = await change.then(
    () => null,
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof JournalError, String(error));
  return [error.code, error.outcome];
}

test('a journal whose name was taken may be there yet, and is when it is asked again', async () => {
  lost.set(nameKey('orders'), unreached());
  assert.deepEqual(await told(changes.carryOut(create, signal)), ['UNAVAILABLE', 'none']);
  lost.clear();
  lost.set(journalKey(JOURNAL), unreached());
  assert.deepEqual(await told(changes.carryOut(create, signal)), ['UNAVAILABLE', 'unknown']);
  lost.clear();
  const answer = await changes.carryOut(create, signal);
  assert.equal(answer.kind === 'configuration' && answer.configuration.journal, JOURNAL);
});

test('a journal whose name was not freed is deleted all the same', async () => {
  await changes.carryOut(create, signal);
  lost.set(nameKey('orders'), unreached());
  const gone = { kind: 'deleteJournal', name: 'orders', journal: JOURNAL } as const;
  assert.deepEqual(await told(changes.carryOut(gone, signal)), ['UNAVAILABLE', 'unknown']);
  assert.equal(decodeConfiguration(values.get(journalKey(JOURNAL)) ?? '').deleted, true);
  lost.clear();
  assert.equal((await changes.carryOut(gone, signal)).kind, 'configuration');
});

test('a proposal that did not reach the registers is not told as one that is late', async () => {
  const [latest, next] = [chainOf(5, member, memberOf('b')), chainOf(6, memberOf('b'), member)];
  const key = journalKey(latest.journal);
  values.set(key, encode(latest));
  const propose = { kind: 'propose', expectedEpoch: latest.epoch, configuration: next } as const;
  lost.set(key, new JournalError('UNAVAILABLE', 'outbid', {}, 'unknown'));
  assert.deepEqual(await told(changes.carryOut(propose, signal)), ['UNAVAILABLE', 'unknown']);
  lost.clear();
  assert.equal((await changes.carryOut(propose, signal)).kind, 'configuration');
  const late = await changes.carryOut({ ...propose, configuration: chainOf(6, member) }, signal);
  assert.equal(late.kind === 'refused' && late.code, 'STALE_EPOCH');
});

test('an order of two steps, of which the first was done, may be done yet', async () => {
  values.set(memberKey('a'), encode(catalog.grant()));
  const replace = { kind: 'memberReplace', member: 'a', by: 'b' } as const;
  lost.set(memberKey('b'), unreached());
  assert.deepEqual(await told(admin.carryOut(replace, signal)), ['UNAVAILABLE', 'none']);
  lost.clear();
  lost.set(memberKey('a'), unreached());
  assert.deepEqual(await told(admin.carryOut(replace, signal)), ['UNAVAILABLE', 'unknown']);
  lost.clear();
  assert.equal((await admin.carryOut(replace, signal)).done.length, 2);
});
