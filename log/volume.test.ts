// The volume on a real disk keeps the contract, and so does the reference in memory.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '../io/logger.ts';
import { nodeClock, nodeDisk } from '../io/node.ts';
import { testVolume } from '../test/log.contract.ts';
import { memoryVolume } from './memory.ts';
import { openVolume } from './volume.ts';

testVolume({
  name: 'in memory',
  durable: false,
  run: (body) => body(async () => memoryVolume()),
});

/** Small segments and no cache at all, so that every read comes from the disk. */
const SETTINGS = {
  'on a disk': {},
  'on a disk, small segments, nothing cached': {
    segmentBytes: 65_536,
    groupBytes: 4_096,
    cacheBytes: 0,
    placeBytes: 0,
    checkpointBytes: 20_000,
  },
};

for (const [name, options] of Object.entries(SETTINGS)) {
  testVolume({
    name,
    durable: true,
    run: async (body) => {
      const directory = await mkdtemp(join(tmpdir(), 'journal-log-'));
      try {
        await body(() =>
          openVolume({ disk: nodeDisk, directory, clock: nodeClock, logger: silent, options }),
        );
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  });
}
