// What happens to the volume of a controller, which holds promises: it is gone, set back, or some
// of its bytes are others. Such an acceptor must not vote; where it does not come back by itself,
// another controller takes its seat.
//
// One spot at a time is spoiled, and then the process starts anew: two copies of the last record
// that are bad at once look like a save that never ended, and nobody can tell.

import { misdirect } from './disks.ts';
import type { Fault } from './scene.ts';

/** A new disk, left empty or formatted once more as the old one was. */
export const wipeController: Fault = (scene, victim, dice) => {
  victim.powerOff('none');
  victim.disk.image.wipe();
  scene.lost(victim);
  if (dice.chance(0.5)) victim.start();
  else void scene.formatAgain(victim).finally(() => victim.start());
  return () => {
    victim.start();
    scene.operator.changeControllers([victim], 1, 0);
  };
};

/** Long enough for the start after the copy to be known to all others. */
export const OLD_COPY_MICROS: readonly [number, number] = [500_000, 6_000_000];

/**
 * A copy of the volume is taken, the controller starts anew, and the copy is put back. Not where
 * others do not know of that start, which is the one gap that the docs name.
 */
export const oldController: Fault = (scene, victim) => {
  const copy = victim.disk.image.copy();
  const seats = scene.controllers.map(({ name }) => name).join();
  victim.kill();
  victim.start();
  return () => {
    const same = scene.controllers.map(({ name }) => name).join() === seats;
    if (!same || scene.operator.busy || !scene.isKnownToAll(victim)) return false;
    victim.powerOff('none');
    victim.disk.image.restore(copy);
    scene.lost(victim);
    victim.start();
    scene.operator.changeControllers([victim], 1, 0);
    return true;
  };
};

/** Anywhere on the volume; what is read is found bad there, or there is a second copy of it. */
export const rotController: Fault = (scene, victim) => {
  if (!victim.disk.rot(() => true)) return null;
  return () => {
    victim.kill();
    victim.start();
    scene.operator.attend(victim);
  };
};

export const misdirectController: Fault = (scene, victim, dice) => {
  const end = misdirect(scene, victim, dice);
  return () => {
    const came = end?.();
    victim.kill();
    victim.start();
    scene.operator.attend(victim);
    return came;
  };
};
