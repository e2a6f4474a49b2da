// What the command line of the simulator asks for; wrong use gets a sentence.

import { FAULT_NAMES, KINDS } from './faults/kinds.ts';
import type { RunOptions } from './run.ts';

export type Plan = Common &
  (
    | Many
    /** One seed, two times over: both traces must agree. */
    | { readonly kind: 'twice'; readonly seed: string }
    | {
        readonly kind: 'minimize';
        readonly seed: string;
        /** No try begins after so long. */
        readonly budgetMillis: number;
        /** Also draws what is left, into this file. */
        readonly out: string | null;
      }
    | { readonly kind: 'show'; readonly seed: string; readonly out: string }
  );

export interface Many {
  readonly kind: 'many';
  readonly seeds: Iterator<string, undefined>;
  /** How many they are; infinite where only time ends them. */
  readonly count: number;
  /** No seed begins after so long. */
  readonly budgetMillis: number;
  /** No seed begins after so many have failed. */
  readonly failuresMax: number;
  readonly threads: number;
}

interface Common {
  readonly verbose: boolean;
  readonly options: Omit<RunOptions, 'seed'>;
  /** What is run, in a few words. */
  readonly about: string;
  /** Flags that a failing seed needs to fail again. */
  readonly again: string;
}

/** Whoever must stay available is spared these. */
const BRUTAL_NAMES = KINDS.flatMap(({ name, brutal }) => (brutal === true ? [name] : []));

export const USAGE = `node sim/main.ts --seeds N | --seed S | --swarm TIME | --minimize S | --show S
  --seeds N        N seeds, counted up from a random one, or from --from
  --seed S         one seed, twice: both traces must agree
  --swarm TIME     new seeds for 90s, 10m or 2h; --seconds N is the same
  --minimize S     what of a failing run its failure needs, as a story
  --show S         the run as a page: lanes, messages, disks, faults, operations
  --out FILE       where --show writes, sim-S.html by default; --minimize writes a page there too
  --budget TIME    with --seeds: no seed begins after this; with --minimize: no try, 10m by default
  --from B         the first of the seeds, a whole number
  --events N       events of a run at least, 20000 by default; faults stop before the last ones
  --kind KIND      available or anything; drawn by default
  --faults A,B     only these faults: ${FAULT_NAMES.join(' ')}
                   (with --kind anything alone: ${BRUTAL_NAMES.join(' ')})
  --failures N     stop after so many failures, 5 by default
  --threads N      as many as there are processors by default
  --verbose        say something of each seed, and tell the story of a failure`;

export class WrongUse extends Error {}

const MODES = ['seeds', 'seed', 'swarm', 'seconds', 'minimize', 'show'];

/** Flags that mean something in some modes only. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  from: ['seeds', 'swarm', 'seconds'],
  failures: ['seeds', 'swarm', 'seconds'],
  threads: ['seeds', 'swarm', 'seconds'],
  budget: ['seeds', 'minimize'],
  out: ['minimize', 'show'],
};
const VALUES = [...MODES, ...Object.keys(ONLY), 'events', 'kind', 'faults'];
const MINIMIZE_MILLIS = 600_000;

/** Null where only help is asked for; throws WrongUse. `draw` gives the first seed. */
export function parsePlan(args: readonly string[], draw: () => number): Plan | null {
  const flags = readFlags(args);
  if (flags.has('help')) return null;
  const modes = MODES.filter((name) => flags.has(name));
  const [mode = ''] = modes;
  if (modes.length !== 1) {
    const given = modes.length === 0 ? 'none' : modes.map((name) => `--${name}`).join(' and ');
    const allowed = MODES.map((name) => `--${name}`).join(', ');
    throw new WrongUse(`exactly one of ${allowed} is needed, ${given} is given (--help says more)`);
  }
  for (const [name, with_] of Object.entries(ONLY)) {
    if (flags.has(name) && !with_.includes(mode)) {
      const allowed = with_.map((one) => `--${one}`).join(', ');
      throw new WrongUse(`--${name} means nothing with --${mode}, only with ${allowed}`);
    }
  }
  const kept = ['events', 'kind', 'faults'].flatMap((name) =>
    flags.has(name) ? [`--${name} ${flags.get(name)}`] : [],
  );
  const common = {
    verbose: flags.has('verbose'),
    options: {
      events: flags.has('events') ? whole(flags, 'events', 1) : 20_000,
      budget: kindOf(flags.get('kind')),
      faults: faultsOf(flags.get('faults'), flags.get('kind')),
    },
    again: kept.join(' '),
  };
  if (['seeds', 'swarm', 'seconds'].includes(mode)) return { ...common, ...many(flags, draw) };
  return { ...common, ...single(flags, mode) };
}

function many(flags: ReadonlyMap<string, string>, draw: () => number): Many & { about: string } {
  const from = flags.has('from') ? whole(flags, 'from', 0) : draw();
  const count = flags.has('seeds') ? whole(flags, 'seeds', 1) : Number.POSITIVE_INFINITY;
  const time = ['swarm', 'seconds', 'budget'].find((name) => flags.has(name));
  const through = Number.isFinite(count) ? `${from} to ${from + count - 1}` : `from ${from} on`;
  return {
    kind: 'many',
    seeds: counted(from, count),
    count,
    budgetMillis: time === undefined ? Number.POSITIVE_INFINITY : millisOf(flags, time),
    failuresMax: flags.has('failures') ? whole(flags, 'failures', 1) : 5,
    threads: flags.has('threads') ? whole(flags, 'threads', 1) : 64,
    about: `seeds ${through}${flags.has('from') ? '' : ', newly drawn'}`,
  };
}

function single(flags: ReadonlyMap<string, string>, mode: string) {
  const seed = String(whole(flags, mode, 0));
  const out = flags.get('out');
  if (out === '') throw new WrongUse('--out is "", allowed is the name of a file');
  switch (mode) {
    case 'minimize':
      return {
        kind: 'minimize',
        seed,
        budgetMillis: flags.has('budget') ? millisOf(flags, 'budget') : MINIMIZE_MILLIS,
        out: out ?? null,
        about: `seed ${seed}, minimized`,
      } as const;
    case 'show':
      return { kind: 'show', seed, out: out ?? `sim-${seed}.html`, about: `seed ${seed}` } as const;
    default:
      return { kind: 'twice', seed, about: `seed ${seed}, twice` } as const;
  }
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
      throw new WrongUse(`"${args[at]}" is no flag of the simulator (--help names them)`);
    }
    const value = inline ?? args[at + 1];
    if (value === undefined) throw new WrongUse(`--${name} needs a value (--help says which)`);
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

function millisOf(flags: ReadonlyMap<string, string>, name: string): number {
  if (name === 'seconds') return whole(flags, name, 1) * 1_000;
  const text = flags.get(name) ?? '';
  const [, count, unit = ''] = /^(\d+)([smh])$/.exec(text) ?? [];
  const millis = { s: 1_000, m: 60_000, h: 3_600_000 }[unit];
  if (count === undefined || millis === undefined || Number(count) === 0) {
    const allowed = 'a whole number from 1 on with s, m or h behind it';
    throw new WrongUse(`--${name} is "${text}", allowed is ${allowed}`);
  }
  return Number(count) * millis;
}

function kindOf(text: string | undefined): RunOptions['budget'] {
  if (text === undefined || text === 'available' || text === 'anything') return text ?? null;
  throw new WrongUse(`--kind is "${text}", allowed is available or anything`);
}

function faultsOf(text: string | undefined, kind: string | undefined): readonly string[] | null {
  if (text === undefined) return null;
  const names = text.split(',');
  for (const name of names) {
    if (!FAULT_NAMES.includes(name)) {
      throw new WrongUse(`--faults has "${name}", allowed are ${FAULT_NAMES.join(', ')}`);
    }
    if (BRUTAL_NAMES.includes(name) && kind !== 'anything') {
      throw new WrongUse(`--faults has "${name}", allowed with --kind anything alone`);
    }
  }
  return names;
}
