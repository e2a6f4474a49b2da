// What disks do to people: slow, stuck, full, failing, and bytes that change in secret.

import type { Machine } from '../machine.ts';
import type { Dice } from '../random.ts';
import type { Fault } from './scene.ts';

const nothing = (): void => {};

export const holdSyncs: Fault = ({ world }, victim, dice) => {
  victim.disk.faults.syncsHeldUntil = world.now + dice.spread(100_000, 6_000_000);
  return nothing;
};

export const slowDisk: Fault = (_scene, victim, dice) => {
  victim.disk.faults.slowFactor = dice.spread(5, 200);
  return () => {
    victim.disk.faults.slowFactor = 1;
  };
};

export const failSyncs: Fault = ({ world }, victim, dice) => {
  const before = victim.disk.counts.failedSyncs;
  victim.disk.faults.syncErrorChance = dice.odds(0.05, 1);
  const stop = (): boolean => {
    victim.disk.faults.syncErrorChance = 0;
    return victim.disk.counts.failedSyncs > before;
  };
  world.schedule(dice.spread(10_000, 500_000), null, 'world', 'syncs work again', stop);
  return stop;
};

export const failReads: Fault = (scene, victim, dice) => {
  const before = victim.disk.counts.failedReads;
  victim.disk.faults.readErrorChance = dice.odds(0.01, 0.5);
  victim.disk.faults.shortReadChance = dice.chance(0.5) ? dice.odds(0.01, 0.5) : 0;
  // A controller reads its disk when it starts, and only then.
  if (scene.controllers.includes(victim)) {
    victim.kill();
    victim.start();
  }
  return () => {
    victim.disk.faults.readErrorChance = 0;
    victim.disk.faults.shortReadChance = 0;
    return victim.disk.counts.failedReads > before;
  };
};

export const fullDisk: Fault = (_scene, victim) => {
  victim.disk.faults.takenBytes = victim.disk.image.capacityBytes;
  return () => {
    victim.disk.faults.takenBytes = 0;
  };
};

/** In the records of users, which peers can mend. */
export const rot: Fault = (_scene, victim, dice) =>
  flip(victim, dice, (path) => path.includes('/segments/'));

/** Anywhere: also in what tells the volume who it is, which only a person can replace. */
export const rotAll: Fault = (_scene, victim, dice) => flip(victim, dice, () => true);

/** A few bits; null where none of them was there. */
function flip(
  { disk }: Machine,
  dice: Dice,
  chosen: (path: string) => boolean,
): (() => void) | null {
  let flipped = 0;
  for (let bits = dice.between(1, 5); bits > 0; bits -= 1) flipped += Number(disk.rot(chosen));
  return flipped > 0 ? nothing : null;
}

export const misdirect: Fault = (_scene, victim, dice) => {
  const before = victim.disk.counts.misdirected;
  victim.disk.faults.misdirectChance = dice.odds(0.005, 0.2);
  return () => {
    victim.disk.faults.misdirectChance = 0;
    return victim.disk.counts.misdirected > before;
  };
};
