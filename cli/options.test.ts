// Flags are read as they are meant, and every refusal says what is allowed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  duration,
  formatOf,
  formatTime,
  keyAt,
  lsnOption,
  retention,
  size,
  startPosition,
  timeMicros,
  wholeNumber,
} from './options.ts';

const refused = (work: () => unknown, words: RegExp): void => {
  assert.throws(work, (error) => error instanceof Error && words.test(error.message));
};

test('a whole number outside its range is refused with the range', () => {
  assert.equal(wholeNumber(1, 5)('5'), 5);
  for (const text of ['0', '6', '-1', '1.5', '', 'x', '1e1', '٣']) {
    refused(() => wholeNumber(1, 5)(text), /Allowed is a whole number from 1 to 5/);
  }
});

test('an LSN reaches 2^53 - 1 and no further', () => {
  assert.equal(lsnOption('9007199254740991'), Number.MAX_SAFE_INTEGER);
  refused(() => lsnOption('9007199254740992'), /from 0 to 9007199254740991/);
  refused(() => lsnOption('-1'), /from 0 to 9007199254740991/);
  refused(() => lsnOption('1.5'), /from 0 to 9007199254740991/);
});

test('durations and sizes need a unit that is known', () => {
  assert.equal(duration()('250ms'), 250);
  assert.equal(duration()('1.5s'), 1_500);
  assert.equal(duration()('7d'), 604_800_000);
  refused(() => duration()('7'), /number with a unit/);
  refused(() => duration(500)('100ms'), /at least 500ms/);
  refused(() => duration(500, 60_000)('2m'), /at most 60000ms/);
  assert.equal(size(1)('100GiB'), 100 * 2 ** 30);
  refused(() => size(1)('1GB'), /KiB, MiB, GiB/);
  refused(() => size(1, 10)('11B'), /from 1 to 10 bytes/);
});

test('retention takes an age, a size, or both', () => {
  assert.deepEqual(retention('7d'), { retainMillis: 604_800_000 });
  assert.deepEqual(retention('1MiB', { retainMillis: 5 }), {
    retainMillis: 5,
    retainBytes: 1_048_576,
  });
  for (const text of ['7', '0d', '0B', 'week']) refused(() => retention(text), /age such as 7d/);
});

test('a start is a word, a position or a time', () => {
  assert.equal(startPosition('first'), 'first');
  assert.equal(startPosition('41'), 41);
  assert.deepEqual(startPosition('1970-01-01T00:00:01.5Z'), { timeMicros: 1_500_000 });
  refused(() => startPosition('0'), /from 1 to/);
  refused(() => startPosition('-3'), /first, next, an LSN from 1/);
  refused(() => startPosition('2026-02-30'), /first, next/);
  refused(() => startPosition('2300-01-01'), /first, next/);
});

test('times keep their microseconds both ways', () => {
  const text = '2026-01-02T03:04:05.678901Z';
  const micros = timeMicros(text);
  assert.ok(micros !== undefined);
  assert.equal(formatTime(micros), text);
  assert.equal(timeMicros('2026-01-02T04:04:05.678901+01:00'), micros);
  assert.equal(timeMicros('2026-01-02 03:04:05.6789019'), micros);
  assert.equal(timeMicros('2026-01-02T03:04:05.6Z'), timeMicros('2026-01-02T03:04:05.600000Z'));
  assert.equal(timeMicros('yesterday'), undefined);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000_000 }), (time) => {
      assert.equal(timeMicros(formatTime(time)), time);
    }),
    { examples: [[1_767_323_045_500_002]] },
  );
});

test('a key may hold an equals sign, and its position may be 0', () => {
  assert.deepEqual(keyAt('a=b=7'), { key: 'a=b', lsn: 7 });
  assert.deepEqual(keyAt('a=0'), { key: 'a', lsn: 0 });
  refused(() => keyAt('a'), /KEY=LSN/);
  refused(() => keyAt('=3'), /KEY=LSN/);
  refused(() => keyAt(`${'k'.repeat(1_025)}=3`), /1 to 1024 bytes/);
});

test('two formats at once are refused by name', () => {
  assert.equal(formatOf({ raw0: true }), 'raw0');
  assert.equal(formatOf({}), 'text');
  refused(() => formatOf({ json: true, raw: true }), /--json and --raw contradict/);
});
