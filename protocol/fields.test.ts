// JSON that is not what it should be is refused by field, however it is wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choice, fields, flag, list, nullable, parse, text, whole } from './fields.ts';
import { RangeViolation } from './types.ts';

const refuses = (read: () => unknown, says: RegExp): void =>
  assert.throws(read, (error) => error instanceof RangeViolation && says.test(error.message));

test('each reader gives what it is for and names the field of all else', () => {
  assert.deepEqual(fields('a', parse('a', '{"b":1}')), { b: 1 });
  assert.deepEqual(list('a', ['x', 'y'], text), ['x', 'y']);
  assert.equal(whole('a', 7) + Number(flag('b', true)), 8);
  assert.deepEqual([nullable(null, String), nullable(undefined, String)], [null, null]);
  assert.equal(choice('a', 'y', ['x', 'y']), 'y');
  refuses(() => parse('a', '{'), /^a is "\{", allowed is JSON/);
  for (const wrong of [null, [], 'x', 1]) refuses(() => fields('a', wrong), /^a is .* an object/);
  for (const wrong of [-1, 0.5, 2 ** 53, '1', null]) refuses(() => whole('a', wrong), /^a is /);
  refuses(() => list('a', ['x', 1], text), /^a\[1\] is "1", allowed is a string/);
  refuses(() => choice('a', 'z', ['x', 'y']), /allowed is x, y/);
  refuses(() => flag('a', 'true'), /allowed is true or false/);
});

test('what is nested deeply, or is big beyond measure, is refused like all else', () => {
  const deep = 100_000;
  const value = parse('a', '['.repeat(deep) + ']'.repeat(deep));
  refuses(() => fields('a', value), /^a is "\[{80}", allowed is an object/);
  let twice: unknown = 'x';
  for (let level = 0; level < 60; level += 1) twice = [twice, twice];
  refuses(() => fields('a', twice), /^a is "\[{60,80}\\"x/);
});
