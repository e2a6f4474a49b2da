// Controllers that were formatted to join and are let in, whatever becomes of those that they ask.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { JournalError } from '../../protocol/errors.ts';
import { memberId, micros, storeId, zone } from '../../protocol/types.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { controllerMethods } from '../../transport/methods.ts';
import { type Controller, startController } from './controller.ts';
import { formatController } from './format.ts';

const CLUSTER = 'c'.repeat(32);
const PATIENCE = { timeout: micros(5_000_000) };
const ATTEMPTS = 40;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** Nobody that asks through it who serves hears an answer; all else arrives. */
function deafNetwork(): Network {
  const network = grpcNetwork({ clock: nodeClock, logger: silent });
  return {
    call: async (address, method, request, options) => {
      if (JSON.stringify(request).includes('hello')) {
        throw new JournalError('UNAVAILABLE', 'nobody answers', {}, 'none');
      }
      return await network.call(address, method, request, options);
    },
    stream: (...rest) => network.stream(...rest),
    duplex: (...rest) => network.duplex(...rest),
    serve: (...rest) => network.serve(...rest),
    forget: (address) => network.forget(address),
    close: () => network.close(),
  };
}

/** It looks for the set that it is in twice a second. */
async function retried<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let left = ATTEMPTS; ; left -= 1) {
    try {
      return await ask();
    } catch (error) {
      if (left === 0 || !(error instanceof JournalError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

test('whoever was let in serves without those that it asked', { timeout: 60_000 }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'journal-joining-'));
  const plain = grpcNetwork({ clock: nodeClock, logger: silent });
  const deaf = deafNetwork();
  const [first, second, third] = await Promise.all(
    ['c1', 'c2', 'c3'].map(async (id) => ({ id, address: `127.0.0.1:${await freePort()}` })),
  );
  assert.ok(first && second && third);
  const running: Controller[] = [];
  const start = async (seat: typeof first, network: Network, joins: boolean) => {
    const directory = join(root, seat.id);
    const grants = joins ? [] : [{ member: 'a', zone: 'x' }];
    const format = { cluster: CLUSTER, id: seat.id, set: [first], grants, join: joins };
    await formatController(nodeDisk, directory, format);
    const controller = await startController({
      clock: nodeClock,
      random: nodeRandom(),
      disk: nodeDisk,
      network,
      logger: silent,
      config: {
        directory,
        listen: seat.address,
        advertise: '',
        zone: 'x',
        cluster: CLUSTER,
        id: seat.id,
        pid: 1,
        version: 'test',
      },
    });
    running.push(controller);
    return controller;
  };
  try {
    const asked = await start(first, plain, false);
    await asked.started;
    for (const seat of [second, third]) await start(seat, deaf, true);
    const add = [second, third].map(({ id, address }) => `${id}=${address}`).join(',');
    const order = { kind: 'controllerReplace', remove: '', add } as const;
    await plain.call(first.address, controllerMethods.admin, order, PATIENCE);
    await asked.close();
    const request = { kind: 'format', member: memberId('a'), zone: zone('x') } as const;
    const format = { ...request, store: storeId('a'.repeat(32)) };
    const change = () => plain.call(second.address, controllerMethods.change, format, PATIENCE);
    assert.deepEqual(await retried(change), { kind: 'formatted', cluster: CLUSTER });
  } finally {
    await Promise.all(running.map((one) => one.close()));
    await Promise.all([plain.close(), deaf.close()]);
    rmSync(root, { recursive: true, force: true });
  }
});
