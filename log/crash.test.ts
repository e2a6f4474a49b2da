// A sample of the crash points of test/crash/, small enough for every run.

import { test } from 'node:test';
import { crashAt, lifeCalls } from '../test/log/crash.ts';

test('a volume survives a stop after every twelfth call', async () => {
  const calls = await lifeCalls();
  for (let stop = 1; stop <= calls; stop += 12) {
    await crashAt(stop, 'none', 'x');
    await crashAt(stop + 6, 'some', `${stop}`);
  }
});
