// The decoders of what comes over the network, and of what a person types.

import fc from 'fast-check';
import { buildProgram } from '../../cli/program.ts';
import type { Codec } from '../../io/network.ts';
import * as methods from '../../transport/methods.ts';
import { MESSAGES } from '../messages.ts';
import type { Decoder } from './decoder.ts';

interface AnyMethod {
  readonly path: string;
  readonly request: Codec<unknown>;
  readonly response: Codec<unknown>;
}

const all = Object.values(methods)
  .flatMap((service) => Object.values<unknown>(service))
  .map((method) => method as AnyMethod);

const SAMPLES = 24;

/** `Journal/Append` of `/journal.v1.Journal/Append`. */
const shortened = (path: string): string => path.split('.').at(-1) ?? path;

function codecs({ path, request, response }: AnyMethod): Decoder[] {
  const [question, answer] = MESSAGES[path] ?? [fc.constant({}), fc.constant({})];
  const of = (codec: Codec<unknown>, message: fc.Arbitrary<unknown>, end: string): Decoder => ({
    name: `${shortened(path)}/${end}`,
    seeds: () => fc.sample(message, { numRuns: SAMPLES, seed: 7 }).map((one) => codec.encode(one)),
    decode: (bytes) => codec.decode(bytes),
  });
  return [of(request, question, 'request'), of(response, answer, 'answer')];
}

const LINES = [
  'append orders --expect-tail 41 -q',
  'append orders --key k --expect-key k=3 --fence k=9 --idempotency-key x --json',
  'create orders --if-absent --retain 7d --retain 100GiB',
  'subscribe orders --from 2026-01-02T03:04:05Z --until-end --cursor c --raw0',
  'read orders --from 10 --limit 5',
  'trim orders --through 1000 --force',
  'lead orders --key worker -- ./run.sh --flag',
  'bench append --journal orders --size 256 --outstanding 256 --seconds 10',
  'status --wait --json --endpoints 127.0.0.1:7401,127.0.0.1:7402 --timeout 5s',
  'admin member replace a b',
  'replica --data d --print-config',
  'cursor set orders c 7',
];

/** The command tree without what its commands do; errors come out as exceptions, as in the tool. */
function inertProgram(): ReturnType<typeof buildProgram> {
  const program = buildProgram();
  const still = (command: typeof program): void => {
    command.exitOverride();
    command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
    if (command.commands.length === 0) command.action(() => {});
    for (const below of command.commands) still(below);
  };
  still(program);
  return program;
}

let tree: ReturnType<typeof buildProgram> | null = null;

const flags: Decoder = {
  name: 'flags',
  seeds: () => LINES.map((line) => Buffer.from(line.replaceAll(' ', '\0'))),
  // A command forgets what it parsed before, so one tree is enough.
  decode: (bytes) => {
    const words = Buffer.from(bytes).toString('utf8').split('\0');
    tree ??= inertProgram();
    tree.parse(words, { from: 'user' });
    return words.length;
  },
};

export const WIRE: readonly Decoder[] = [...all.flatMap(codecs), flags];
