// Fuzzes every decoder: no crash, no hang, no unbounded allocation, whatever the bytes.
//
// Exit code 0: all read or refused what they were given; 1: a fault; 2: wrong use.

import { parseArgs } from 'node:util';
import { endWithReader } from '../../io/node-process.ts';
import { inputsOf, keep, readCorpus } from './corpus.ts';
import { DECODERS } from './decoders.ts';
import { FuzzThread } from './thread.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const USAGE = `npm run fuzz [-- FLAG… DECODER…]   all, or what begins with a DECODER

--inputs N    inputs for each decoder (1000000)
--seconds N   at most so long for each
--seed N      another order of mutations (1)
--keep        write what was learned into the corpus
`;

class WrongUse extends Error {}

function whole(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new WrongUse(`--${flag} is "${text}", allowed is a whole number from 1`);
}

function parsed(): ReturnType<typeof parseFlags> {
  try {
    return parseFlags();
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error));
  }
}

const parseFlags = () =>
  parseArgs({
    allowPositionals: true,
    options: {
      inputs: { type: 'string', default: '1000000' },
      seconds: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });

async function main(): Promise<number> {
  endWithReader();
  const { values, positionals } = parsed();
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const inputs = whole('inputs', values.inputs);
  const secondsMax = whole('seconds', values.seconds);
  const seed = whole('seed', values.seed);
  for (const name of positionals) {
    if (DECODERS.some((decoder) => decoder.name.startsWith(name))) continue;
    const known = DECODERS.map((decoder) => decoder.name).join(', ');
    throw new WrongUse(`there is no decoder "${name}"; there are ${known}`);
  }
  const asked = DECODERS.filter(
    ({ name }) => positionals.length === 0 || positionals.some((start) => name.startsWith(start)),
  );
  const corpus = readCorpus();
  const learned = new Map<string, ReadonlyMap<string, Uint8Array>>();
  let faults = 0;
  const thread = new FuzzThread();
  for (const { name } of asked) {
    const kept = inputsOf(corpus, name);
    const result = await thread.fuzz({ name, inputs, seed, kept, secondsMax });
    learned.set(name, result.corpus);
    const rate = Math.round(result.inputs / result.seconds);
    const outcomes = `${result.refused} refused, ${result.corpus.size} outcomes`;
    say(`${name}: ${result.inputs} inputs, ${rate} a second, ${outcomes}`);
    if (result.fault === null) continue;
    faults += 1;
    say(`  FAULT ${result.fault}`);
  }
  await thread.close();
  if (values.keep) keep(learned);
  say(`${asked.length - faults} passed, ${faults} failed`);
  return faults === 0 && asked.length > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof WrongUse)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
