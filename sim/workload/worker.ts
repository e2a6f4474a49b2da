// One client process of a run: its client, its chance, and how it waits and writes down.

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
}

export class Worker {
  readonly task: Task;
  readonly name: string;
  readonly dice: Dice;
  readonly client: Client;
  readonly machine: MachineClock;
  readonly #seams: Seams;
  #serial = 0;

  constructor(task: Task, seams: Seams, machine: MachineClock, name: string, zone: string) {
    this.task = task;
    this.name = name;
    this.machine = machine;
    this.#seams = seams;
    this.dice = new Dice(`worker/${name}/${seams.random.hex(8)}`);
    const { clock, random, network, logger } = seams;
    const endpoints = task.endpoints();
    this.client = connectWith({ clock, random, network, logger, endpoints, zone, node: name });
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
    return `${this.name}.${this.#serial}`;
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
