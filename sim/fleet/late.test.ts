// A question to delete a journal that comes late, after another was made under the same name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journalId, micros } from '../../protocol/types.ts';
import { controllerMethods } from '../../transport/methods.ts';
import { Cluster } from '../cluster.ts';
import { World } from '../world.ts';

const MINUTE = micros(60_000_000);

/** Turns the world until the task is done, a minute of its time at most. */
async function turn<Result>(world: World, task: () => Promise<Result>): Promise<Result> {
  const done = task();
  const box = { over: false };
  const end = (): void => {
    box.over = true;
  };
  done.then(end, end);
  const why = await world.run(() => box.over, micros(world.now + MINUTE));
  assert.equal(why, 'done');
  return await done;
}

test('a journal is not deleted by what was asked of one that had its name before', async () => {
  const world = new World('late');
  const cluster = new Cluster(world, { replicas: 1, controllers: 1, clients: 0 });
  await turn(world, async () => {
    await cluster.start();
    while (cluster.status === null) await world.sleep(50_000);
  });
  const { client, doctor } = cluster;
  const settings = { replicationFactor: 1 };
  const network = doctor.seams(world.birth('a replica')).network;
  const ask = (name: string, journal: string) =>
    network.call(
      cluster.controllerAddresses()[0] ?? '',
      controllerMethods.change,
      { kind: 'deleteJournal', name, journal: journalId(journal) },
      { timeout: micros(5_000_000) },
    );
  await turn(world, async () => {
    const { configuration: first } = await client.createJournal('orders', { settings });
    await client.deleteJournal('orders');
    const repeated = await ask('orders', first.journal);
    assert.equal(repeated.kind, 'configuration', 'it is gone, as was asked');
    const { configuration: second } = await client.createJournal('orders', { settings });
    const late = await ask('orders', first.journal);
    assert.match(late.kind === 'refused' ? late.message : late.kind, /orders was made anew/);
    const { configuration } = await client.describeJournal('orders');
    assert.equal(configuration.journal, second.journal);
    assert.equal((await client.journal('orders').append('there')).firstLsn, 1);
  });
});
