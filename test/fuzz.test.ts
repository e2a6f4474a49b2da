// A short run of the fuzzer over every decoder, from the kept corpus on, and what it must notice.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inputsOf, readCorpus } from './fuzz/corpus.ts';
import type { Decoder } from './fuzz/decoder.ts';
import { DECODERS } from './fuzz/decoders.ts';
import { fuzz } from './fuzz/fuzz.ts';
import { resolve } from './tidy/source.ts';

const INPUTS = 600;
/** A tenth is enough where an input takes a millisecond. */
const SLOW: ReadonlySet<string> = new Set(['flags', 'certificate']);

test('every decoder reads or refuses whatever it is given', async () => {
  const corpus = readCorpus();
  assert.ok(Object.keys(corpus).length > 0, 'a corpus is kept');
  const seed = Math.floor(Math.random() * 2 ** 31);
  for (const decoder of DECODERS) {
    const inputs = SLOW.has(decoder.name) ? INPUTS / 10 : INPUTS;
    const kept = inputsOf(corpus, decoder.name);
    const result = await fuzz(decoder, { inputs, seed, kept, secondsMax: 60 });
    assert.equal(result.fault, null, `${decoder.name}: ${result.fault}`);
    assert.ok(result.inputs > 0 && result.corpus.size > 0, `${decoder.name} was not fuzzed`);
  }
});

/** Rooms whose code reads what comes from outside; the others are read by tests alone. */
const ROOMS = ['protocol', 'io', 'log', 'transport', 'client', 'replica', 'operator', 'cli'];
const DECODER = /export (?:async )?(?:function|const) ((?:decode|parse|read)[A-Z]\w*)/g;
const IMPORT = /import \{([^}]*)\} from '(\.[^']*)'/g;

/** Exported under such a name and not in the table, each with the reason. */
const NOT_IN_THE_TABLE: Readonly<Record<string, string>> = {
  'log/files.ts readFully': 'gives bytes and understands none',
  'log/files.ts readFile': 'gives bytes and understands none',
  'log/disk/reader.ts readPlaced': 'what it reads is for decodeBatch',
  'log/disk/reader.ts readBase': 'what it reads is for decodeBase',
  'operator/controller/register/wire.ts readRegister': 'a part of decodeAnswer',
  'operator/controller/register/wire.ts readFloor': 'a part of decodeAnswer',
  'operator/controller/register/records.ts readSeat': 'a part of decodeSet',
  'operator/controller/register/records.ts readSet': 'what decodeSet reads, once parsed',
  'transport/convert/status-details.ts readStatusDetail': 'a part of fromStatus',
  'transport/convert/public.ts readCodec': 'in the table by its method, as every codec',
  'transport/convert/public.ts readAnswerCodec': 'in the table by its method, as every codec',
  'io/node-settings.ts readSettings': 'a part of each readCommandLine',
  'io/node-settings.ts readTls': 'a part of each readCommandLine',
  'cli/options.ts readNamedFile': 'gives bytes and understands none',
  'cli/subscribe.ts readCommand': 'a command, whose flags are in the table',
  'replica/service/data.ts readRecords': 'gives records out of a log',
};

test('every decoder that a room exports is in the table, or is left out for a reason', () => {
  const root = join(import.meta.dirname, '..');
  const imported = new Set<string>();
  for (const path of globSync('test/fuzz/*.ts', { cwd: root })) {
    for (const [, names = '', from = ''] of readFileSync(join(root, path), 'utf8').matchAll(
      IMPORT,
    )) {
      for (const name of names.split(',')) {
        imported.add(`${resolve(path, from)} ${name.trim().split(' as ')[0]}`);
      }
    }
  }
  const found = new Set<string>();
  for (const path of globSync(`{${ROOMS.join(',')}}/**/*.ts`, { cwd: root })) {
    if (path.endsWith('.test.ts')) continue;
    for (const [, name] of readFileSync(join(root, path), 'utf8').matchAll(DECODER)) {
      found.add(`${path} ${name}`);
    }
  }
  assert.ok(found.size > 20, `only ${found.size} decoders were found`);
  const missing = [...found].filter((one) => !imported.has(one) && !(one in NOT_IN_THE_TABLE));
  assert.deepEqual(missing, [], 'put it into test/fuzz/, or here with the reason');
  const stale = Object.keys(NOT_IN_THE_TABLE).filter((one) => !found.has(one) || imported.has(one));
  assert.deepEqual(stale, [], 'these reasons are of no use any more');
});

test('a corpus is kept of every decoder, and of nothing else', () => {
  const corpus = readCorpus();
  const without = DECODERS.filter(({ name }) => inputsOf(corpus, name).length === 0);
  assert.deepEqual(
    without.map(({ name }) => name),
    [],
    'npm run fuzz -- --keep',
  );
  const names = new Set(DECODERS.map(({ name }) => name));
  assert.deepEqual(
    Object.keys(corpus).filter((name) => !names.has(name)),
    [],
  );
});

test('of inputs that come to the same the shortest is kept', async () => {
  const decoder: Decoder = {
    ...broken(() => 7),
    seeds: () => [Buffer.from('a long one'), Buffer.from('b')],
  };
  const { corpus } = await fuzz(decoder, { inputs: 2, seed: 1, kept: [], secondsMax: 60 });
  assert.deepEqual([...corpus.values()].map(String), ['b']);
});

const broken = (decode: Decoder['decode']): Decoder => ({
  name: 'broken',
  seeds: () => [Buffer.from('seed')],
  decode,
});

for (const [what, decode, says] of [
  ['crash', (bytes) => JSON.parse(Buffer.from(bytes).toString()), /SyntaxError/],
  ['unbounded allocation', () => Buffer.alloc(100_000_000).length, /asked for 100000000 bytes/],
  [
    'hang',
    () => {
      const { user } = process.cpuUsage();
      let turns = 0;
      while (process.cpuUsage().user - user < 800_000) {
        for (let turn = 0; turn < 1e6; turn += 1) turns += turn;
      }
      return turns;
    },
    /of processor time/,
  ],
] satisfies readonly [string, Decoder['decode'], RegExp][]) {
  test(`a ${what} is noticed`, async () => {
    const options = { inputs: 20, seed: 1, kept: [], secondsMax: 60 };
    const { fault } = await fuzz(broken(decode), options);
    assert.match(fault ?? 'nothing', says);
  });
}

test('a decoder that has no end is told with its input, and the next one has its turn', () => {
  // In the thread that fuzzes, of the text that the second decoder begins with.
  const planted = `
    import { isMainThread } from 'node:worker_threads';
    const { parse } = JSON;
    if (!isMainThread) JSON.parse = (text) => {
      while (String(text).includes('"ownerUid"')) continue;
      return parse(text);
    };
  `;
  const preload = `data:text/javascript,${encodeURIComponent(planted)}`;
  const main = join(import.meta.dirname, 'fuzz/main.ts');
  const args = ['--import', preload, main, '--inputs', '50', 'contacts', 'ledger', 'policy'];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.match(stdout, /^contacts: 50 inputs/m);
  assert.match(
    stdout,
    /^ledger: 0 inputs.*\n {2}FAULT no end after 5 s .*\(input 0 of seed 1: 7b22/m,
  );
  assert.match(stdout, /^policy: 50 inputs/m);
  assert.match(stdout, /^2 passed, 1 failed$/m);
  assert.equal(status, 1);
});

test('one decoder is tried after another', () => {
  const main = join(import.meta.dirname, 'fuzz/main.ts');
  const args = [main, '--inputs', '20', 'contacts', 'ledger', 'policy'];
  const options = { encoding: 'utf8', timeout: 60_000 } as const;
  const { status, stdout } = spawnSync(process.execPath, args, options);
  assert.match(stdout, /^contacts: 20 .*\nledger: 20 .*\npolicy: 20 .*\n3 passed, 0 failed$/m);
  assert.equal(status, 0);
});
