// What operators and orchestrators do while the cluster works.

import { zone } from '../../protocol/types.ts';
import type { Machine } from '../machine.ts';
import type { Fault, Scene } from './scene.ts';

const nothing = (): void => {};

/** A new disk in the place of the old one: it is formatted only once an operator says so. */
export const wipe: Fault = (scene, victim) => {
  victim.powerOff('none');
  victim.disk.image.wipe();
  return () => {
    victim.start();
    scene.operator.ask({ kind: 'memberReplace', member: victim.name, by: victim.name });
  };
};

export const leave: Fault = (scene, victim) => {
  scene.operator.ask({ kind: 'memberRemove', member: victim.name });
  return () => scene.operator.ask({ kind: 'memberAdd', member: victim.name, zone: victim.zone });
};

export const moveHead: Fault = (scene, victim) => {
  for (const journal of scene.journals()) {
    scene.operator.ask({ kind: 'moveHead', journal, member: victim.name });
  }
  return nothing;
};

/** A copy that is older than this is known for one, by all controllers that lived meanwhile. */
const FLOOR_MICROS = 1_500_000;

/** Long enough for a floor above the copy to be known. */
export const COPY_AGE_MICROS: readonly [number, number] = [FLOOR_MICROS, 3 * FLOOR_MICROS];

/**
 * Of a copy that is taken now: whether floors above it are known. They are told once a second, and
 * a controller that starts anew may have lost those that it had not saved.
 */
function floorsAbove({ world, controllers }: Scene): () => boolean {
  const taken = world.now;
  const lives = new Set(controllers.map(({ actor }) => actor));
  return () =>
    // All faults may end before one has lasted.
    world.now - taken >= FLOOR_MICROS &&
    controllers.every(({ actor, up, paused }) => up && !paused && lives.has(actor));
}

/**
 * A copy of the volume is taken now and put back later, as from a backup; not while the copy might
 * be the last one left and younger than its floor, which is the one gap that the docs name.
 */
export const oldCopy: Fault = (scene, victim) => {
  const copy = victim.disk.image.copy();
  const isKnown = floorsAbove(scene);
  return () => {
    const others = scene.replicas.filter((machine) => machine !== victim);
    if (!scene.answers() || others.some(({ up, paused }) => !up || paused)) return false;
    if (!isKnown()) return false;
    victim.powerOff('none');
    victim.disk.image.restore(copy);
    victim.start();
    return true;
  };
};

/**
 * Every copy is lost but an old one of this member, or is taken for lost and comes back afterwards;
 * the operator goes on with the old one. Only where it serves every journal that all use, so that
 * there is something to go on with, and once in a run.
 */
export const forceLoss: Fault = (scene, victim, dice) => {
  const { operator } = scene;
  if (!scene.serves(victim) || operator.losses.length > 0) return null;
  // One that is alone may start anew right afterwards, before it has saved the last floors.
  if (scene.controllers.length < 3) return null;
  const copy = victim.disk.image.copy();
  const isKnown = floorsAbove(scene);
  const comeBack = dice.chance(0.5);
  return () => {
    if (!isKnown()) return false;
    if (operator.busy || operator.losses.length > 0 || !scene.serves(victim)) return false;
    const others = scene.replicas.filter((machine) => machine !== victim);
    for (const machine of [victim, ...others]) machine.powerOff('none');
    victim.disk.image.restore(copy);
    operator.forceLosses(victim, scene.journals(), others, comeBack);
    victim.start();
    for (const machine of comeBack ? [] : others) {
      machine.disk.image.wipe();
      machine.start();
    }
    return true;
  };
};

/** A second process on one volume, of a replica or of a controller, on another machine. */
export const mountTwice: Fault = (scene, victim) => {
  const isController = scene.controllers.includes(victim);
  // A group of one has nobody to ask who of the two is the later one: the docs say so.
  if (isController && scene.controllers.length < 3) return null;
  const end = scene.mountTwice(victim);
  return () => {
    end();
    // The first process may have stepped back for good: it is started anew, as a person would.
    victim.kill();
    victim.start();
    // And a controller that ran twice may be known for an old copy of itself: another one comes.
    if (isController) scene.operator.changeControllers([victim], 1, 0);
  };
};

// ── Members and controllers that come and go ──────────────────────────────────────────────────

const REPLICAS_MAX = 6;
const ZONES = ['a', 'b', 'c', 'd', 'e'] as const;

/** One member more, for a while or for good. */
export const addMember: Fault = (scene, _victim, dice) => {
  if (scene.replicas.length >= REPLICAS_MAX) return null;
  const machine = scene.operator.addMember(zone(dice.pick(ZONES)));
  const stays = dice.chance(0.5);
  return () => {
    if (!stays) scene.operator.removeMember(machine);
  };
};

/** Another member takes the place of this one. */
export const replaceMember: Fault = (scene, victim) => {
  if (scene.replicas.length >= REPLICAS_MAX) return null;
  scene.operator.replaceMember(victim, zone(victim.zone));
  return nothing;
};

const LINGER: readonly [number, number] = [1_000, 3_000_000];

export const replaceController: Fault = (scene, victim, dice) => {
  scene.operator.changeControllers([victim], 1, dice.spread(...LINGER));
  return nothing;
};

/** From one to three, from three to five, and back again. */
export const resizeControllers: Fault = (scene, victim, dice) => {
  const { controllers } = scene;
  const count = controllers.length;
  const grows = count === 1 || (count === 3 && dice.chance(0.5));
  const others = dice.shuffle(controllers.filter((machine) => machine !== victim));
  const out: readonly Machine[] = grows ? [] : [victim, ...others.slice(0, 1)];
  scene.operator.changeControllers(out, grows ? 2 : 0, dice.spread(...LINGER));
  return nothing;
};

// ── Versions ──────────────────────────────────────────────────────────────────────────────────

function restart(scene: Scene, victim: Machine): () => void {
  scene.terminate(victim);
  return () => victim.start();
}

/** Told to stop and started again, as for other settings. */
export const restartOrderly: Fault = restart;

/** One version up. */
export const upgrade: Fault = (scene, victim) => {
  scene.upgrade(victim);
  return restart(scene, victim);
};

/**
 * Back to the version before, as long as the cluster does not use what only the next one knows.
 * Who runs the present version is taken up first, for as long as this lasts.
 */
export const downgrade: Fault = (scene, victim) => {
  if (scene.isNext(victim)) return scene.downgrade(victim) ? restart(scene, victim) : null;
  scene.upgrade(victim);
  restart(scene, victim)();
  return () => {
    if (!scene.downgrade(victim)) return false;
    restart(scene, victim)();
    return true;
  };
};
