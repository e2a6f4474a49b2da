// The simulated twin of io/clock.ts: a machine's clock is off, drifts and jumps; a process's timers
// die with it and wait while it is paused.

import type { Cancel, Clock } from '../io/clock.ts';
import type { Micros } from '../protocol/types.ts';
import { micros } from '../protocol/types.ts';
import type { Actor, World } from './world.ts';

/** Wall time when the world begins: 2026-01-01, so that dates in traces read well. */
export const WALL_START = 1_767_225_600_000_000;

/** The clock of one machine, which outlives its processes. */
export class MachineClock {
  readonly #world: World;
  /** Runs this much faster than true time, in parts per million. */
  #driftPpm: number;
  /** Microseconds that the monotonic clock had when the world began. */
  readonly #booted: number;
  #offset: number;
  /** Time that the clock showed, and true time, when its drift last changed. */
  #shown: number;
  #since = 0;

  constructor(world: World, options: { offset: number; driftPpm: number; booted: number }) {
    this.#world = world;
    this.#driftPpm = options.driftPpm;
    this.#offset = options.offset;
    this.#booted = options.booted;
    this.#shown = options.booted;
  }

  now(): Micros {
    return micros(Math.floor(this.#shown + this.#elapsed() * this.#rate()));
  }

  wall(): Micros {
    return micros(Math.max(0, WALL_START + this.#offset + this.now() - this.#booted));
  }

  /** True microseconds that pass while this clock counts `delay`. */
  trueDelay(delay: number): number {
    return delay / this.#rate();
  }

  /** The wall clock is set; the monotonic one goes on as it was. */
  jump(by: number): void {
    this.#offset += by;
  }

  /** From now on the clock runs at another rate. */
  drift(ppm: number): void {
    this.#shown += this.#elapsed() * this.#rate();
    this.#since = this.#world.now;
    this.#driftPpm = ppm;
  }

  get driftPpm(): number {
    return this.#driftPpm;
  }

  /** Microseconds by which it was set, all together. */
  get offset(): number {
    return this.#offset;
  }

  /** How far the wall clock is from true time. */
  error(): number {
    return this.wall() - (WALL_START + this.#world.now);
  }

  #elapsed(): number {
    return this.#world.now - this.#since;
  }

  #rate(): number {
    return 1 + this.#driftPpm / 1e6;
  }
}

/** The clock that one life of a process sees. */
export function simulatedClock(world: World, actor: Actor, machine: MachineClock): Clock {
  return {
    now: () => machine.now(),
    wall: () => machine.wall(),
    after: (delay: Micros, task: () => void): Cancel =>
      world.schedule(machine.trueDelay(Math.max(1, delay)), actor, 'timer', 'timer', task),
  };
}
