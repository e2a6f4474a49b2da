// What goes wrong in a run: which faults, how often, and on whom. Drawn per seed (swarm testing),
// so that one run is all cuts and another all disks.
//
// Two kinds of runs. `available`: at most one replica and one controller are in trouble at a time,
// the next only after the cluster is whole again, and what harms data in secret always hits
// the same disk; such a run must stay available. `anything`: no budget at all; such a run may
// refuse, never answer wrongly.

import { healthy } from '../disk.ts';
import type { Machine } from '../machine.ts';
import type { Dice } from '../random.ts';
import { KINDS } from './kinds.ts';
import type { Budget, Kind, Scene } from './scene.ts';

/** How long a fault lasts, and how much time lies between two, in microseconds. */
const LASTS: readonly [number, number] = [10_000, 4_000_000];

/** So long after a trouble at most the controllers have found it, and the status tells of it. */
const SHOWS_MICROS = 2_000_000;

/** Of fewer controllers none is replaced while it is away. */
const SEATS_MIN = 3;

/** A fault that was carried out. Times are virtual microseconds. */
export interface Struck {
  readonly number: number;
  readonly kind: string;
  /** Name of the machine. */
  readonly victim: string;
  readonly from: number;
  /** When it ended, or would have; null where the run was over before. */
  until: number | null;
  /** False where nothing came of it, neither while it lasted nor, as yet, afterwards. */
  done: boolean;
}

/** A fault that has begun. */
interface Begun {
  end(): void;
  /** Whether something has come of it until now. */
  came(): boolean;
}

/** Begins it; null where there was nothing to be done. */
export function begin(kind: Kind, scene: Scene, victim: Machine, dice: Dice): Begun | null {
  const before = kind.shows(scene, victim);
  const end = kind.begin(scene, victim, dice);
  if (end === null) return null;
  let shown = false;
  let none = false;
  const came = (): boolean => {
    shown ||= kind.shows(scene, victim) !== before;
    return shown && !none;
  };
  return {
    end: () => {
      // A clock may be set back by the end: what it was until now counts.
      came();
      none = end() === false;
    },
    came,
  };
}

export class Faults {
  readonly budget: Budget;
  /** Names of the kinds that this run draws from. */
  readonly kinds: readonly string[];
  /** A volume was wiped, rotted or set back: data may be gone for good. */
  readonly harmed = new Set<string>();
  /** Of those, where bytes were changed behind the back of the process. */
  readonly spoiled = new Set<string>();
  readonly #scene: Scene;
  readonly #struckSoFar: Struck[] = [];
  /** Of what is over, and of which nothing has come yet: an operator goes on for a while. */
  readonly #late = new Map<Struck, Begun>();
  readonly #dice: Dice;
  readonly #drawn: readonly Kind[];
  readonly #gapMicros: number;
  /** The disk that latent harm always hits in an `available` run. */
  readonly #sick: Machine;
  readonly #ending = new Map<number, () => void>();
  readonly #troubled = new Map<Machine, number>();
  readonly #alone = new Map<Machine, Kind>();
  /** When the last trouble ended: what was known before says nothing of what it led to. */
  #endedAt = 0;
  readonly #omitted: ReadonlySet<number>;
  /** Of the next strike, whether it hits somebody or not. */
  #number = 0;
  #stopped = false;

  /** `omitted`: numbers of strikes that are left out. */
  constructor(
    scene: Scene,
    dice: Dice,
    budget: Budget,
    only: readonly string[] | null,
    omitted: ReadonlySet<number> = new Set(),
  ) {
    this.#scene = scene;
    this.#dice = dice;
    this.#omitted = omitted;
    this.budget = budget;
    const share = dice.pick([0.15, 0.35, 0.7]);
    const possible = KINDS.filter(({ brutal }) => brutal !== true || budget === 'anything');
    const drawn = possible.filter(({ name }) =>
      only === null ? dice.chance(share) : only.includes(name),
    );
    this.#drawn = drawn.length === 0 ? KINDS.filter(({ name }) => name === 'kill') : drawn;
    this.kinds = this.#drawn.map(({ name }) => name);
    this.#gapMicros = dice.spread(50_000, 1_500_000);
    this.#sick = dice.pick(scene.replicas);
  }

  /** What was done, in order. */
  get struck(): readonly Struck[] {
    for (const [struck, begun] of this.#late) struck.done = begun.came();
    return this.#struckSoFar;
  }

  /** How often each kind of fault was carried out. */
  get counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { kind, done } of this.struck) if (done) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }

  start(): void {
    this.#next();
  }

  /** Ends every fault; all machines run again. */
  stop(): void {
    this.#stopped = true;
    for (const end of [...this.#ending.values()]) end();
    this.#ending.clear();
    for (const one of this.#struckSoFar) one.until ??= this.#scene.world.now;
    const { fabric, replicas, controllers, clients } = this.#scene;
    fabric.healAll();
    for (const machine of [...replicas, ...controllers, ...clients]) {
      Object.assign(machine.disk.faults, { ...healthy(), lies: machine.disk.faults.lies });
      machine.resume();
      machine.start();
    }
  }

  #next(): void {
    const wait = -Math.log(1 - this.#dice.fraction()) * this.#gapMicros;
    this.#scene.world.schedule(wait, null, 'world', 'next fault', () => {
      if (this.#stopped) return;
      this.#strike();
      this.#next();
    });
  }

  #strike(): void {
    const number = this.#number;
    this.#number += 1;
    if (this.#omitted.has(number)) return;
    const dice = this.#dice.fork(`strike ${number}`);
    const kind = dice.pick(this.#drawn);
    const victim = this.#victim(kind, dice);
    if (victim === null) return;
    if (kind.alone === true) {
      if (this.#alone.has(victim) || this.#scene.operator.busy) return;
      if (this.#costsTwoSeats(kind, victim)) return;
    }
    const lasts = dice.spread(...(kind.lasts ?? LASTS));
    const begun = begin(kind, this.#scene, victim, dice);
    if (begun !== null) this.#struck(number, kind, victim, lasts, begun);
  }

  /** It has begun, and ends once it has lasted, or when all faults stop. */
  #struck(number: number, kind: Kind, victim: Machine, lasts: number, begun: Begun): void {
    const { world } = this.#scene;
    const about = { number, kind: kind.name, victim: victim.name, from: world.now };
    const struck: Struck = { ...about, until: null, done: true };
    this.#struckSoFar.push(struck);
    if (kind.alone === true) this.#alone.set(victim, kind);
    if (kind.latent === true || kind.loses === true) this.harmed.add(victim.name);
    if (kind.latent === true || kind.name === 'mountTwice') this.spoiled.add(victim.name);
    this.#trouble(victim, 1);
    const over = (): void => {
      if (!this.#ending.delete(number)) return;
      struck.until = world.now;
      begun.end();
      struck.done = begun.came();
      if (!struck.done) this.#late.set(struck, begun);
      if (kind.alone === true) this.#alone.delete(victim);
      this.#trouble(victim, -1);
    };
    this.#ending.set(number, over);
    world.schedule(lasts, null, 'world', `end of ${kind.name}`, over);
  }

  #trouble(victim: Machine, by: number): void {
    if (by < 0) this.#endedAt = this.#scene.world.now;
    this.#troubled.set(victim, (this.#troubled.get(victim) ?? 0) + by);
  }

  /** Two controllers of three that lose their seats take the majority with them. */
  #costsTwoSeats(kind: Kind, victim: Machine): boolean {
    const { controllers } = this.#scene;
    if (!controllers.includes(victim)) return false;
    return [...this.#alone].some(
      ([machine, under]) =>
        controllers.includes(machine) && (kind.seat === true || under.seat === true),
    );
  }

  /** Whom a fault may hit now; null for nobody. */
  #victim(kind: Kind, dice: Dice): Machine | null {
    const { replicas, controllers, clients } = this.#scene;
    if (kind.seat === true && controllers.length < SEATS_MIN) return null;
    const groups = [replicas, replicas, controllers];
    if (kind.on === 'any') groups.push(clients);
    const group =
      kind.on === 'replica' ? replicas : kind.on === 'controller' ? controllers : dice.pick(groups);
    if (this.budget === 'anything') return dice.pick(group);
    if (kind.latent === true) {
      const there = replicas.includes(this.#sick) && this.#mayHit(this.#sick, replicas);
      return there ? this.#sick : null;
    }
    const victim = dice.pick(group);
    if (kind.loses === true && this.#restless()) return null;
    return this.#mayHit(victim, group) ? victim : null;
  }

  /** The last trouble may not show yet: a copy is only taken away once it would. */
  #restless(): boolean {
    return this.#scene.world.now < this.#endedAt + SHOWS_MICROS;
  }

  /** Within the budget: nobody else of the group is in trouble, and all of them are whole. */
  #mayHit(victim: Machine, group: readonly Machine[]): boolean {
    if (group === this.#scene.clients) return true;
    const others = group.filter((machine) => machine !== victim);
    const calm = others.every((machine) => (this.#troubled.get(machine) ?? 0) === 0 && machine.up);
    if (!calm) return false;
    // The same machine again needs no rest; another one waits until the cluster is whole.
    return (this.#troubled.get(victim) ?? 0) > 0 || this.#scene.whole(this.#endedAt);
  }
}
