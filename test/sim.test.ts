// The simulated twins of io/ keep the same contracts as the real ones.

import { micros } from '../protocol/types.ts';
import { Listeners, SimulatedNetwork } from '../sim/network.ts';
import { Fabric } from '../sim/wires/fabric.ts';
import { World } from '../sim/world.ts';
import { networkContract } from './network.contract.ts';

const HOUR = 3_600_000_000;

/** Turns the world until the task is done; what it threw is thrown. */
async function turn(world: World, task: () => Promise<void>): Promise<void> {
  const outcome: { error?: unknown; over: boolean } = { over: false };
  task().then(
    () => Object.assign(outcome, { over: true }),
    (error: unknown) => Object.assign(outcome, { error, over: true }),
  );
  await world.run(() => outcome.over, micros(world.now + HOUR));
  if ('error' in outcome) throw outcome.error;
  if (!outcome.over) throw new Error('the task waits for what never comes');
}

networkContract('simulated', async () => {
  const world = new World('network contract');
  const fabric = new Fabric(world);
  const listeners = new Listeners();
  const side = (host: string): SimulatedNetwork => {
    const actor = world.birth(host);
    fabric.place(host, actor);
    return new SimulatedNetwork(fabric, listeners, actor, host);
  };
  return {
    caller: side('a'),
    server: side('b'),
    address: 'b:0',
    deserted: 'c:9',
    sleep: (delay) => world.sleep(delay),
    run: (task) => turn(world, task),
    close: async () => {},
  };
});
