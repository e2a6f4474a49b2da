// Which loops there are, and what a client process of a run starts.

import { micros } from '../../protocol/types.ts';
import type { Machine, Program, Seams } from '../machine.ts';
import type { Dice } from '../random.ts';
import { appendLoop, compareKeyLoop, compareTailLoop, leadLoop, onceLoop } from './appending.ts';
import { cursorLoop, journalLoop, readLoop, subscribeLoop, trimLoop } from './reading.ts';
import { shared, type Task, Worker } from './worker.ts';

type Loop = (worker: Worker) => Promise<void>;

const LOOPS: ReadonlyMap<string, Loop> = new Map([
  ['append', appendLoop],
  ['compareTail', compareTailLoop],
  ['compareKey', compareKeyLoop],
  ['once', onceLoop],
  ['lead', leadLoop],
  ['read', readLoop],
  ['subscribe', subscribeLoop],
  ['trim', trimLoop],
  ['cursor', cursorLoop],
  ['journal', journalLoop],
]);

const LOOPS_OF_A_WORKER = 4;

/** How often each kind of loop is drawn; swarm testing leaves some out of a run altogether. */
export function drawMix(dice: Dice): Readonly<Record<string, number>> {
  const mix: Record<string, number> = {};
  for (const name of LOOPS.keys()) mix[name] = dice.chance(0.7) ? dice.fraction() : 0;
  // Without appends and somebody who looks there is nothing to see.
  mix.append = 0.3 + dice.fraction();
  mix.subscribe = 0.3 + dice.fraction();
  mix.read = 0.1 + dice.fraction();
  mix.compareTail = 0.1 + dice.fraction();
  // Enough that some trims meet cursors, and few enough that records stay to be judged.
  mix.trim = 0.2 + (mix.trim ?? 0) / 3;
  return mix;
}

function draw(dice: Dice, mix: Readonly<Record<string, number>>): string {
  const total = Object.values(mix).reduce((sum, weight) => sum + weight, 0);
  let left = dice.fraction() * total;
  for (const [name, weight] of Object.entries(mix)) {
    left -= weight;
    if (left < 0) return name;
  }
  return 'append';
}

/** What runs on a client's machine: a few loops, all over one client. */
export function workerProgram(task: Task, machine: () => Machine): Program {
  return {
    async start(seams: Seams, life: number) {
      const { name: host, zone, clock } = machine();
      const name = `${host}${life === 1 ? '' : `#${life}`}`;
      const common = shared(task, seams, { name, zone, clock });
      const names = Array.from({ length: LOOPS_OF_A_WORKER }, () => draw(common.dice, task.mix));
      const started = names.map((loop, at) => LOOPS.get(loop)?.(new Worker(common, at)));
      for (const loop of started) {
        loop?.catch((error: unknown) => task.recorder.refusal(error, `${name} loop`));
      }
      await new Promise<void>((resolve) => void seams.clock.after(micros(1), resolve));
      return { close: () => common.client.close() };
    },
  };
}
