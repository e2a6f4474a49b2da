// Searches small worlds of the real machines exhaustively: `node sim/explore/main.ts [SCOPE …]`.
//
// Without a name: the scopes that complete in a few minutes, as many at a time as there are
// processors. Each prints how many states there are, how long it took, and "complete" or how far it
// came; every few seconds it says where it is, to stderr. A violation prints its path. With
// --states, --seconds and --memory (MiB, of the table of states) a search stops early, which is a
// failure unless --found asks for violations only. Exit code 0: all that was asked for completed;
// 1: a violation, or a search that had to stop; 2: wrong use.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { endWithReader } from '../../io/node-process.ts';
import type { ChainScope } from './chain-parts.ts';
import { leanRegisterScope } from './lean/register.ts';
import { chainScope } from './lean/scope.ts';
import { leaseScope } from './lease-scope.ts';
import type { RegisterScope } from './register-scope.ts';
import { type Scope, type SearchProgress, search } from './search.ts';

const SECONDS_BETWEEN_WORDS = 8;
/** Of the heap as V8 makes it by default: as measured, a limit of n MiB shows as n + 192. */
const YOUNG_BYTES_MAX = 192 * 2 ** 20;

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
  lean: true,
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
  readonly bytesMax: number;
  readonly secondsMax: number;
}

function chain(name: string, what: string, bounds: Partial<ChainScope>, small = true): Entry {
  return entry(what, small, chainScope(name, { ...CHAIN, ...bounds }));
}

function register(name: string, what: string, bounds: Partial<RegisterScope>, small = true): Entry {
  const least = { acceptors: 3, proposers: 2, ballots: 1, crashes: 0, losses: 0 };
  return entry(what, small, leanRegisterScope(name, { ...least, ...bounds }));
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
  register: register('register', '3 acceptors, 2 proposers, a ballot each, 1 crash', {
    crashes: 1,
  }),
  'register-ballots': register('register-ballots', '3 acceptors, 2 proposers of 2 ballots each', {
    ballots: 2,
  }),
  'register-retry': register(
    'register-retry',
    '3 acceptors, 2 proposers of 2 ballots each, 1 attempt given up',
    { ballots: 2, losses: 1 },
    false,
  ),
  'register-crash': register(
    'register-crash',
    '3 acceptors, 2 proposers of 2 ballots each, 1 crash',
    { ballots: 2, crashes: 1 },
    false,
  ),
};

/** True when nothing was violated, and the search completed where that is asked for. */
function explore<World, Action>(
  scope: Scope<World, Action>,
  what: string,
  limits: Limits,
): boolean {
  const began = performance.now();
  const used = process.threadCpuUsage();
  const seconds = (): number => (performance.now() - began) / 1000;
  const result = search(scope, {
    statesMax: limits.statesMax,
    bytesMax: limits.bytesMax,
    over: () => seconds() > limits.secondsMax,
    full: heapIsFull,
    progress: teller(scope.name, seconds),
  });
  const { states, steps, depth } = result;
  const verdict = result.kind === 'gaveUp' ? 'not complete' : result.kind;
  const counts = `${states} states, ${steps} steps, depth ${depth}`;
  const core = process.threadCpuUsage(used).user / 1e6;
  const times = `${seconds().toFixed(1)} s (${core.toFixed(1)} s of a core)`;
  const lines = [`${scope.name} (${what}): ${verdict}, ${counts}, ${times}`];
  if (result.kind === 'gaveUp') lines.push(`  ${stopped(result.because, limits)}`);
  if (result.kind === 'violated') {
    lines.push(...result.path.map((action) => `  ${JSON.stringify(action)}`));
    lines.push(`  ${String(result.error)}`);
  }
  tell({ found: `${lines.join('\n')}\n` });
  return result.kind === 'complete' || (limits.foundOnly && result.kind === 'gaveUp');
}

/** What a thread says of its search. */
type Word =
  | { readonly progress: string }
  | { readonly found: string }
  | { readonly passed: boolean };

/** Its own streams would keep what it says until the search is over, and longer. */
function tell(word: Word): void {
  parentPort?.postMessage(word);
}

/** Says every few seconds how far a search is, and how fast it has been since it last said so. */
function teller(name: string, seconds: () => number): (found: SearchProgress) => void {
  let last = { at: 0, states: 0 };
  return ({ states, depth, open }) => {
    const at = seconds();
    if (at - last.at < SECONDS_BETWEEN_WORDS) return;
    const rate = Math.round((states - last.states) / (at - last.at));
    const where = `${states} states, ${open} choices open, depth ${depth}`;
    tell({ progress: `${name}: ${at.toFixed(0)} s, ${where}, ${rate} states a second\n` });
    last = { at, states };
  };
}

/** What lives long has to fit beside the young generation, which the limit counts as well. */
function heapIsFull(): boolean {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  return used > (limit - YOUNG_BYTES_MAX) * 0.9;
}

/** How far a search came, and what would take it further. */
function stopped(because: 'limit' | 'memory' | 'heap', limits: Limits): string {
  if (because === 'heap') {
    const mib = Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20);
    const more = `NODE_OPTIONS=--max-old-space-size=${mib * 2} allows twice as much`;
    return `what is remembered of sites does not fit into a heap of ${mib} MiB: ${more}`;
  }
  if (because === 'limit') return 'stopped by --states or --seconds: more of either goes further';
  const mib = limits.bytesMax / 2 ** 20;
  const more = 'allow more, or search a smaller scope';
  return `the states do not fit into the ${mib} MiB that --memory allows: ${more}`;
}

function wholeNumber(name: string, given: string): number {
  const value = Number(given);
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`${name} is ${given}, allowed is a whole number from 1\n`);
  return process.exit(2);
}

const USAGE = `npm run explore [-- SCOPE …]   all orders of everything in small worlds

Without a SCOPE: those marked with *, which complete in a few minutes.
--states N    stop after so many states (100000000)
--seconds N   stop after so long (900)
--memory MIB  stop when the table of states is so big (2048)
--found       only a violation is a failure, not a search that had to stop
`;

const scopes = (): string =>
  Object.entries(ENTRIES)
    .map(([name, { what, small }]) => `${small ? '*' : ' '} ${name}: ${what}\n`)
    .join('');

interface Asked {
  readonly states: string;
  readonly seconds: string;
  readonly memory: string;
  readonly found: boolean;
  readonly names: readonly string[];
}

function asked(): Asked {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        states: { type: 'string', default: '100000000' },
        seconds: { type: 'string', default: '900' },
        memory: { type: 'string', default: '2048' },
        found: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${USAGE}\n${scopes()}`);
      return process.exit(0);
    }
    return { ...values, names: positionals };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return process.exit(2);
  }
}

/** Each in a thread of its own; how many passed. */
async function searchAll(names: readonly string[], limits: Limits): Promise<number> {
  const waiting = [...names];
  let passed = 0;
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const worker = new Worker(import.meta.filename, { workerData: { name, limits } });
      const ok = await new Promise<boolean>((resolve, reject) => {
        worker.on('message', (word: Word) => {
          if ('passed' in word) resolve(word.passed);
          else if ('found' in word) process.stdout.write(word.found);
          else process.stderr.write(word.progress);
        });
        worker.once('error', reject);
        worker.once('exit', (code) => reject(new Error(`${name} ended early, code ${code}`)));
      });
      if (ok) passed += 1;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return passed;
}

async function main(): Promise<void> {
  endWithReader();
  const values = asked();
  const limits = {
    foundOnly: values.found,
    statesMax: wholeNumber('--states', values.states),
    bytesMax: wholeNumber('--memory', values.memory) * 2 ** 20,
    secondsMax: wholeNumber('--seconds', values.seconds),
  };
  const small = Object.keys(ENTRIES).filter((name) => ENTRIES[name]?.small);
  const names = values.names.length > 0 ? values.names : small;
  const unknown = names.find((name) => !Object.hasOwn(ENTRIES, name));
  if (unknown !== undefined) {
    process.stderr.write(`no scope ${unknown}; there are\n${scopes()}`);
    process.exit(2);
  }
  const passed = await searchAll(names, limits);
  process.stdout.write(`${passed} passed, ${names.length - passed} failed\n`);
  if (passed < names.length) process.exitCode = 1;
}

if (isMainThread) await main();
else {
  const { name, limits } = workerData;
  tell({ passed: ENTRIES[name]?.run(limits) ?? false });
}
