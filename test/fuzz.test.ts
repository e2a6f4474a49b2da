// A short run of the fuzzer over every decoder, from the kept corpus on, and what it must notice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputsOf, readCorpus } from './fuzz/corpus.ts';
import type { Decoder } from './fuzz/decoder.ts';
import { DECODERS } from './fuzz/decoders.ts';
import { fuzz } from './fuzz/fuzz.ts';

const INPUTS = 600;
const SLOW: ReadonlySet<string> = new Set(['flags']);

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
