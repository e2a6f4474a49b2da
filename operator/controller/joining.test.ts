// Controllers that were formatted to join and are let in, whatever becomes of those that they ask.

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
import { type Controller, startController } from './controller.ts';
import { formatController } from './format.ts';

const CLUSTER = 'c'.repeat(32);
const PATIENCE = { timeout: micros(5_000_000) };
const ATTEMPTS = 40;

/** What it is given does not arrive, as long as `lost` says so. */
function lossyNetwork(lost: (request: string) => boolean): Network {
  const network = grpcNetwork({ clock: nodeClock, logger: silent });
  return {
    call: async (address, method, request, options) => {
      if (lost(JSON.stringify(request))) {
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

interface Place {
  readonly id: string;
  readonly address: string;
}

/** Controllers on this machine, of which the first was there before the others. */
class House implements AsyncDisposable {
  readonly places: readonly Place[];
  readonly plain = grpcNetwork({ clock: nodeClock, logger: silent });
  readonly #root = mkdtempSync(join(tmpdir(), 'journal-joining-'));
  readonly #running: Controller[] = [];
  readonly #networks: Network[] = [this.plain];

  private constructor(places: readonly Place[]) {
    this.places = places;
  }

  static async build(...ids: readonly string[]): Promise<House> {
    return new House(
      await Promise.all(
        ids.map(async (id) => ({ id, address: `127.0.0.1:${await freePorts(1)}` })),
      ),
    );
  }

  async start({ id, address }: Place, network: Network = this.plain): Promise<Controller> {
    const [first] = this.places;
    assert.ok(first);
    if (network !== this.plain) this.#networks.push(network);
    const directory = join(this.#root, id);
    const joins = id !== first.id;
    const grants = joins ? [] : [{ member: 'a', zone: 'x' }];
    const format = { cluster: CLUSTER, id, set: [first], grants, join: joins };
    await formatController(nodeDisk, directory, format);
    const config = { directory, listen: address, advertise: '', zone: 'x', cluster: CLUSTER };
    const controller = await startController({
      clock: nodeClock,
      random: nodeRandom(),
      disk: nodeDisk,
      network,
      logger: silent,
      config: { ...config, id, pid: 1, version: 'test' },
    });
    this.#running.push(controller);
    return controller;
  }

  async change({ address }: Place): Promise<void> {
    const request = { kind: 'format', member: memberId('a'), zone: zone('x') } as const;
    const format = { ...request, store: storeId('a'.repeat(32)) };
    const change = () => this.plain.call(address, controllerMethods.change, format, PATIENCE);
    assert.deepEqual(await retried(change), { kind: 'formatted', cluster: CLUSTER });
  }

  async replace({ address }: Place, remove: string, added: readonly Place[]): Promise<void> {
    const add = added.map((one) => `${one.id}=${one.address}`).join(',');
    const order = { kind: 'controllerReplace', remove, add } as const;
    await this.plain.call(address, controllerMethods.admin, order, PATIENCE);
  }

  /** Controllers that are needed, as one of them tells. */
  async told({ address }: Place): Promise<readonly string[]> {
    const { processes } = await this.plain.call(address, controllerMethods.status, {}, PATIENCE);
    return processes.filter(({ kind }) => kind === 'controller').map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((one) => one.close()));
    await Promise.all(this.#networks.map((one) => one.close()));
    rmSync(this.#root, { recursive: true, force: true });
  }
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
  await using house = await House.build('c1', 'c2', 'c3');
  const [first, second, third] = house.places;
  assert.ok(first && second && third);
  const asked = await house.start(first);
  await asked.started;
  const deaf = lossyNetwork((request) => request.includes('hello'));
  for (const place of [second, third]) await house.start(place, deaf);
  await house.replace(first, '', [second, third]);
  await asked.close();
  await house.change(second);
});

test('who is put out is needed until the registers are there', { timeout: 60_000 }, async () => {
  await using house = await House.build('c1', 'c2');
  const [first, second] = house.places;
  assert.ok(first && second);
  let lost = true;
  const one = await house.start(
    first,
    lossyNetwork((request) => lost && request.includes('install')),
  );
  await one.started;
  await house.change(first);
  await house.start(second);
  await assert.rejects(house.replace(first, 'c1', [second]), JournalError);
  assert.deepEqual(await house.told(first), ['c2', 'c1']);
  lost = false;
  await retried(() => house.replace(first, 'c1', [second]));
  assert.deepEqual(await house.told(first), ['c2']);
  await one.close();
  await house.change(second);
});
