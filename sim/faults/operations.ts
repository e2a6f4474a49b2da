// What operators and orchestrators do while the cluster works.

import type { Fault } from './scene.ts';

const nothing = (): void => {};

/** A new disk in the place of the old one: it is formatted only once an operator says so. */
export const wipe: Fault = (scene, victim) => {
  victim.powerOff('none');
  victim.disk.image.wipe();
  return () => {
    victim.start();
    scene.ask({ kind: 'memberReplace', member: victim.name, by: victim.name });
  };
};

export const leave: Fault = (scene, victim) => {
  scene.ask({ kind: 'memberRemove', member: victim.name });
  return () => scene.ask({ kind: 'memberAdd', member: victim.name, zone: victim.zone });
};

export const moveHead: Fault = (scene, victim) => {
  for (const journal of scene.journals()) {
    scene.ask({ kind: 'moveHead', journal, member: victim.name });
  }
  return nothing;
};

/**
 * A copy of the volume is taken now and put back later, as from a backup; not while the copy might
 * be the last one left, which is the one gap that the docs name.
 */
export const oldCopy: Fault = (scene, victim) => {
  const copy = victim.disk.image.copy();
  return () => {
    const others = scene.replicas.filter((machine) => machine !== victim);
    if (!scene.answers() || others.some(({ up, paused }) => !up || paused)) return;
    victim.powerOff('none');
    victim.disk.image.restore(copy);
    victim.start();
  };
};

export const mountTwice: Fault = (scene, victim) => {
  const end = scene.mountTwice(victim);
  return () => {
    end();
    // The first process may have stepped back for good: it is started anew, as a person would.
    victim.kill();
    victim.start();
  };
};
