// The simulated world: one seed, virtual time, one event at a time, so that a run can be run again.
//
// Events lie in a heap by (time, a seeded draw). The world delivers one, waits one macrotask, until
// every promise chain that it set off has come to rest, and takes the next. Nothing else may make
// code run: every wait of the code under test goes through the clock, disk and network of sim/.
//
// An actor is one life of a process. A dead one gets no events any more, so no code of it runs
// further: whatever it awaited never settles. A paused one gets its events, in order, when it goes
// on.

import type { Micros } from '../protocol/types.ts';
import { micros } from '../protocol/types.ts';
import { Heap } from './heap.ts';
import { Dice } from './random.ts';

/** What an event is, for the count and the trace. */
export type EventKind = 'delivery' | 'disk' | 'timer' | 'world';

interface Event {
  readonly time: number;
  readonly tie: number;
  readonly order: number;
  readonly kind: EventKind;
  readonly actor: Actor | null;
  readonly label: string;
  readonly detail: number;
  /** When it was set off, and by whose code. */
  readonly since: number;
  readonly by: Actor | null;
  task: (() => void) | null;
}

/** An event that is delivered, as those see it who look at a run. Times are virtual. */
export interface Turn {
  readonly time: number;
  /** Empty for the world's own. */
  readonly actor: string;
  readonly kind: EventKind;
  readonly label: string;
  readonly detail: number;
  /** When it was set off (a message: sent), and by whom; empty for the world. */
  readonly since: number;
  readonly by: string;
}

export type Tracer = (turn: Turn) => void;

export type Cancel = () => void;

/** One life of a process: from its start to its crash. */
export class Actor {
  readonly name: string;
  readonly number: number;
  alive = true;
  paused = false;
  /** Events that came while it was paused, oldest first. */
  readonly backlog: Event[] = [];
  /** Called once at its death, in order: what the operating system does for a dead process. */
  readonly onDeath: (() => void)[] = [];
  /** Acts on the world since the event under way began; tells idle timers from working ones. */
  acts = 0;

  constructor(name: string, number: number) {
    this.name = name;
    this.number = number;
  }
}

/** An error that code under test let escape: production would have ended that process. */
export interface Escape {
  readonly actor: Actor | null;
  readonly error: unknown;
}

export class World {
  readonly seed: string;
  readonly dice: Dice;
  /** Called for an unhandled rejection or exception of an actor's code; crashes it by default. */
  onEscape: (escaped: Escape) => void = ({ error }) => {
    throw error;
  };
  tracer: Tracer | null = null;
  /** Deliveries, disk completions and timers that did something beyond setting a timer again. */
  events = 0;
  /** All events, idle timers included. */
  turns = 0;

  readonly #ties: Dice;
  readonly #heap = new Heap<Event>(
    (one, other) => one.time - other.time || one.tie - other.tie || one.order - other.order,
  );
  /** Actors that go on and have not yet seen all that came while they were paused. */
  readonly #resumed: Actor[] = [];
  #now = 0;
  #order = 0;
  #actors = 0;
  #current: Actor | null = null;
  #hashHigh = 0x811c9dc5;
  #hashLow = 0x9e3779b9;

  constructor(seed: string) {
    this.seed = seed;
    this.dice = new Dice(seed);
    this.#ties = this.dice.fork('ties');
  }

  /** Virtual microseconds since the world began. */
  get now(): Micros {
    return micros(this.#now);
  }

  /** Whose code is running; null for the world's own. */
  get current(): Actor | null {
    return this.#current;
  }

  /** Sum of all that happened so far: the same for the same seed, or something leaks in. */
  get hash(): string {
    const word = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return word(this.#hashHigh) + word(this.#hashLow);
  }

  birth(name: string): Actor {
    this.#actors += 1;
    return new Actor(name, this.#actors);
  }

  /** Ends a process at once, between two events. */
  kill(actor: Actor): void {
    if (!actor.alive) return;
    actor.alive = false;
    actor.backlog.length = 0;
    for (const last of actor.onDeath.splice(0)) last();
  }

  pause(actor: Actor): void {
    actor.paused = true;
  }

  resume(actor: Actor): void {
    if (!actor.paused) return;
    actor.paused = false;
    if (actor.backlog.length > 0) this.#resumed.push(actor);
  }

  /**
   * Runs `task` in `actor`'s life `delay` microseconds from now (null: the world's own).
   * `detail` is a number that goes into the trace: a length, a checksum.
   */
  schedule(
    delay: number,
    actor: Actor | null,
    kind: EventKind,
    label: string,
    task: () => void,
    detail = 0,
  ): Cancel {
    if (!(delay >= 0)) throw new RangeError(`delay is ${delay}, allowed is 0 and above`);
    this.#order += 1;
    const time = this.#now + Math.ceil(delay);
    const event: Event = {
      time,
      tie: this.#ties.word(),
      order: this.#order,
      kind,
      actor,
      label,
      detail,
      since: this.#now,
      by: this.#current,
      task,
    };
    this.#heap.push(event);
    return () => {
      event.task = null;
    };
  }

  /** A promise that settles `delay` later in the world's own code; for the people who run it. */
  sleep(delay: number): Promise<void> {
    return new Promise((resolve) => {
      this.schedule(delay, null, 'world', 'sleep', resolve);
    });
  }

  /** Runs `task` as code of `actor`: what escapes and what it does counts for that actor. */
  within(actor: Actor | null, task: () => void): void {
    const before = this.#current;
    this.#current = actor;
    try {
      task();
    } catch (error) {
      this.onEscape({ actor, error });
    } finally {
      this.#current = before;
    }
  }

  /**
   * Delivers events until `done` says so, asked after each one, or until nothing is left or
   * `until` (virtual) is passed. Returns why it stopped.
   */
  async run(done: () => boolean, until: Micros): Promise<'done' | 'late' | 'idle'> {
    const watch = (error: unknown): void => this.onEscape({ actor: this.#current, error });
    process.on('unhandledRejection', watch);
    process.on('uncaughtException', watch);
    try {
      await rest();
      for (;;) {
        if (done()) return 'done';
        const late = this.#nextOfResumed();
        if (late !== undefined) {
          await this.#deliver(late);
          continue;
        }
        const event = this.#heap.pop();
        if (event === undefined) return 'idle';
        if (event.task === null || event.actor?.alive === false) continue;
        if (event.time > until) {
          this.#heap.push(event);
          this.#now = Math.max(this.#now, until);
          return 'late';
        }
        this.#now = event.time;
        const actor = event.actor;
        if (actor?.paused === true) actor.backlog.push(event);
        else await this.#deliver(event);
      }
    } finally {
      process.off('unhandledRejection', watch);
      process.off('uncaughtException', watch);
    }
  }

  async #deliver(event: Event): Promise<void> {
    const { task, actor } = event;
    if (task === null || actor?.alive === false) return;
    event.task = null;
    this.turns += 1;
    if (actor !== null) actor.acts = 0;
    this.#mix(event);
    if (this.tracer !== null) this.tracer(turnOf(event, this.#now));
    this.#current = actor;
    try {
      task();
    } catch (error) {
      this.onEscape({ actor, error });
    }
    await rest();
    this.#current = null;
    if (event.kind === 'world' || actor === null) return;
    if (event.kind !== 'timer' || actor.acts > 0) this.events += 1;
  }

  /** What came for a paused actor is handed over, in order, before anything newer happens. */
  #nextOfResumed(): Event | undefined {
    for (let actor = this.#resumed[0]; actor !== undefined; actor = this.#resumed[0]) {
      const event = actor.paused ? undefined : actor.backlog.shift();
      if (event !== undefined) return event;
      this.#resumed.shift();
    }
    return undefined;
  }

  #mix(event: Event): void {
    let high = this.#hashHigh;
    let low = this.#hashLow;
    const add = (word: number): void => {
      high = Math.imul(high ^ word, 0x01000193);
      low = Math.imul(low ^ (word + (high >>> 15)), 0x85ebca6b);
    };
    add(event.time | 0);
    add(event.actor?.number ?? 0);
    for (let at = 0; at < event.label.length; at += 1) add(event.label.charCodeAt(at));
    add(event.detail | 0);
    this.#hashHigh = high;
    this.#hashLow = low;
  }
}

function turnOf({ actor, kind, label, detail, since, by }: Event, time: number): Turn {
  return { time, actor: actor?.name ?? '', kind, label, detail, since, by: by?.name ?? '' };
}

/** One macrotask: by then every chain of promises that could move has moved. */
function rest(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
