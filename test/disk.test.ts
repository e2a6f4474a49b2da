// The simulated disk keeps the contract of the real one: that is what a simulation is worth.

import { micros } from '../protocol/types.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { World } from '../sim/world.ts';
import { type DiskUnderTest, testDisk } from './disk.contract.ts';

const HOUR = micros(3_600_000_000);

const simulated: DiskUnderTest = {
  name: 'the simulated disk',
  async run(body) {
    const world = new World('contract');
    const machine = new SimulatedDisk(world, 'a', { sectorBytes: 512, capacityBytes: 10_000_000 });
    const disk = machine.attach(world.birth('a'));
    let ended = false;
    const done = disk
      .makeDirectory('/data')
      .then(() => body(disk, '/data'))
      .finally(() => {
        ended = true;
      });
    // What goes wrong in the body is seen below, not as a rejection that nobody awaits.
    done.catch(() => undefined);
    await world.run(() => ended, HOUR);
    await done;
  },
};

testDisk(simulated);
