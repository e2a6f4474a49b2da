// How fast the simulator goes on one core, and where the time of its runs goes.
//
//   node bench/sim.bench.ts      or: npm run bench -- sim
//
// Time is CPU time of this process, all its threads (compiler, collector) included: what others do
// on the machine disturbs it less than the clock.

import { micros } from '../protocol/types.ts';
import { run } from '../sim/run.ts';
import type { Turn } from '../sim/world.ts';
import { World } from '../sim/world.ts';

/** As CI runs them; the first ones warm the compiler up and do not count. */
const EVENTS = 20_000;
const WARM = 3;
const MEASURED = 8;
const SHOWN = 14;
const EMPTY_EVENTS = 200_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** CPU time of this thread alone. */
function threadMicros(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** What an event costs that does nothing: heap, hash, and the macrotask after it. */
async function empty(): Promise<number> {
  const world = new World('empty');
  const actor = world.birth('nobody');
  let left = EMPTY_EVENTS;
  const next = (): void => {
    left -= 1;
    if (left > 0) world.schedule(1, actor, 'delivery', 'nothing', next);
  };
  next();
  const began = cpuSeconds();
  await world.run(() => left === 0, micros(1e12));
  return ((cpuSeconds() - began) * 1e6) / EMPTY_EVENTS;
}

/** Microseconds of each kind of event: from its delivery until the next one. */
class Shares {
  readonly #of = new Map<string, { micros: number; count: number }>();
  #name = '';
  #since = threadMicros();

  see({ actor, kind, label }: Turn): void {
    this.#close();
    const what = label.replace(/#?\d+/g, 'N').slice(0, 60);
    this.#name = `${actor.slice(0, 1) || 'world'} ${kind} ${what}`;
    this.#since = threadMicros();
  }

  pause(): void {
    this.#close();
    this.#name = '';
  }

  #close(): void {
    if (this.#name === '') return;
    const entry = this.#of.get(this.#name) ?? { micros: 0, count: 0 };
    entry.micros += threadMicros() - this.#since;
    entry.count += 1;
    this.#of.set(this.#name, entry);
  }

  lines(): readonly string[] {
    const all = [...this.#of].sort(([, one], [, other]) => other.micros - one.micros);
    const sum = all.reduce((total, [, entry]) => total + entry.micros, 0);
    return all.slice(0, SHOWN).map(([name, entry]) => {
      const share = `${((entry.micros / sum) * 100).toFixed(1)} %`.padStart(7);
      const each = `${(entry.micros / entry.count).toFixed(0)} us`.padStart(7);
      return `${share} ${String(entry.count).padStart(7)} times ${each}  ${name}`;
    });
  }
}

let measured = { events: 0, seconds: 0 };
for (let seed = 1; seed <= WARM + MEASURED; seed += 1) {
  const began = cpuSeconds();
  const { events, failure } = await run({
    seed: String(seed),
    events: EVENTS,
    budget: null,
    faults: null,
  });
  const seconds = cpuSeconds() - began;
  const warm = seed <= WARM ? ', warming up' : '';
  const verdict = failure === null ? 'passed' : `FAILED ${failure.by}`;
  say(`seed ${seed}: ${verdict}, ${events} events, ${(events / seconds).toFixed(0)}/s${warm}`);
  if (seed > WARM) {
    measured = { events: measured.events + events, seconds: measured.seconds + seconds };
  }
}
const rate = measured.events / measured.seconds;
say(`\n${rate.toFixed(0)} events a second of CPU time, over ${MEASURED} runs`);
say(`${(await empty()).toFixed(1)} us for an event that does nothing`);

say('\nWhere the time of one run goes: r replicas, k controllers, w clients');
const shares = new Shares();
const tracer = (turn: Turn): void => shares.see(turn);
await run({ seed: '1', events: EVENTS, budget: 'available', faults: null, tracer });
shares.pause();
for (const line of shares.lines()) say(line);
