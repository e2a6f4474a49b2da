// What is asked of a world, where no scene shows it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noteOf } from './world.ts';

test('what a full disk has free is not told where it would change a status each second', () => {
  const full = 'the disk of replica-1 is full: trim, or make it larger';
  const free = 'the disk has 4096 bytes free, 268435456 are kept in reserve';
  assert.equal(noteOf({ note: `${full} (${free})` }), full);
  assert.equal(noteOf({ note: `${full} (EDQUOT)` }), `${full} (EDQUOT)`);
});
