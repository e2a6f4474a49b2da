// Settings of a process: where each comes from, and what is refused in which words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zone } from '../protocol/types.ts';
import {
  flag,
  flagRows,
  isAddress,
  readSettings,
  readTls,
  SettingError,
  tlsFlags,
  type Vocabulary,
} from './node-settings.ts';

const words: Vocabulary = {
  command: 'journal thing',
  prefix: 'THING_',
  switches: ['print-config'],
  flags: [
    flag('zone', 'ZONE', 'a', 'where'),
    flag('listen-at', 'HOST:PORT', '', 'at'),
    flag('count', 'COUNT', '3', 'how many'),
    ...tlsFlags('thing'),
  ],
};

const read = (args: string, env = {}) => readSettings(words, args.split(' ').filter(Boolean), env);

test('the flag wins over the environment, which wins over the fallback', () => {
  assert.equal(read('').text('zone'), 'a');
  assert.equal(read('', { THING_ZONE: 'b' }).text('zone'), 'b');
  assert.equal(read('--zone c', { THING_ZONE: 'b' }).text('zone'), 'c');
  assert.equal(read('--print-config').on('print-config'), true);
  assert.equal(read('').on('print-config'), false);
  assert.equal(read('').addressOrNone('listen-at'), '');
  assert.deepEqual(read('--listen-at a:1,b:2').addresses('listen-at', 2), ['a:1', 'b:2']);
});

test('what is wrong is refused by field, value and range', () => {
  const refusals: readonly (readonly [() => unknown, RegExp])[] = [
    [() => read('--zones x'), /--zones.*; journal thing --help lists every flag/],
    [() => read('stray'), /stray/],
    [() => read('--count 9').count('count', 1, 8), /^--count \(THING_COUNT\) is "9".* 1 to 8$/],
    [() => read('--count 1.5').count('count', 1, 8), /is "1.5", allowed is a whole number/],
    [() => read('').required('listen-at'), /\(THING_LISTEN_AT\) is "", allowed is .* required/],
    [() => read('--listen-at x').address('listen-at'), /is "x", allowed is HOST:PORT/],
    [() => read('--listen-at a:1,b').addresses('listen-at', 2), /is "b", allowed is HOST:PORT/],
    [() => read('--listen-at a:1,b:2').addresses('listen-at', 1), /allowed is 1 to 1 addresses/],
    [() => read('--zone A_').made('zone', zone), /^--zone \(THING_ZONE\) is "A_", allowed is/],
    [() => read('--zone z').oneOf('zone', ['x', 'y']), /is "z", allowed is x, y$/],
    [() => readTls(read('--tls-cert c')), /--tls-key is left out, allowed is both or neither/],
    [() => readTls(read('--tls-ca c')), /--tls-cert is left out/],
    [() => readTls(read('--authorization f')), /allowed is --authorization with --tls-ca/],
  ];
  for (const [what, says] of refusals) {
    assert.throws(what, (error) => error instanceof SettingError && says.test(error.message));
  }
});

test('addresses are HOST:PORT', () => {
  for (const good of ['a:0', '127.0.0.1:7401', '[::1]:65535']) assert.ok(isAddress(good), good);
  for (const bad of ['', 'a', ':1', 'a:65536', 'a:x', '::1:7', 'a b:1', 'a:1,b:2']) {
    assert.ok(!isAddress(bad), bad);
  }
});

test('the help has each flag, its fallback and its variable', () => {
  const rows = flagRows(words);
  assert.match(rows, /--zone ZONE +where \[a\]\n +THING_ZONE\n/);
  assert.match(rows, /--listen-at HOST:PORT +at\n/);
});
