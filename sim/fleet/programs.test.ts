// What a process of a run may end by, and what fails the run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError } from '../../io/disk.ts';
import { InvariantViolation, JournalError } from '../../protocol/errors.ts';
import { isReason } from './programs.ts';

test('a process may end by a reason that it gives, not by a fault of its code', () => {
  assert.ok(isReason(new DiskError('EIO', '/data/identity.json')));
  assert.ok(isReason(new JournalError('DAMAGED', 'the volume failed')));
  assert.ok(!isReason(new JournalError('INTERNAL', 'what nobody thought of')));
  assert.ok(!isReason(new InvariantViolation('times rise', '2 after 3')));
  assert.ok(!isReason(new TypeError('state is undefined')));
  assert.ok(!isReason(undefined));
});
