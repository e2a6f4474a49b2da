// What goes wrong between machines: cuts, slow and broken links.

import type { Machine } from '../machine.ts';
import type { Fault, Scene } from './scene.ts';

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

export const cutSome: Fault = (scene, victim, dice) => {
  const all = dice.shuffle(others(scene, victim));
  return cut(scene, victim, all.slice(0, dice.between(1, 3)), dice.pick(['in', 'out', 'both']));
};

export const cutAll: Fault = (scene, victim, dice) =>
  cut(scene, victim, others(scene, victim), dice.pick(['in', 'out', 'both', 'both']));

export const slowLinks: Fault = ({ fabric, ...scene }, victim, dice) => {
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

export const breakLinks: Fault = ({ fabric, ...scene }, victim, dice) => {
  for (const { name } of others({ fabric, ...scene }, victim)) {
    if (dice.chance(0.5)) fabric.breakBetween(victim.name, name);
  }
  return nothing;
};

/** A proxy between the machines sends calls once more, some of them much later. */
export const repeatCalls: Fault = ({ fabric }, _victim, dice) => {
  fabric.faults.repeatChance = dice.odds(0.01, 0.5);
  return () => {
    fabric.faults.repeatChance = 0;
  };
};

/** Once in a while a frame stalls, or its connection breaks; for everybody. */
export const badWires: Fault = ({ fabric }, _victim, dice) => {
  fabric.faults.stallChance = dice.odds(0.001, 0.05);
  fabric.faults.breakChance = dice.odds(0.0003, 0.01);
  return () => {
    fabric.faults.stallChance = 0;
    fabric.faults.breakChance = 0;
  };
};
