// One loop of a client process: its client, its chance, and how it waits and writes down.

import { type Client, connectWith } from '../../client/client.ts';
import type { Journal } from '../../client/journal.ts';
import { micros } from '../../protocol/types.ts';
import type { MachineClock } from '../clock.ts';
import type { Seams } from '../machine.ts';
import { Dice } from '../random.ts';
import type { Recorder } from '../recorder.ts';

/** What all workers of a run know. */
export interface Task {
  readonly recorder: Recorder;
  /** Where an operator says that replicas are, asked at the start of a process. */
  readonly endpoints: () => readonly string[];
  /** Journals that everybody uses. */
  readonly journals: readonly string[];
  /** No new operation once this says true. */
  readonly over: () => boolean;
  /** Which loops a worker runs, by weight; drawn once a run. */
  readonly mix: Readonly<Record<string, number>>;
  /** Loops and turns that are left out: see omitted.ts. */
  readonly omitted: ReadonlySet<string>;
}

/** A turn that is left out takes so long, so that the others keep their times by and large. */
const OMITTED_MICROS = micros(100_000);

/** What the loops of one process share. */
export interface Shared {
  readonly task: Task;
  readonly seams: Pick<Seams, 'clock'>;
  readonly clock: Pick<MachineClock, 'trueDelay'>;
  /** Of the process: `w1`, `w1#2` after its first restart. */
  readonly name: string;
  readonly client: Client;
  readonly dice: Dice;
}

export function shared(
  task: Task,
  seams: Seams,
  { name, zone, clock }: { readonly name: string; readonly zone: string; clock: MachineClock },
): Shared {
  const dice = new Dice(`worker/${name}/${seams.random.hex(8)}`);
  const { clock: own, random, network, logger } = seams;
  const endpoints = task.endpoints();
  const client = connectWith({ clock: own, random, network, logger, endpoints, zone, node: name });
  return { task, seams, clock, name, client, dice };
}

export class Worker {
  readonly task: Task;
  /** Of the process. */
  readonly name: string;
  readonly client: Client;
  readonly machine: Pick<MachineClock, 'trueDelay'>;
  /** Another one each turn, so that a turn that is left out changes no other. */
  dice: Dice;
  readonly #seams: Pick<Seams, 'clock'>;
  readonly #loop: string;
  readonly #chance: Dice;
  #turn = 0;
  #serial = 0;

  /** The loop of this number, from 0, in its process. */
  constructor({ task, seams, clock, name, client, dice }: Shared, loop: number) {
    this.task = task;
    this.name = name;
    this.machine = clock;
    this.client = client;
    this.#seams = seams;
    this.#loop = `${name}/${loop}`;
    this.#chance = dice.fork(`${loop}`);
    this.dice = this.#chance;
  }

  /** Begins the next turn that is not left out; false where the work is over. */
  async turn(): Promise<boolean> {
    const { omitted, over, recorder } = this.task;
    while (!over() && !omitted.has(this.#loop)) {
      this.#turn += 1;
      const name = `${this.#loop}/${this.#turn}`;
      this.dice = this.#chance.fork(`${this.#turn}`);
      if (!omitted.has(name)) {
        recorder.turns.push(name);
        return true;
      }
      await new Promise<void>((go) => void this.#seams.clock.after(OMITTED_MICROS, go));
    }
    return false;
  }

  get recorder(): Recorder {
    return this.task.recorder;
  }

  get now(): number {
    return this.recorder.now;
  }

  /** One of the journals that everybody uses. */
  anyJournal(): Journal {
    return this.client.journal(this.dice.pick(this.task.journals));
  }

  /** A name that nothing else in the run has. */
  unique(): string {
    this.#serial += 1;
    return `${this.#loop}/${this.#turn}.${this.#serial}`;
  }

  /** A text that no other record of the run has, now and then a long one. */
  data(): string {
    const long = this.dice.chance(0.02) ? this.dice.spread(1_000, 60_000) : this.dice.below(120);
    return `${this.unique()}.${'~'.repeat(long)}`;
  }

  pause(least: number, most: number): Promise<void> {
    return new Promise((resolve) => {
      this.#seams.clock.after(micros(this.dice.spread(least, most)), resolve);
    });
  }
}
