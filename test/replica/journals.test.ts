// Which journals a replica has open, while their logs are mended and orders come.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import type { JournalLog, Volume } from '../../log/log.ts';
import { memoryVolume } from '../../log/memory.ts';
import type { Metadata } from '../../log/metadata.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { Driver } from '../../replica/drive/driver.ts';
import type { Host } from '../../replica/drive/host.ts';
import { Journals } from '../../replica/journals.ts';
import { chainOf, memberOf } from '../configurations.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// Else it would go on from positions that its log no longer has.
test('a log that is mended while it is given up is not opened before it is aside', async () => {
  const [a, b] = [memberOf('a'), memberOf('b')];
  const configuration = chainOf(3, a);
  const { journal } = configuration;
  const volume = memoryVolume();
  let bad = true;
  let leave: () => void = () => {};
  const log: JournalLog = new Proxy(volume.create(journal), {
    get(real, name) {
      if (name === 'damages') return () => (bad ? [{ journal }] : []);
      if (name === 'recoveredTables' && bad) {
        return () => {
          throw new JournalError('DAMAGED', 'bad bytes');
        };
      }
      if (name === 'setAside') {
        return () => new Promise<void>((resolve) => (leave = resolve));
      }
      const value: unknown = Reflect.get(real, name, real);
      return typeof value === 'function' ? value.bind(real) : value;
    },
  });
  const known = new TextEncoder().encode(JSON.stringify(configuration));
  const added: Host[] = [];
  const tries: (() => void)[] = [];
  const driver = { halted: null, post: () => {}, add: (host: Host) => void added.push(host) };
  const metadata = {
    keys: (prefix: string) => (prefix === 'known/' ? [`known/${journal}`] : []),
    get: (key: string) => (key === `known/${journal}` ? known : undefined),
    save: async () => {},
  };
  const held = { ...volume, find: () => log, journals: () => [log] };
  const journals = new Journals(
    // cast: what this test does not come by is left out.
    {
      logger: silent,
      volume: held as unknown as Volume,
      metadata: metadata as unknown as Metadata,
      driver: driver as unknown as Driver,
      follow: () => {},
      mend: () => new Promise<void>((resolve) => tries.push(resolve)),
      peersChanged: () => {},
      heard: () => {},
    },
    b,
  );
  await journals.open();
  // The controllers are told that there is a log, and that nobody can go on with it.
  assert.deepEqual(
    journals.unopened().map((one) => [one.journal, one.role, one.damaged, one.tooOld, one.live]),
    [[journal, 'none', true, true, false]],
  );
  for (let count = 1; count <= 3; count += 1) {
    tries.shift()?.();
    while (tries.length === 0) await settled();
  }
  const learning = journals.learn(chainOf(4, a), a);
  await settled();
  bad = false;
  tries.shift()?.();
  for (let round = 0; round < 5; round += 1) await settled();
  assert.equal(added.length, 0, 'its log is on its way out');
  leave();
  await learning;
  for (let round = 0; round < 5; round += 1) await settled();
  assert.equal(added.length, 1, 'it is opened once');
  assert.deepEqual(journals.unopened(), []);
});
