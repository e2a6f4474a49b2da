// A simulated cluster that works, for tests of what faults do to it.

import assert from 'node:assert/strict';
import { micros } from '../../protocol/types.ts';
import { Cluster, type ClusterShape } from '../../sim/cluster.ts';
import type { Machine } from '../../sim/machine.ts';
import { World } from '../../sim/world.ts';

const TWO_MINUTES = micros(120_000_000);
const LOOK_MICROS = 50_000;

export class Bench {
  readonly world: World;
  readonly cluster: Cluster;

  constructor(seed: string, shape: ClusterShape = { replicas: 1, controllers: 3, clients: 0 }) {
    this.world = new World(seed);
    this.cluster = new Cluster(this.world, shape);
  }

  get controllers(): readonly string[] {
    return this.cluster.controllers.map(({ name }) => name);
  }

  /** Turns the world until the task is done. */
  async turn(task: () => Promise<void>): Promise<void> {
    let over = false;
    const done = task();
    const end = (): void => {
      over = true;
    };
    done.then(end, end);
    await this.world.run(() => over, micros(this.world.now + TWO_MINUTES));
    assert.ok(over, 'not done within two virtual minutes');
    await done;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.world.sleep(LOOK_MICROS);
  }

  /** The first controller, once all are there. */
  async start(): Promise<Machine> {
    const { cluster } = this;
    cluster.onExit = (actor, error) => {
      if (/InvariantViolation|SpecViolation/.test(String(error))) assert.fail(actor.name);
    };
    await cluster.start();
    const [machine] = cluster.controllers;
    assert.ok(machine !== undefined);
    const known = (): boolean => cluster.controllers.every((one) => cluster.isKnownToAll(one));
    await this.until(() => cluster.whole() && known());
    return machine;
  }
}
