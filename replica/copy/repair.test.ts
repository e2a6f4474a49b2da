// Who mends a damaged log: a peer with its range, a base of one, or who was a member before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../io/clock.ts';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock } from '../../io/node.ts';
import { encodeBase } from '../../log/base.ts';
import type { Base, JournalLog } from '../../log/log.ts';
import { memoryVolume } from '../../log/memory.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { emptyTables, snapshotTables } from '../../protocol/chain/tables.ts';
import { type Batch, lsn, NO_EPOCH } from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import { append } from '../../test/log/batches.ts';
import type { FetchRequest } from '../../transport/control.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import { Repair, type RepairParts } from './repair.ts';

const [own, peer] = [memberOf('a'), memberOf('b')];
const configuration = chainOf(1, own, peer);
const { journal } = configuration;

/** One that finds no log and no peer but those of the parts. */
function repairOf(parts: Partial<RepairParts>): Repair {
  return new Repair({
    clock: nodeClock,
    // cast: what a test does not come by is left out.
    network: {} as unknown as Network,
    metrics: { damage: () => {} } as unknown as ReplicaMetrics,
    logger: silent,
    store: own.store,
    find: () => undefined,
    replicas: async () => [],
    mended: () => {},
    ...parts,
  });
}

/** Where the log begins after positions 3 to 4 were bad, of 9 of which 6 may be trimmed. */
async function mendedBy(baseLsn: number): Promise<{ mended: boolean; begins: number }> {
  let begins = 0;
  const base: Base = {
    journal,
    lsn: lsn(baseLsn),
    epoch: NO_EPOCH,
    crc: 0,
    trimmedLsn: lsn(baseLsn),
    tables: snapshotTables(emptyTables()),
  };
  const network = {
    stream: async function* (_address: string, _method: unknown, request: FetchRequest) {
      // The range itself is gone from the peer.
      if (request.repairFirstLsn > 0) return;
      yield { kind: 'base', piece: encodeBase(base), last: true };
    },
  };
  const log = {
    shape: () => EMPTY_SHAPE,
    repair: async () => assert.fail('nobody has the range'),
    rebase: async (given: Base) => {
      begins = given.lsn;
    },
  };
  // cast: a repair asks no more of a log than this.
  const target = { log: log as unknown as JournalLog, configuration, committedLsn: lsn(6) };
  const repair = repairOf({ network: network as unknown as Network, find: () => target });
  const place = { file: 'one', position: 0, what: 'bad bytes' };
  const mended = await repair.take({ journal, firstLsn: lsn(3), lastLsn: lsn(4), ...place });
  return { mended, begins };
}

test('a base mends what it covers, where it takes nothing that is not to be trimmed', async () => {
  assert.deepEqual(await mendedBy(4), { mended: true, begins: 4 });
  assert.deepEqual(await mendedBy(6), { mended: true, begins: 6 });
  // It leaves a part of the bad range.
  assert.deepEqual(await mendedBy(3), { mended: false, begins: 0 });
  // What lies there may yet be cut here: a log whose base is above that could not be.
  assert.deepEqual(await mendedBy(7), { mended: false, begins: 0 });
});

/** Whom a repair asks for positions 1 to 5, and of whom it takes them. */
async function askedBy(having: readonly string[], strangers: readonly string[]) {
  const asked: string[] = [];
  const taken: number[] = [];
  const source = memoryVolume().create(journal);
  append(source, 5);
  const [batch] = await source.read(lsn(1), 1_000);
  const network = {
    stream: async function* (address: string, _method: unknown, request: FetchRequest) {
      asked.push(`${address} ${request.repairFirstLsn > 0 ? 'range' : 'base'}`);
      const has = request.repairFirstLsn > 0 && having.includes(address);
      if (has) yield { kind: 'batches', batches: [batch?.bytes] };
    },
  };
  const log = {
    shape: () => EMPTY_SHAPE,
    repair: async (batches: readonly Batch[]) => {
      taken.push(...batches.map(({ header }) => header.firstLsn));
    },
    rebase: async () => assert.fail('nobody gives a base'),
  };
  // cast: a repair asks no more of a log than this.
  const target = { log: log as unknown as JournalLog, configuration, committedLsn: lsn(6) };
  const replicas = async () => [own, peer, ...strangers.map(memberOf)];
  const repair = repairOf({ network: network as unknown as Network, find: () => target, replicas });
  const place = { file: 'one', position: 0, what: 'bad bytes' };
  const mended = await repair.take({ journal, firstLsn: lsn(1), lastLsn: lsn(5), ...place });
  return { mended, asked, taken };
}

// Seed 563847568 of a80ccc1: the last member of a chain was damaged, and both that had been put out
// a moment before had all that it lacked.
test('where no member has the range, whoever was one before may', async () => {
  const { address } = memberOf('c');
  assert.deepEqual(await askedBy([address], ['c']), {
    mended: true,
    asked: [`${peer.address} range`, `${peer.address} base`, `${address} range`],
    taken: [1],
  });
  assert.deepEqual((await askedBy([peer.address, address], ['c'])).asked, [
    `${peer.address} range`,
  ]);
  assert.equal((await askedBy([], ['c'])).mended, false);
});

test('what cannot be mended is tried again and again, and told of once a minute', async () => {
  let now = 0;
  const said: string[] = [];
  const logger = { ...silent, error: (_about: object, message: string) => said.push(message) };
  // cast: nobody is asked, and nothing waits.
  const repair = repairOf({ clock: { now: () => now } as Clock, logger });
  const damage = { journal, firstLsn: lsn(1), lastLsn: lsn(5), file: 'one', what: 'bad bytes' };
  for (const position of [0, 100, 0, 100]) {
    now += 1_000_000;
    assert.equal(await repair.take({ ...damage, position }), false);
  }
  assert.equal(said.length, 4);
  now += 60_000_000;
  await repair.take({ ...damage, position: 0 });
  assert.equal(said.length, 6);
});
