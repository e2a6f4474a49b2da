// What a replica gives to a learner: everything that is committed, and nothing beyond; and to a
// peer that repairs its log: the range that it asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBatch } from '../../log/batch.ts';
import { EMPTY_SHAPE } from '../../protocol/chain/shape.ts';
import { lastLsn, lsn, NO_LSN } from '../../protocol/types.ts';
import { journalMethods, peerMethods } from '../../transport/methods.ts';
import { CALL, House } from './house.ts';
import { until } from './shepherd.ts';

const COMMITTED = 5;

test('a learner is given nothing that waits for its commit', async () => {
  const house = await House.open();
  try {
    const [a, b] = await Promise.all([house.start('a'), house.start('b')]);
    const name = 'waiting';
    const { journal, lineage } = house.shepherd.create(name, [a.sheep, b.sheep], {
      minReplicas: 2,
    });
    const report = () => a.sheep.reports.get(journal);
    await until('it is synced', () => report()?.synced === true);
    for (let n = 0; n < COMMITTED; n += 1) await house.append(a, name, [`${n}`]);
    await house.stop(b);
    const waiting = house.append(a, name, ['not committed']).catch(() => undefined);
    await until('it has more', () => (report()?.durableLsn ?? 0) > COMMITTED);
    const abort = new AbortController();
    const request = {
      journal,
      lineage,
      shape: EMPTY_SHAPE,
      repairFirstLsn: NO_LSN,
      repairLastLsn: NO_LSN,
    };
    const options = { ...CALL, signal: abort.signal };
    const given: number[] = [];
    let answers = 0;
    const { address } = a.replica;
    for await (const answer of house.network.stream(address, peerMethods.fetch, request, options)) {
      assert.equal(answer.kind, 'batches');
      if (answer.kind !== 'batches') break;
      assert.equal(answer.committedLsn, COMMITTED);
      given.push(...answer.batches.map((bytes) => lastLsn(decodeBatch(bytes).header)));
      answers += 1;
      // The second says that there is nothing more for now.
      if (answers === 2) break;
    }
    abort.abort();
    assert.deepEqual(given, [1, 2, 3, 4, 5]);
    // Nor does a writer begin its session there: what waits may be cut.
    const session = { journal: name };
    const { endLsn } = await house.network.call(address, journalMethods.session, session, CALL);
    assert.equal(endLsn, COMMITTED);
    // Who learns of another lineage is given nothing of this one.
    const other = { ...request, lineage: lineage + 1 };
    const stream = house.network.stream(address, peerMethods.fetch, other, CALL);
    await assert.rejects(async () => {
      for await (const _ of stream) assert.fail('it is given something');
    }, /lineage is 2, 1 is here/);
    await house.stop(a);
    await waiting;
  } finally {
    await house.close();
  }
});

test('a peer that repairs is given the damaged range alone', async () => {
  const house = await House.open();
  try {
    const a = await house.start('a');
    const { journal, lineage } = house.shepherd.create('range', [a.sheep]);
    await until('it serves', () => a.sheep.reports.get(journal)?.live === true);
    for (let n = 0; n < COMMITTED; n += 1) await house.append(a, 'range', [`${n}`]);
    const request = {
      journal,
      lineage,
      shape: EMPTY_SHAPE,
      repairFirstLsn: lsn(2),
      repairLastLsn: lsn(3),
    };
    const given: number[] = [];
    const { address } = a.replica;
    for await (const answer of house.network.stream(address, peerMethods.fetch, request, CALL)) {
      if (answer.kind !== 'batches') continue;
      given.push(...answer.batches.map((bytes) => lastLsn(decodeBatch(bytes).header)));
    }
    assert.deepEqual(given, [2, 3]);
  } finally {
    await house.close();
  }
});
