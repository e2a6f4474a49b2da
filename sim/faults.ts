// What goes wrong in a run: which faults, how often, and on whom. Drawn per seed (swarm testing),
// so that one run is all cuts and another all disks.
//
// Two kinds of runs. `available`: at most one replica and one controller are in trouble at a time,
// the next only after the cluster is whole again, and what harms data in secret always hits
// the same disk; such a run must stay available. `anything`: no budget at all; such a run may
// refuse, never answer wrongly.

import type { AdminRequest } from '../transport/public.ts';
import { healthy } from './disk.ts';
import type { Machine } from './machine.ts';
import type { CrashMode } from './platter/file.ts';
import type { Dice } from './random.ts';
import type { Fabric } from './wires/fabric.ts';
import type { World } from './world.ts';

export type Budget = 'available' | 'anything';

/** What faults may touch. */
export interface Scene {
  readonly world: World;
  readonly fabric: Fabric;
  readonly replicas: readonly Machine[];
  readonly controllers: readonly Machine[];
  readonly clients: readonly Machine[];
  /** Names of the journals that everybody uses. */
  journals(): readonly string[];
  /** Every journal is served by all members that it should have. */
  whole(): boolean;
  /** Controllers tell the status of the cluster, and at least one member serves each journal. */
  answers(): boolean;
  /** What an operator asks of the cluster, again and again until it is done. */
  ask(request: AdminRequest): void;
  /** Something that was asked is not answered yet. */
  asking(): boolean;
  /** Starts a second process on the machine's volume, elsewhere; the result ends it. */
  mountTwice(machine: Machine): () => void;
}

/** One fault on one machine: begins now; the result ends it. */
type Fault = (scene: Scene, victim: Machine, dice: Dice) => () => void;

interface Kind {
  readonly name: string;
  readonly on: 'replica' | 'process' | 'any';
  /** Harms data in a way that only a later read shows. */
  readonly latent?: boolean;
  /** Leaves a volume of which nobody can demand that it comes back by itself. */
  readonly brutal?: boolean;
  /** Takes a whole copy of the data away. */
  readonly loses?: boolean;
  /** Not while another of these is under way on the same machine: an operator waits for the one. */
  readonly alone?: boolean;
  readonly begin: Fault;
}

const others = ({ replicas, controllers, clients }: Scene, victim: Machine): Machine[] =>
  [...replicas, ...controllers, ...clients].filter((machine) => machine !== victim);

const nothing = (): void => {};

function cut(
  { fabric }: Scene,
  victim: Machine,
  peers: readonly Machine[],
  ways: 'in' | 'out' | 'both',
): () => void {
  for (const { name } of peers) {
    if (ways !== 'in') fabric.cut(victim.name, name);
    if (ways !== 'out') fabric.cut(name, victim.name);
  }
  return () => {
    for (const { name } of peers) {
      fabric.heal(victim.name, name);
      fabric.heal(name, victim.name);
    }
  };
}

const cutSome: Fault = (scene, victim, dice) => {
  const all = dice.shuffle(others(scene, victim));
  return cut(scene, victim, all.slice(0, dice.between(1, 3)), dice.pick(['in', 'out', 'both']));
};

const cutAll: Fault = (scene, victim, dice) =>
  cut(scene, victim, others(scene, victim), dice.pick(['in', 'out', 'both', 'both']));

const slowLinks: Fault = ({ fabric, ...scene }, victim, dice) => {
  const factor = dice.spread(5, 400);
  const peers = others({ fabric, ...scene }, victim);
  const set = (to: number): void => {
    for (const { name } of peers) {
      fabric.slow(victim.name, name, to);
      fabric.slow(name, victim.name, to);
    }
  };
  set(factor);
  return () => set(1);
};

const breakLinks: Fault = ({ fabric, ...scene }, victim, dice) => {
  for (const { name } of others({ fabric, ...scene }, victim)) {
    if (dice.chance(0.5)) fabric.breakBetween(victim.name, name);
  }
  return nothing;
};

/** Once in a while a frame stalls, or its connection breaks; for everybody. */
const badWires: Fault = ({ fabric }, _victim, dice) => {
  fabric.faults.stallChance = dice.spread(0.001, 0.05);
  fabric.faults.breakChance = dice.spread(0.0003, 0.01);
  return () => {
    fabric.faults.stallChance = 0;
    fabric.faults.breakChance = 0;
  };
};

const kill: Fault = (_scene, victim) => {
  victim.kill();
  return () => victim.start();
};

const powerOff: Fault = (_scene, victim, dice) => {
  victim.powerOff(dice.pick<CrashMode>(['some', 'some', 'none', 'all']));
  return () => victim.start();
};

const pause: Fault = (_scene, victim) => {
  victim.pause();
  return () => victim.resume();
};

const jump: Fault = (_scene, victim, dice) => {
  const by = dice.spread(1_000, 20_000_000) * (dice.chance(0.5) ? 1 : -1);
  victim.clock.jump(by);
  return () => {
    if (dice.chance(0.5)) victim.clock.jump(-by);
  };
};

const drift: Fault = (_scene, victim, dice) => {
  victim.clock.drift(dice.between(-500, 500));
  return () => victim.clock.drift(dice.between(-100, 100));
};

const holdSyncs: Fault = ({ world }, victim, dice) => {
  victim.disk.faults.syncsHeldUntil = world.now + dice.spread(100_000, 6_000_000);
  return nothing;
};

const slowDisk: Fault = (_scene, victim, dice) => {
  victim.disk.faults.slowFactor = dice.spread(5, 200);
  return () => {
    victim.disk.faults.slowFactor = 1;
  };
};

const failSyncs: Fault = ({ world }, victim, dice) => {
  victim.disk.faults.syncErrorChance = dice.spread(0.05, 1);
  const stop = (): void => {
    victim.disk.faults.syncErrorChance = 0;
  };
  world.schedule(dice.spread(10_000, 500_000), null, 'world', 'syncs work again', stop);
  return stop;
};

const failReads: Fault = (_scene, victim, dice) => {
  victim.disk.faults.readErrorChance = dice.spread(0.01, 0.5);
  victim.disk.faults.shortReadChance = dice.chance(0.5) ? dice.spread(0.01, 0.5) : 0;
  return () => {
    victim.disk.faults.readErrorChance = 0;
    victim.disk.faults.shortReadChance = 0;
  };
};

const fullDisk: Fault = (_scene, victim) => {
  victim.disk.faults.takenBytes = victim.disk.image.capacityBytes;
  return () => {
    victim.disk.faults.takenBytes = 0;
  };
};

/** In the records of users, which peers can mend. */
const rot: Fault = (_scene, victim, dice) => {
  for (let bits = dice.between(1, 5); bits > 0; bits -= 1) {
    victim.disk.rot((path) => path.includes('/segments/'));
  }
  return nothing;
};

/** Anywhere: also in what tells the volume who it is, which only a person can replace. */
const rotAll: Fault = (_scene, victim, dice) => {
  for (let bits = dice.between(1, 5); bits > 0; bits -= 1) victim.disk.rot(() => true);
  return nothing;
};

const misdirect: Fault = (_scene, victim, dice) => {
  victim.disk.faults.misdirectChance = dice.spread(0.005, 0.2);
  return () => {
    victim.disk.faults.misdirectChance = 0;
  };
};

/** A new disk in the place of the old one: it is formatted only once an operator says so. */
const wipe: Fault = (scene, victim) => {
  victim.powerOff('none');
  victim.disk.image.wipe();
  return () => {
    victim.start();
    scene.ask({ kind: 'memberReplace', member: victim.name, by: victim.name });
  };
};

const leave: Fault = (scene, victim) => {
  scene.ask({ kind: 'memberRemove', member: victim.name });
  return () => scene.ask({ kind: 'memberAdd', member: victim.name, zone: victim.zone });
};

const moveHead: Fault = (scene, victim) => {
  for (const journal of scene.journals()) {
    scene.ask({ kind: 'moveHead', journal, member: victim.name });
  }
  return nothing;
};

/**
 * A copy of the volume is taken now and put back later, as from a backup; not while the copy might
 * be the last one left, which is the one gap that the docs name.
 */
const oldCopy: Fault = (scene, victim) => {
  const copy = victim.disk.image.copy();
  return () => {
    const others = scene.replicas.filter((machine) => machine !== victim);
    if (!scene.answers() || others.some(({ up, paused }) => !up || paused)) return;
    victim.powerOff('none');
    victim.disk.image.restore(copy);
    victim.start();
  };
};

const mountTwice: Fault = (scene, victim) => {
  const end = scene.mountTwice(victim);
  return () => {
    end();
    // The first process may have stepped back for good: it is started anew, as a person would.
    victim.kill();
    victim.start();
  };
};

const KINDS: readonly Kind[] = [
  { name: 'cutSome', on: 'any', begin: cutSome },
  { name: 'cutAll', on: 'any', begin: cutAll },
  { name: 'slowLinks', on: 'any', begin: slowLinks },
  { name: 'breakLinks', on: 'any', begin: breakLinks },
  { name: 'badWires', on: 'any', begin: badWires },
  { name: 'kill', on: 'any', begin: kill },
  { name: 'powerOff', on: 'any', begin: powerOff },
  { name: 'pause', on: 'any', begin: pause },
  { name: 'jump', on: 'any', begin: jump },
  { name: 'drift', on: 'any', begin: drift },
  { name: 'holdSyncs', on: 'process', begin: holdSyncs },
  { name: 'slowDisk', on: 'process', begin: slowDisk },
  { name: 'failSyncs', on: 'process', begin: failSyncs },
  { name: 'failReads', on: 'replica', begin: failReads },
  { name: 'fullDisk', on: 'replica', begin: fullDisk },
  { name: 'rot', on: 'replica', latent: true, begin: rot },
  { name: 'rotAll', on: 'replica', latent: true, brutal: true, begin: rotAll },
  { name: 'misdirect', on: 'replica', latent: true, begin: misdirect },
  { name: 'wipe', on: 'replica', loses: true, alone: true, begin: wipe },
  { name: 'oldCopy', on: 'replica', loses: true, alone: true, begin: oldCopy },
  { name: 'leave', on: 'replica', alone: true, begin: leave },
  { name: 'moveHead', on: 'replica', begin: moveHead },
  { name: 'mountTwice', on: 'replica', loses: true, alone: true, begin: mountTwice },
];

export const FAULT_NAMES: readonly string[] = KINDS.map(({ name }) => name);

/** How long a fault lasts, and how much time lies between two, in microseconds. */
const LASTS: readonly [number, number] = [10_000, 4_000_000];

export class Faults {
  readonly budget: Budget;
  /** Names of the kinds that this run draws from. */
  readonly kinds: readonly string[];
  /** What was done: kind, machine, from when on. */
  readonly log: string[] = [];
  /** A volume was wiped, rotted or set back: data may be gone for good. */
  readonly harmed = new Set<string>();
  /** Of those, where bytes were changed behind the back of the process. */
  readonly spoiled = new Set<string>();
  readonly #scene: Scene;
  readonly #dice: Dice;
  readonly #drawn: readonly Kind[];
  readonly #gapMicros: number;
  /** The disk that latent harm always hits in an `available` run. */
  readonly #sick: Machine;
  readonly #ending = new Map<number, () => void>();
  readonly #troubled = new Map<Machine, number>();
  readonly #alone = new Set<Machine>();
  #number = 0;
  #stopped = false;

  constructor(scene: Scene, dice: Dice, budget: Budget, only: readonly string[] | null) {
    this.#scene = scene;
    this.#dice = dice;
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

  start(): void {
    this.#next();
  }

  /** Ends every fault; all machines run again. */
  stop(): void {
    this.#stopped = true;
    for (const end of [...this.#ending.values()]) end();
    this.#ending.clear();
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
    const kind = this.#dice.pick(this.#drawn);
    const victim = this.#victim(kind);
    if (victim === null) return;
    if (kind.alone === true) {
      if (this.#alone.has(victim) || this.#scene.asking()) return;
      this.#alone.add(victim);
    }
    const { world } = this.#scene;
    const lasts = this.#dice.spread(...LASTS);
    const number = this.#number;
    this.#number += 1;
    this.log.push(`${(world.now / 1e6).toFixed(3)} s ${kind.name} ${victim.name} ${lasts} us`);
    if (kind.latent === true || kind.loses === true) this.harmed.add(victim.name);
    if (kind.latent === true || kind.name === 'mountTwice') this.spoiled.add(victim.name);
    this.#trouble(victim, 1);
    const end = kind.begin(this.#scene, victim, this.#dice);
    const over = (): void => {
      if (!this.#ending.delete(number)) return;
      end();
      if (kind.alone === true) this.#alone.delete(victim);
      this.#trouble(victim, -1);
    };
    this.#ending.set(number, over);
    world.schedule(lasts, null, 'world', `end of ${kind.name}`, over);
  }

  #trouble(victim: Machine, by: number): void {
    this.#troubled.set(victim, (this.#troubled.get(victim) ?? 0) + by);
  }

  /** Whom a fault may hit now; null for nobody. */
  #victim(kind: Kind): Machine | null {
    const { replicas, controllers, clients } = this.#scene;
    const groups = [replicas, replicas, controllers];
    if (kind.on === 'any') groups.push(clients);
    const group = kind.on === 'replica' ? replicas : this.#dice.pick(groups);
    if (this.budget === 'anything') return this.#dice.pick(group);
    if (kind.latent === true) return this.#mayHit(this.#sick, replicas) ? this.#sick : null;
    const victim = this.#dice.pick(group);
    return this.#mayHit(victim, group) ? victim : null;
  }

  /** Within the budget: nobody else of the group is in trouble, and all of them are whole. */
  #mayHit(victim: Machine, group: readonly Machine[]): boolean {
    if (group === this.#scene.clients) return true;
    const others = group.filter((machine) => machine !== victim);
    const calm = others.every((machine) => (this.#troubled.get(machine) ?? 0) === 0 && machine.up);
    if (!calm) return false;
    // The same machine again needs no rest; another one waits until the cluster is whole.
    return (this.#troubled.get(victim) ?? 0) > 0 || this.#scene.whole();
  }
}
