// A machine of the simulated world: a disk, a clock, a name on the network, and at most one process
// that runs on it. The machine outlives its processes; so does what they synced.

import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { MachineClock, simulatedClock } from './clock.ts';
import type { SimulatedDisk } from './disk.ts';
import { type Listeners, SimulatedNetwork } from './network.ts';
import type { CrashMode } from './platter/file.ts';
import type { Fabric } from './wires/fabric.ts';
import type { Actor, World } from './world.ts';

/** All that a process gets of the world. */
export interface Seams {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
  readonly logger: Logger;
}

/** What runs on a machine. */
export interface Program {
  /**
   * Starts it; the result stops it gracefully. A rejection, or `ended` called later, is an exit of
   * the process with an error.
   */
  start(
    seams: Seams,
    life: number,
    ended: (error: unknown) => void,
    actor: Actor,
  ): Promise<Running>;
}

export interface Running {
  close(): Promise<void>;
}

export interface LogLine {
  readonly time: number;
  readonly process: string;
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

const LOG_LINES_MAX = 400;
const RESTART_MICROS: readonly [number, number] = [100_000, 600_000];

export class Machine {
  readonly name: string;
  readonly zone: string;
  readonly disk: SimulatedDisk;
  readonly clock: MachineClock;
  /** The process that runs now, or ran last. */
  actor: Actor | null = null;
  running: Running | null = null;
  /** Processes that were started here. */
  lives = 0;
  /** What it should run; null for nothing. */
  program: Program | null;
  /** Restarted by itself after an exit, as Kubernetes does. */
  restarts = true;
  /** Told why a process ended by itself. */
  onExit: (actor: Actor, error: unknown) => void = () => {};
  /** What was done to it and its processes from outside; in vain does not count. */
  readonly counts = { kills: 0, powerFailures: 0, pauses: 0, stops: 0 };
  readonly lines: LogLine[] = [];
  /** Why its processes ended, the last few. */
  readonly exits: string[] = [];
  readonly #world: World;
  readonly #fabric: Fabric;
  readonly #listeners: Listeners;
  readonly #mountedElsewhere: boolean;
  /** It was not taken down on purpose. */
  #wanted = false;

  constructor(
    world: World,
    fabric: Fabric,
    listeners: Listeners,
    what: {
      readonly name: string;
      readonly zone: string;
      readonly program: Program;
      /** A disk of its own, or that of another machine, mounted here as well. */
      readonly disk: SimulatedDisk;
      readonly mountedElsewhere?: boolean;
    },
  ) {
    this.#world = world;
    this.#fabric = fabric;
    this.#listeners = listeners;
    this.name = what.name;
    this.zone = what.zone;
    this.program = what.program;
    this.disk = what.disk;
    this.#mountedElsewhere = what.mountedElsewhere ?? false;
    const dice = world.dice.fork(`clock/${what.name}`);
    this.clock = new MachineClock(world, {
      offset: dice.between(-5_000, 5_000),
      driftPpm: dice.between(-100, 100),
      booted: dice.between(1_000_000, 90_000_000_000),
    });
  }

  get up(): boolean {
    return this.actor?.alive === true;
  }

  get paused(): boolean {
    return this.actor?.paused === true;
  }

  /** Starts the process; no effect while one runs. */
  start(): void {
    const { program } = this;
    this.#wanted = true;
    if (program === null || this.up) return;
    this.lives += 1;
    const actor = this.#world.birth(this.lives === 1 ? this.name : `${this.name}#${this.lives}`);
    this.actor = actor;
    this.running = null;
    this.#fabric.place(this.name, actor);
    const life = this.lives;
    this.#world.schedule(1, actor, 'world', `start ${actor.name}`, () => {
      const ended = (error: unknown): void => this.exited(actor, error);
      program.start(this.seams(actor), life, ended, actor).then((running) => {
        this.running = running;
      }, ended);
    });
  }

  /** What a process on this machine sees of the world. */
  seams(actor: Actor): Seams {
    return {
      clock: simulatedClock(this.#world, actor, this.clock),
      random: this.#world.dice.fork(`random/${actor.name}`),
      disk: this.disk.attach(actor, this.#mountedElsewhere),
      network: new SimulatedNetwork(this.#fabric, this.#listeners, actor, this.name),
      logger: this.#logger(actor),
    };
  }

  /** The process ended by itself; it is started again a while later. */
  exited(actor: Actor, error: unknown): void {
    if (!actor.alive) return;
    this.exits.push(`${actor.name} at ${this.#world.now / 1e6} s: ${String(error)}`);
    this.onExit(actor, error);
    // Nothing of it runs after this event: the rest of this turn is the end of the process.
    this.#world.schedule(0, null, 'world', `exit ${actor.name}`, () => {
      if (!actor.alive) return;
      this.#end(actor, false);
      const wait = this.#world.dice.between(...RESTART_MICROS);
      this.#world.schedule(wait, null, 'world', `restart ${this.name}`, () => {
        if (this.restarts && this.#wanted && this.actor === actor) this.start();
      });
    });
  }

  /** SIGKILL: the process is gone, the machine and its page cache are not. */
  kill(): void {
    this.#wanted = false;
    if (this.actor?.alive !== true) return;
    this.counts.kills += 1;
    this.#end(this.actor, false);
  }

  /** The power fails: what was not synced is decided. */
  powerOff(mode: CrashMode): void {
    this.#wanted = false;
    this.counts.powerFailures += 1;
    if (this.actor?.alive === true) this.#end(this.actor, true);
    this.disk.crash(mode);
  }

  pause(): void {
    const { actor } = this;
    if (actor === null || !actor.alive || actor.paused) return;
    this.counts.pauses += 1;
    this.#world.pause(actor);
    this.#fabric.silenced(actor);
  }

  resume(): void {
    if (this.actor !== null) this.#world.resume(this.actor);
  }

  /** Told to stop, as by SIGTERM; ended by force where that takes too long. */
  terminate(patience: number): void {
    const { running, actor } = this;
    this.#wanted = false;
    if (actor === null || !actor.alive) return;
    this.counts.stops += 1;
    const end = (): void => {
      if (!actor.alive) return;
      this.#end(actor, false);
      // It was asked to run again before it had stopped.
      if (this.#wanted) this.start();
    };
    if (running === null) {
      end();
      return;
    }
    this.#world.schedule(1, actor, 'world', `terminate ${actor.name}`, () => {
      running.close().then(() => this.#world.schedule(0, null, 'world', 'stopped', end), end);
    });
    this.#world.schedule(patience, null, 'world', `force ${actor.name}`, end);
  }

  /** The machine is taken away: nothing runs on it any more. */
  retire(): void {
    this.kill();
    this.program = null;
    this.restarts = false;
  }

  #end(actor: Actor, machineToo: boolean): void {
    this.#world.kill(actor);
    this.#fabric.ended(actor, machineToo);
    this.running = null;
  }

  #logger(actor: Actor): Logger {
    const line =
      (level: string) =>
      (fields: object, message: string): void => {
        const time = this.#world.now;
        this.lines.push({ time, process: actor.name, level, message, fields });
        if (this.lines.length > LOG_LINES_MAX) this.lines.shift();
      };
    return { debug: () => {}, info: line('info'), warn: line('warn'), error: line('error') };
  }
}
