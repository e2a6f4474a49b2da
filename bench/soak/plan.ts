// What a soak is asked to do: its flags, checked before anything is started.

import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { obstacleAt } from '../../io/node-place.ts';
import { type Fault, linkFaults, processFaults } from '../../test/processes/faults.ts';

const FAULTS: readonly Fault[] = [...processFaults, ...linkFaults];

export const USAGE = `npm run soak [-- --rounds N] [--calm MINUTES]
                      each fault N times, those of processes a fifth as often at
                      controllers too, then N at random moments, then full load
                      without a fault
npm run soak -- --minutes N
                      faults drawn for that long, one in three at a controller
Both: --writers N --subscribers N --seed N --report FILE --proxies
      --only WORDS    the faults whose names contain the words:
                      ${FAULTS.map(({ name }) => name).join(', ')}`;

/** A flag says what is not allowed: the message names it, what was given, what is allowed. */
export class WrongUse extends Error {}

export interface Plan {
  /** Null: the whole soak. */
  readonly minutes: number | null;
  readonly rounds: number;
  readonly calm: number;
  readonly writers: number;
  readonly subscribers: number;
  readonly seed: number;
  /** Where the page goes: a file in a folder that is there. */
  readonly report: string;
  readonly proxies: boolean;
  readonly faults: readonly Fault[];
  /** To do the same again: what was given, but for the page, and the seed. */
  readonly command: string;
}

function commandOf(given: Readonly<Record<string, unknown>>): string {
  const words = Object.entries(given).map(([name, value]) => {
    const text = /[^\w./:=-]/.test(`${value}`) ? JSON.stringify(value) : `${value}`;
    return value === true ? `--${name}` : `--${name} ${text}`;
  });
  return ['npm run soak --', ...words].join(' ');
}

function number(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= least) return value;
  throw new WrongUse(`--${flag} is "${text}", allowed is a number from ${least}`);
}

function whole(flag: string, text: string, least: number): number {
  const value = number(flag, text, least);
  if (Number.isSafeInteger(value)) return value;
  throw new WrongUse(`--${flag} is "${text}", allowed is a whole number from ${least}`);
}

/** Throws a WrongUse. */
export function planOf(args: readonly string[]): Plan {
  const options = {
    minutes: { type: 'string' },
    rounds: { type: 'string' },
    calm: { type: 'string' },
    writers: { type: 'string' },
    subscribers: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    report: { type: 'string' },
    proxies: { type: 'boolean' },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error));
  }
  const { report = join(tmpdir(), 'journal-soak.html'), ...given } = values;
  const { minutes, rounds, calm, only = '' } = given;
  const seed = given.seed ?? String(Math.floor(Math.random() * 2 ** 31));
  if (minutes !== undefined && (rounds ?? calm) !== undefined) {
    throw new WrongUse(
      '--minutes draws faults for that long: --rounds and --calm do not go with it',
    );
  }
  const faults = FAULTS.filter(({ name }) => name.includes(only));
  if (faults.length === 0) {
    const all = FAULTS.map(({ name }) => name).join(', ');
    throw new WrongUse(`--only is "${only}", which is in none of: ${all}`);
  }
  const obstacle = obstacleAt(report);
  if (obstacle !== null) throw new WrongUse(`--report is "${report}", ${obstacle}`);
  return {
    faults,
    minutes: minutes === undefined ? null : number('minutes', minutes, 0.1),
    rounds: whole('rounds', rounds ?? '50', 0),
    calm: number('calm', calm ?? '10', 0),
    writers: whole('writers', given.writers ?? '8', 1),
    subscribers: whole('subscribers', given.subscribers ?? '3', 0),
    seed: whole('seed', seed, 0),
    report: resolve(report),
    proxies: given.proxies === true,
    command: commandOf({ ...given, seed }),
  };
}
