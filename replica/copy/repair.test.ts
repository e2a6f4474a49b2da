// Which base of a peer a damaged log takes where nobody has the bad range any more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock } from '../../io/node.ts';
import { encodeBase } from '../../log/base.ts';
import type { Base, JournalLog } from '../../log/log.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { emptyTables, snapshotTables } from '../../protocol/chain/tables.ts';
import { lsn, NO_EPOCH } from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import type { FetchRequest } from '../../transport/control.ts';
import type { ReplicaMetrics } from '../metrics.ts';
import { Repair } from './repair.ts';

const [own, peer] = [memberOf('a'), memberOf('b')];
const configuration = chainOf(1, own, peer);
const { journal } = configuration;

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
  const repair = new Repair({
    clock: nodeClock,
    // cast: what this test does not come by is left out.
    network: network as unknown as Network,
    metrics: { damage: () => {} } as unknown as ReplicaMetrics,
    logger: silent,
    store: own.store,
    find: () => target,
    mended: () => {},
  });
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
