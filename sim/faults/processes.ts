// What happens to a process and to the clock of its machine.

import type { CrashMode } from '../platter/file.ts';
import type { Fault } from './scene.ts';

export const kill: Fault = (_scene, victim) => {
  victim.kill();
  return () => victim.start();
};

export const powerOff: Fault = (_scene, victim, dice) => {
  victim.powerOff(dice.pick<CrashMode>(['some', 'some', 'none', 'all']));
  return () => victim.start();
};

export const pause: Fault = (_scene, victim) => {
  victim.pause();
  return () => victim.resume();
};

export const jump: Fault = (_scene, victim, dice) => {
  const by = dice.spread(1_000, 20_000_000) * (dice.chance(0.5) ? 1 : -1);
  victim.clock.jump(by);
  return () => {
    if (dice.chance(0.5)) victim.clock.jump(-by);
  };
};

export const drift: Fault = (_scene, victim, dice) => {
  victim.clock.drift(dice.between(-500, 500));
  return () => victim.clock.drift(dice.between(-100, 100));
};
