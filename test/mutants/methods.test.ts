// Every method says after how much it noticed a mutant; every mutant has a method that searches.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METHODS } from './methods.ts';
import { METHOD_NAMES } from './mutant.ts';
import { MUTANTS } from './table.ts';

const PASSED = ['✔ a base is read (1.5ms)', '▶ in turn', '  ✔ first (0.2ms)', '✔ in turn (2ms)'];
const FAILED = ['✔ a trim (0.4ms)', '✖ a cut (12.25ms)', '✔ what follows (1ms)'];
const REPORT = ['ℹ tests 3', '', '✖ failing tests:', '✖ a cut (12.25ms)'];

const lines = (...texts: readonly string[]): string => `${texts.join('\n')}\n`;

test('a suite tells the test that failed, and after how many', () => {
  const { count } = METHODS['log suite'];
  assert.equal(count(lines(...FAILED, ...REPORT)), 'after 2 tests, “a cut”');
  assert.equal(count(lines(...PASSED, ...FAILED, ...REPORT)), 'after 5 tests, “a cut”');
  assert.equal(count(lines('✖ a cut (12.25ms)')), 'after 1 test, “a cut”');
});

test('what earlier commands of a suite passed counts as well', () => {
  const { count } = METHODS['controller suite'];
  assert.equal(count(lines(...FAILED, ...REPORT), lines(...PASSED)), 'after 5 tests, “a cut”');
});

const SAID: Readonly<Record<string, readonly [string, string]>> = {
  'chain walks': ['Error: seed 54, step 133: it broke', 'after 54 walks, step 133'],
  'register walks': ['  SEED=17 fails', 'after 17 walks'],
  'chain search': ['chain-pair (2 members): violated, 11 states, 20 steps', 'after 11 states'],
  'register search': ['register (3 acceptors): violated, 4317 states, 9 st', 'after 4317 states'],
  'lease search': ['lease-skew (2 clients): violated, 90 states, 95 steps', 'after 90 states'],
  'crash points': ['Error: stop 31 (sync of a segment): a batch is gone', 'after 31 stops'],
  simulation: ['seed 1: FAILED durability', 'after 1 seed, by durability'],
};

test('each method that searches says after how much', () => {
  const searching = METHOD_NAMES.filter((name) => !METHODS[name].suite);
  assert.deepEqual(Object.keys(SAID).sort(), [...searching].sort());
  for (const name of searching) {
    const [output = '', after = '?'] = SAID[name] ?? [];
    assert.ok(METHODS[name].count(output).startsWith(after), METHODS[name].count(output));
  }
});

test('every mutant names a method that searches, not only tests by hand', () => {
  const without = MUTANTS.filter(({ by }) => by.every((name) => METHODS[name].suite));
  assert.deepEqual(
    without.map(({ name }) => name),
    // See there why.
    [
      'floors-not-saved',
      'recover-takes-the-first-configuration',
      'recover-without-floors',
      'recover-without-a-generation-margin',
      'force-loss-of-a-configuration-that-moved-on',
      'propose-without-compare',
      'floors-by-position',
      'outcome-by-the-last-attempt',
      'floors-of-the-first-answer',
      'floors-kept-before-saved',
      'wedge-answered-before-it-was-told',
      'overtaken-process-counts',
      'caught-up-in-another-epoch',
      'joiner-serves-unasked',
      'keys-of-one-acceptor',
      'name-taken-twice',
      'older-set-installed',
      'read-by-value',
      'outcome-of-the-second-step',
      'seat-of-another-volume',
      'restarted-members-serve',
      'floor-of-another-start',
    ],
  );
});
