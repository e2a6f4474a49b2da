// Where a learner copies from when the member that it was sent to has bad bytes, and which bases
// it takes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock, nodeRandom } from '../../io/node.ts';
import { encodeBase } from '../../log/base.ts';
import type { Base } from '../../log/log.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { emptyTables, snapshotTables } from '../../protocol/chain/tables.ts';
import { JournalError } from '../../protocol/errors.ts';
import { lsn, NO_EPOCH, NO_LSN } from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import type { Driver } from '../drive/driver.ts';
import type { Host } from '../drive/host.ts';
import { Catchup } from './catchup.ts';

const EMPTY_BASE: Omit<Base, 'journal' | 'lsn'> = {
  epoch: NO_EPOCH,
  crc: 0,
  trimmedLsn: NO_LSN,
  tables: snapshotTables(emptyTables()),
};

function catchupOf(network: object, driver: object): Catchup {
  return new Catchup({
    clock: nodeClock,
    random: nodeRandom('catchup'),
    logger: silent,
    // cast: what these tests do not come by is left out.
    network: network as Network,
    driver: driver as Driver,
  });
}

// A range that all others have trimmed is mended by nobody: the copy broke off for ever there.
test('a source with bad bytes is left for another serving member', async () => {
  const [whole, spoiled] = [memberOf('a'), memberOf('b')];
  const asked: string[] = [];
  const network = {
    stream: async function* (address: string) {
      asked.push(address);
      if (address === spoiled.address) throw new JournalError('DAMAGED', 'bad bytes');
      yield* [];
    },
  };
  const host = {
    journal: chainOf(1, whole, spoiled).journal,
    known: chainOf(1, whole, spoiled),
    log: { endLsn: 0 },
    state: { standing: 'learner', shape: EMPTY_SHAPE },
  };
  const driver = { settled: async () => {} };
  const catchup = catchupOf(network, driver);
  const follow = async (times: number): Promise<void> => {
    // The controllers repeat the order, which does nothing while a copy is under way.
    while (asked.length < times) {
      catchup.follow(host as unknown as Host, spoiled);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await follow(3);
  catchup.close();
  assert.deepEqual(asked.slice(0, 3), [spoiled.address, whole.address, whole.address]);
});

/** Which bases are installed of those that a source gives, one copy after another, twice. */
async function installedOf(bases: readonly number[], joinsFirst: boolean): Promise<number[]> {
  const source = memberOf('a');
  const { journal } = chainOf(1, source);
  const asked: string[] = [];
  const installed: number[] = [];
  const host = {
    journal,
    known: chainOf(1, source),
    log: {
      endLsn: 7,
      shape: () => ({ ...EMPTY_SHAPE, baseLsn: lsn(5) }),
      install: async (base: Base) => void installed.push(base.lsn),
    },
    state: { standing: 'learner', shape: EMPTY_SHAPE },
    rebase: () => {},
  };
  const network = {
    stream: async function* (address: string) {
      asked.push(address);
      host.state.standing = 'learner';
      for (const at of bases) {
        const piece = encodeBase({ ...EMPTY_BASE, journal, lsn: lsn(at) });
        yield { kind: 'base', piece, last: true };
      }
    },
  };
  const driver = {
    settled: async () => {},
    behind: async (_: Host, task: () => Promise<void>) => {
      if (joinsFirst) host.state.standing = 'member';
      await task();
    },
    post: () => {},
  };
  const catchup = catchupOf(network, driver);
  // The second copy begins once the first is over.
  while (asked.length < 2) {
    catchup.follow(host as unknown as Host, source);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  catchup.close();
  return installed;
}

// Its log would refuse it, and end the replica by that.
test('a base below its own is passed over', async () => {
  assert.deepEqual((await installedOf([4, 5, 6], false)).slice(0, 2), [5, 6]);
});

// The chain counts on what its log holds from then on: a base would take it away.
test('a base is not installed once it is a member, though it came before', async () => {
  assert.deepEqual(await installedOf([6], true), []);
});
