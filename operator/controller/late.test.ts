// Controllers on a machine that is starved: every answer of one to another comes late. They find
// each other and change registers all the same, and are quick again when the machine is.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { JournalError } from '../../protocol/errors.ts';
import { memberId, micros, storeId, zone } from '../../protocol/types.ts';
import { freePorts } from '../../test/processes/ports.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { controllerMethods } from '../../transport/methods.ts';
import { TIMING } from './config.ts';
import { startController } from './controller.ts';
import { formatController } from './format.ts';

const CLUSTER = 'c'.repeat(32);

const sleep = (delay: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delay / 1_000));

/** What controllers say to each other takes `late.micros`, or as long as the caller waits. */
function lateNetwork(late: { readonly micros: number }): Network {
  const network = grpcNetwork({ clock: nodeClock, logger: silent });
  return {
    async call(address, method, request, options) {
      const delay = method.path === controllerMethods.acceptor.path ? late.micros : 0;
      const answer = network.call(address, method, request, { ...options, timeout: micros(3e7) });
      answer.catch(() => undefined);
      if (delay <= options.timeout) {
        await sleep(delay);
        return await answer;
      }
      await sleep(options.timeout);
      throw new JournalError('DEADLINE_EXCEEDED', 'no answer in time', {}, 'unknown');
    },
    stream: (...rest) => network.stream(...rest),
    duplex: (...rest) => network.duplex(...rest),
    serve: (...rest) => network.serve(...rest),
    forget: (address) => network.forget(address),
    close: () => network.close(),
  };
}

test('controllers whose answers are late find each other', { timeout: 120_000 }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'journal-late-'));
  // More than one of them usually waits for another.
  const late = { micros: TIMING.acceptor * 1.5 };
  const network = lateNetwork(late);
  const ids = ['c1', 'c2', 'c3'];
  const set = await Promise.all(
    ids.map(async (id) => ({ id, address: `127.0.0.1:${await freePorts(1)}` })),
  );
  const grants = [{ member: 'a', zone: 'x' }];
  const controllers = await Promise.all(
    set.map(async ({ id, address }) => {
      const directory = join(root, id);
      await formatController(nodeDisk, directory, { cluster: CLUSTER, id, set, grants });
      const config = { directory, listen: address, advertise: '', zone: 'x', cluster: CLUSTER };
      return await startController({
        clock: nodeClock,
        random: nodeRandom(),
        disk: nodeDisk,
        network,
        logger: silent,
        config: { ...config, id, pid: 1, version: 'test' },
      });
    }),
  );
  try {
    await Promise.all(controllers.map(({ started }) => started));
    const change = (store: string) => {
      const request = { kind: 'format', member: memberId('a'), zone: zone('x') } as const;
      const asked = { ...request, store: storeId(store.repeat(32)) };
      const options = { timeout: micros(60_000_000) };
      return network.call(set[0]?.address ?? '', controllerMethods.change, asked, options);
    };
    assert.deepEqual(await change('a'), { kind: 'formatted', cluster: CLUSTER });
    late.micros = 0;
    assert.deepEqual(await change('a'), { kind: 'formatted', cluster: CLUSTER });
  } finally {
    await Promise.all(controllers.map((one) => one.close()));
    await network.close();
    rmSync(root, { recursive: true, force: true });
  }
});
