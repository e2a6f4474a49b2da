// What a replica says of one journal: which records it shows, and what it remembers of an old log.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeClock } from '../../io/node.ts';
import { memoryVolume } from '../../log/memory.ts';
import { epoch, lsn, NO_LSN } from '../../protocol/types.ts';
import { chainOf, memberOf } from '../../test/configurations.ts';
import { append } from '../../test/log/batches.ts';
import { type DiskEffect, Durable, type DurableParts } from './durable.ts';
import { Host } from './host.ts';

const [a, b] = [memberOf('a'), memberOf('b')];
const configuration = chainOf(1, a, b);

function hostOf(trimmedLsn = NO_LSN): Host {
  const log = memoryVolume().create(configuration.journal);
  append(log, 5);
  const record = { configuration, epoch: epoch(1), endLsnAtAdoption: lsn(5) };
  const start = { log, record, known: configuration, tables: null, trimmedLsn };
  // cast: what of a record this test does not come by is left out.
  return new Host(start as unknown as ConstructorParameters<typeof Host>[0], a);
}

// It may have shown more before it was restarted: what others read must not seem to be gone.
test('nothing is shown before the start of its epoch is committed', () => {
  const host = hostOf();
  Object.assign(host.state, { standing: 'member', live: true, synced: true });
  Object.assign(host.state, { startLsn: lsn(5), committedLsn: lsn(4) });
  assert.equal(host.readable, false);
  host.state.committedLsn = lsn(5);
  assert.equal(host.readable, true);
  // From then on it knows, whatever becomes of its epoch.
  host.state.live = false;
  assert.equal(host.readable, true);
});

test('what was trimmed of a log says nothing of the one that comes after it', async () => {
  const host = hostOf(lsn(3));
  host.trimDue = lsn(4);
  host.state.shape = { ...host.state.shape, baseLsn: NO_LSN };
  const volume = { failed: null };
  const durable = new Durable({
    clock: nodeClock,
    logger: silent,
    volume,
    post: () => {},
    halted: () => false,
    broken: (error: unknown) => assert.fail(String(error)),
    // cast: what this test does not come by is left out.
  } as unknown as DurableParts);
  assert.equal(host.firstLsn, 4);
  durable.carryOut(host, { kind: 'setAside' });
  await host.disk;
  assert.deepEqual([host.firstLsn, host.trimDue], [1, 0]);
});

// A log that ends below the mark of its record counts as one that lost its end.
test('a cut waits until what was saved before it is durable', async () => {
  const host = hostOf();
  const done: string[] = [];
  const saving = Promise.withResolvers<void>();
  const durable = new Durable({
    clock: nodeClock,
    logger: silent,
    volume: { failed: null },
    metadata: { save: () => saving.promise },
    meter: { measure: (task: () => Promise<void>) => task() },
    metrics: { adopted: () => {} },
    post: (_: Host, { save }: { save: number }) => done.push(`${save} up to ${host.log.endLsn}`),
    halted: () => false,
    broken: (error: unknown) => assert.fail(String(error)),
    // cast: what this test does not come by is left out.
  } as unknown as DurableParts);
  // cast: of a record nothing is looked at.
  durable.carryOut(host, { kind: 'save', save: 1, record: {} } as DiskEffect);
  durable.carryOut(host, { kind: 'truncate', save: 2, endLsn: lsn(0), refold: false });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([host.log.endLsn, done], [5, []]);
  saving.resolve();
  await host.disk;
  assert.deepEqual(done, ['1 up to 5', '2 up to 0']);
});
