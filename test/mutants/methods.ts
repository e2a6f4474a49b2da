// What each method runs in the copy of the tree, and how it says after how much it found something.

import { globSync } from 'node:fs';
import type { MethodName, Mutant } from './mutant.ts';

export interface Effort {
  readonly walks: number;
  readonly registerWalks: number;
  readonly searchSeconds: number;
  readonly seeds: number;
  readonly seedMinutes: number;
  /** Longest time of one command. */
  readonly secondsMax: number;
  /** Methods that take too long for what they add. */
  readonly without: readonly MethodName[];
}

export const FULL: Effort = {
  walks: 3_000,
  registerWalks: 2_000,
  searchSeconds: 120,
  seeds: 40,
  seedMinutes: 8,
  secondsMax: 900,
  without: [],
};

export const QUICK: Effort = {
  walks: 200,
  registerWalks: 300,
  searchSeconds: 6,
  seeds: 0,
  seedMinutes: 1,
  secondsMax: 300,
  without: ['client suite'],
};

/** One command: `node` with these arguments. */
export interface Run {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

interface Method {
  /** True where the tests were written by hand for the rule: no search, no chance. */
  readonly suite: boolean;
  readonly runs: (effort: Effort, mutant: Pick<Mutant, 'sim'>, root: string) => readonly Run[];
  /**
   * Where the code as it is may fail by chance too: the same run of it, and where to go on with the
   * mutant if that fails as well. Null where what failed cannot be told.
   */
  readonly doubt?: (output: string, run: Run) => { readonly same: Run; readonly next: Run } | null;
  /**
   * After how many seeds, states, stops or tests, from what was printed: by the command that
   * failed, and by those of the same method before it.
   */
  readonly count: (output: string, before?: string) => string;
}

const found = (output: string, pattern: RegExp, words: (groups: readonly string[]) => string) => {
  const match = pattern.exec(output);
  return match === null ? '' : words(match.slice(1));
};

/** “after 1 walk”, “after 2 walks”. */
const after = (count: number | string, what: string): string =>
  `after ${count} ${what}${Number(count) === 1 ? '' : 's'}`;

const RESULT = /^\s*[✔✖] .* \([\d.]+ms\)/gm;
const FAILURE = /^\s*✖ (.*?) \([\d.]+ms\)/m;

/**
 * The first test that failed, in the order in which they are told, and which one it was: those that
 * passed in commands before count as well.
 */
function failed(output: string, before = ''): string {
  const first = FAILURE.exec(output);
  if (first === null) return '';
  const tests = `${before}\n${output.slice(0, first.index + first[0].length)}`;
  const count = [...tests.matchAll(RESULT)].length;
  return `${after(count, 'test')}, “${first[1]}”`;
}

/** Tests of a part of the house, in turn; what runs in moments comes first. */
function suite(...parts: readonly (readonly string[])[]): Method {
  return {
    suite: true,
    runs: (_effort, _mutant, root) =>
      parts.map((patterns) => {
        const files = globSync([...patterns], { cwd: root }).sort();
        return { args: ['--test', ...files], env: {} };
      }),
    count: failed,
  };
}

function search(...scopes: readonly string[]): Method {
  return {
    suite: false,
    runs: ({ searchSeconds }) =>
      scopes.map((scope) => ({
        args: ['sim/explore/main.ts', '--seconds', `${searchSeconds}`, '--found', scope],
        env: {},
      })),
    count: (output) =>
      found(output, /^(\S+) .*violated, (\d+) states/m, ([scope, states = '']) => {
        return `${after(states, 'state')} of ${scope}`;
      }),
  };
}

const env = (name: string, value: number): Run['env'] => ({ [name]: `${value}` });

const flag = ({ args }: Run, name: string): string => args[args.indexOf(name) + 1] ?? '';
const replaced = (args: readonly string[], name: string, value: string): readonly string[] =>
  args.map((word, at) => (args[at - 1] === name ? value : word));

export const METHODS: Readonly<Record<MethodName, Method>> = {
  'protocol suite': suite(['test/chain/*.test.ts', 'protocol/**/!(random).test.ts']),
  'log suite': suite(['log/!(crash).test.ts']),
  'controller suite': suite(
    ['operator/controller/decide.test.ts', 'operator/controller/decide/*.test.ts'],
    ['operator/controller/!(decide).test.ts', 'operator/controller/!(decide)/**/*.test.ts'],
  ),
  'client suite': suite(['client/*.test.ts', 'test/client/*.test.ts']),
  'replica suite': suite(['replica/**/*.test.ts', 'test/replica/*.test.ts']),
  'chain walks': {
    suite: false,
    runs: ({ walks }) => [{ args: ['sim/explore/chain.test.ts'], env: env('WALKS', walks) }],
    count: (output) =>
      found(output, /seed (\d+), step (\d+)/, ([seed = '', step]) => {
        return `${after(seed, 'walk')}, step ${step}`;
      }),
  },
  'register walks': {
    suite: false,
    runs: ({ registerWalks }) => [
      { args: ['protocol/paxos/random.test.ts'], env: env('SEEDS', registerWalks) },
      { args: ['sim/spec/spec.test.ts'], env: env('WALKS', registerWalks) },
    ],
    count: (output) =>
      found(output, /(?:SEED=|seed )(\d+)/, ([seed = '']) => after(seed, 'walk')) || failed(output),
  },
  'chain search': search('chain-pair', 'chain-read', 'chain-join', 'chain-losses'),
  'register search': search('register'),
  'lease search': search('lease', 'lease-skew'),
  'crash points': {
    suite: false,
    runs: () => [
      { args: ['log/crash.test.ts'], env: {} },
      { args: ['test/crash/volume.test.ts'], env: {} },
    ],
    count: (output) =>
      found(output, /stop (\d+) \(/, ([stop = '']) => after(stop, 'stop')) || failed(output),
  },
  simulation: {
    suite: false,
    runs: ({ seeds, seedMinutes }, { sim = [] }) => {
      if (seeds === 0) return [];
      const flags = ['--seeds', `${seeds}`, '--from', '1', '--failures', '1'];
      const args = ['sim/main.ts', ...flags, '--budget', `${seedMinutes}m`, ...sim];
      return [{ args, env: {} }];
    },
    doubt: (output, run) => {
      const seed = /seed (\d+): FAILED/.exec(output)?.[1];
      if (seed === undefined) return null;
      const left = Number(flag(run, '--from')) + Number(flag(run, '--seeds')) - Number(seed) - 1;
      const from = (first: number, count: number): Run => {
        const args = replaced(replaced(run.args, '--from', `${first}`), '--seeds', `${count}`);
        return { ...run, args };
      };
      return { same: from(Number(seed), 1), next: from(Number(seed) + 1, Math.max(1, left)) };
    },
    count: (output) =>
      found(output, /seed (\d+): FAILED (\S+)/, ([seed = '', by]) => {
        return `${after(seed, 'seed')}, by ${by}`;
      }),
  },
};
