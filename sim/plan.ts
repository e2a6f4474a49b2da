// What the command line of the simulator asks for; wrong use gets a sentence.

import { FAULT_NAMES } from './faults/kinds.ts';
import type { RunOptions } from './run.ts';

export interface Plan {
  readonly seeds: Iterator<string, undefined>;
  /** No seed begins after so long. */
  readonly budgetMillis: number;
  /** No seed begins after so many have failed. */
  readonly failuresMax: number;
  /** One seed, run two times over. */
  readonly twice: boolean;
  readonly verbose: boolean;
  readonly threads: number;
  readonly options: Omit<RunOptions, 'seed'>;
  /** What is run, in a few words. */
  readonly about: string;
  /** Flags that a failing seed needs to fail again. */
  readonly again: string;
}

export const USAGE = `node sim/main.ts --seeds N | --seed S | --swarm TIME
  --seeds N        N seeds, counted up from a random one, or from --from
  --seed S         one seed, twice: both traces must agree
  --swarm TIME     new seeds for 90s, 10m or 2h; --seconds N is the same
  --budget TIME    with --seeds: no seed begins after this
  --from B         the first of the seeds, a whole number
  --events N       events that a run suffers for, 20000 by default
  --kind KIND      available or anything; drawn by default
  --faults A,B     only these faults: ${FAULT_NAMES.join(' ')}
  --failures N     stop after so many failures, 5 by default
  --threads N      as many as there are processors by default
  --verbose        say something of each seed, and tell the story of a failure`;

export class WrongUse extends Error {}

const VALUES = [
  ...['seeds', 'seed', 'swarm', 'seconds', 'budget', 'from', 'events', 'kind', 'faults'],
  ...['failures', 'threads'],
];

/** Null where only help is asked for; throws WrongUse. `draw` gives the first seed. */
export function parsePlan(args: readonly string[], draw: () => number): Plan | null {
  const flags = readFlags(args);
  if (flags.has('help')) return null;
  const modes = ['seeds', 'seed', 'swarm', 'seconds'].filter((name) => flags.has(name));
  if (modes.length !== 1) {
    throw new WrongUse(`give one of --seeds, --seed, --swarm and --seconds, not ${modes.length}`);
  }
  const from = flags.has('from') ? whole(flags, 'from', 0) : draw();
  const seeds = flags.has('seeds') ? whole(flags, 'seeds', 1) : Number.POSITIVE_INFINITY;
  const seed = flags.has('seed') ? String(whole(flags, 'seed', 0)) : undefined;
  const swarm = flags.get('swarm') ?? (flags.has('seconds') ? `${flags.get('seconds')}s` : null);
  const budget = swarm ?? flags.get('budget') ?? null;
  const options = {
    events: flags.has('events') ? whole(flags, 'events', 1) : 20_000,
    budget: kindOf(flags.get('kind')),
    faults: faultsOf(flags.get('faults')),
  };
  const kept = ['events', 'kind', 'faults'].flatMap((name) =>
    flags.has(name) ? [`--${name} ${flags.get(name)}`] : [],
  );
  return {
    seeds: seed === undefined ? counted(from, seeds) : [seed].values(),
    budgetMillis: budget === null ? Number.POSITIVE_INFINITY : millisOf(budget),
    failuresMax: flags.has('failures') ? whole(flags, 'failures', 1) : 5,
    twice: seed !== undefined,
    verbose: flags.has('verbose') || seed !== undefined,
    threads: flags.has('threads') ? whole(flags, 'threads', 1) : 64,
    options,
    about: seed === undefined ? `seeds from ${from} on` : `seed ${seed}, twice`,
    again: kept.join(' '),
  };
}

function* counted(from: number, count: number): Generator<string, undefined> {
  for (let at = 0; at < count; at += 1) yield String(from + at);
  return undefined;
}

function readFlags(args: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>();
  for (let at = 0; at < args.length; at += 1) {
    const [, name = '', , inline] = /^--([a-z]+)(=(.*))?$/.exec(args[at] ?? '') ?? [];
    if (name === 'verbose' || name === 'help') {
      flags.set(name, '');
      continue;
    }
    if (!VALUES.includes(name)) {
      throw new WrongUse(`"${args[at]}" is no flag of the simulator.\n${USAGE}`);
    }
    const value = inline ?? args[at + 1];
    if (value === undefined) throw new WrongUse(`--${name} needs a value.\n${USAGE}`);
    if (inline === undefined) at += 1;
    flags.set(name, value);
  }
  return flags;
}

function whole(flags: ReadonlyMap<string, string>, name: string, least: number): number {
  const text = flags.get(name) ?? '';
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw new WrongUse(`--${name} is "${text}", allowed is a whole number from ${least} on`);
  }
  return value;
}

function millisOf(text: string): number {
  const [, count, unit = ''] = /^(\d+)([smh])$/.exec(text) ?? [];
  const millis = { s: 1_000, m: 60_000, h: 3_600_000 }[unit];
  if (count === undefined || millis === undefined || Number(count) === 0) {
    throw new WrongUse(`a time is "${text}", allowed is a whole number with s, m or h behind it`);
  }
  return Number(count) * millis;
}

function kindOf(text: string | undefined): RunOptions['budget'] {
  if (text === undefined || text === 'available' || text === 'anything') return text ?? null;
  throw new WrongUse(`--kind is "${text}", allowed is available or anything`);
}

function faultsOf(text: string | undefined): readonly string[] | null {
  if (text === undefined) return null;
  const names = text.split(',');
  for (const name of names) {
    if (!FAULT_NAMES.includes(name)) {
      throw new WrongUse(`--faults has "${name}", allowed are ${FAULT_NAMES.join(', ')}`);
    }
  }
  return names;
}
