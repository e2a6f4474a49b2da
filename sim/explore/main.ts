// Searches small worlds of the real machines exhaustively: `node sim/explore/main.ts [SCOPE …]`.
//
// Without a name: the scopes that complete in a few minutes. Each prints how many states there are,
// how long it took, and "complete" or how far it came. A violation prints its path. With --states
// and --seconds a search stops early, which is a failure unless --found asks for violations only.

import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { chainScope } from './chain-scope.ts';
import type { ChainScope } from './chain-world.ts';
import { leaseScope } from './lease-scope.ts';
import { registerScope } from './register-scope.ts';
import { type Scope, search } from './search.ts';

const CHAIN: ChainScope = {
  stores: 2,
  initial: 2,
  epochs: 1,
  appends: 0,
  crashes: 0,
  cuts: 0,
  reads: 0,
  trims: 0,
  losses: 0,
  minReplicas: 1,
  patient: true,
};

interface Entry {
  readonly what: string;
  /** Completes in minutes: searched when no scope is named. */
  readonly small: boolean;
  readonly run: (limits: Limits) => boolean;
}

interface Limits {
  /** Only a violation counts as a failure, not a search that had to stop. */
  readonly foundOnly: boolean;
  readonly statesMax: number;
  readonly secondsMax: number;
}

function chain(name: string, what: string, bounds: Partial<ChainScope>, small = true): Entry {
  return entry(what, small, chainScope(name, { ...CHAIN, ...bounds }));
}

function entry<World, Action>(what: string, small: boolean, scope: Scope<World, Action>): Entry {
  return { what, small, run: (limits) => explore(scope, what, limits) };
}

const ENTRIES: Readonly<Record<string, Entry>> = {
  'chain-pair': chain('chain-pair', '2 members, 2 epochs, 2 records, 1 crash', {
    epochs: 2,
    appends: 2,
    crashes: 1,
  }),
  'chain-three': chain('chain-three', '3 members, 2 epochs, 1 record, 1 crash', {
    stores: 3,
    initial: 3,
    epochs: 2,
    appends: 1,
    crashes: 1,
  }),
  'chain-join': chain('chain-join', '2 members and 1 joining, 3 epochs, 1 record', {
    stores: 3,
    epochs: 3,
    appends: 1,
  }),
  'chain-read': chain('chain-read', '2 members, 2 epochs, 1 record, 1 read', {
    epochs: 2,
    appends: 1,
    reads: 1,
  }),
  'chain-losses': chain(
    'chain-losses',
    '2 members, 3 epochs, 2 records, 1 crash, 1 old copy or lost end',
    { epochs: 3, appends: 2, crashes: 1, losses: 1 },
    false,
  ),
  lease: entry(
    '2 clients, a lease of 2 ticks, 3 records, clocks that agree',
    true,
    leaseScope('lease', { nodes: 2, lease: 2, slack: 0, skew: 0, records: 3, flying: 1 }),
  ),
  'lease-long': entry(
    '2 clients, a lease of 2 ticks, 4 records, clocks that agree',
    false,
    leaseScope('lease-long', { nodes: 2, lease: 2, slack: 0, skew: 0, records: 4, flying: 1 }),
  ),
  'lease-skew': entry(
    '2 clients, a lease of 1 tick and a slack of 2, 3 records, clocks 1 tick apart',
    true,
    leaseScope('lease-skew', { nodes: 2, lease: 1, slack: 2, skew: 1, records: 3, flying: 1 }),
  ),
  register: entry(
    '3 acceptors, 2 proposers, 2 ballots, 1 crash',
    true,
    registerScope('register', { acceptors: 3, proposers: 2, ballots: 1, crashes: 1, losses: 0 }),
  ),
  'register-retry': entry(
    '3 acceptors, 2 proposers of 2 ballots each, 1 attempt given up',
    false,
    registerScope('register-retry', {
      acceptors: 3,
      proposers: 2,
      ballots: 2,
      crashes: 0,
      losses: 1,
    }),
  ),
};

function digest(canonical: string): string {
  return createHash('md5').update(canonical).digest('base64').slice(0, 16);
}

/** True when nothing was violated, and the search completed where that is asked for. */
function explore<World, Action>(
  scope: Scope<World, Action>,
  what: string,
  limits: Limits,
): boolean {
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const result = search(
    scope,
    {
      statesMax: limits.statesMax,
      over: () => seconds() > limits.secondsMax,
      progress: ({ states }) => {
        if (process.stderr.isTTY) process.stderr.write(`\r${scope.name}: ${states} states`);
      },
    },
    digest,
  );
  if (process.stderr.isTTY) process.stderr.write('\r');
  const { states, steps, depth } = result;
  const verdict = result.kind === 'gaveUp' ? 'not complete' : result.kind;
  const counts = `${states} states, ${steps} steps, depth ${depth}, ${seconds().toFixed(1)} s`;
  process.stdout.write(`${scope.name} (${what}): ${verdict}, ${counts}\n`);
  if (result.kind === 'violated') {
    for (const action of result.path) process.stdout.write(`  ${JSON.stringify(action)}\n`);
    process.stdout.write(`  ${String(result.error)}\n`);
  }
  return result.kind === 'complete' || (limits.foundOnly && result.kind === 'gaveUp');
}

function wholeNumber(name: string, given: string): number {
  const value = Number(given);
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`${name} is ${given}, allowed is a whole number from 1\n`);
  return process.exit(2);
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      states: { type: 'string', default: '20000000' },
      seconds: { type: 'string', default: '900' },
      found: { type: 'boolean', default: false },
    },
  });
  const limits = {
    foundOnly: values.found,
    statesMax: wholeNumber('--states', values.states),
    secondsMax: wholeNumber('--seconds', values.seconds),
  };
  const small = Object.keys(ENTRIES).filter((name) => ENTRIES[name]?.small);
  const names = positionals.length > 0 ? positionals : small;
  let passed = 0;
  for (const name of names) {
    const found = ENTRIES[name];
    if (found === undefined) {
      const known = Object.entries(ENTRIES).map(([scope, { what }]) => `  ${scope}: ${what}`);
      process.stderr.write(`no scope ${name}; there are\n${known.join('\n')}\n`);
      process.exit(2);
    }
    if (found.run(limits)) passed += 1;
  }
  process.stdout.write(`${passed} passed, ${names.length - passed} failed\n`);
  if (passed < names.length) process.exitCode = 1;
}

main();
