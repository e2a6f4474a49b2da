// What shows that something has come of a fault: counts of the parts that it disturbs.
//
// Of the machine that it strikes wherever that is known. So a fault that does nothing does not
// count, whatever it was meant to do.

import type { SimulatedDisk } from '../disk.ts';
import type { Machine } from '../machine.ts';
import type { Fabric } from '../wires/fabric.ts';
import type { Kind } from './scene.ts';

type Shows = Kind['shows'];

const ofWires =
  (what: keyof ReturnType<Fabric['countsAt']>): Shows =>
  ({ fabric }, { name }) =>
    fabric.countsAt(name)[what];

const ofDisk =
  (what: keyof SimulatedDisk['counts']): Shows =>
  (_scene, victim) =>
    victim.disk.counts[what];

const ofProcess =
  (what: keyof Machine['counts']): Shows =>
  (_scene, victim) =>
    victim.counts[what];

export const wires = {
  held: ofWires('held'),
  slowed: ofWires('slowed'),
  broken: ofWires('broken'),
} as const;

export const disk = {
  heldSyncs: ofDisk('heldSyncs'),
  slowed: ofDisk('slowed'),
  failedSyncs: ofDisk('failedSyncs'),
  failedReads: ofDisk('failedReads'),
  rotten: ofDisk('rotten'),
  misdirected: ofDisk('misdirected'),
  locksElsewhere: ofDisk('locksElsewhere'),
  full: (_scene, victim) => {
    const { refusedWrites, lessRoom } = victim.disk.counts;
    return refusedWrites + lessRoom;
  },
  replaced: (_scene, victim) => victim.disk.image.replaced,
} as const satisfies Record<string, Shows>;

export const done = {
  kills: ofProcess('kills'),
  powerFailures: ofProcess('powerFailures'),
  pauses: ofProcess('pauses'),
  stops: ofProcess('stops'),
} as const;

/** Orders that were carried out: that may be long after the end of the fault. */
export const order = {
  memberAdd: ({ operator }) => operator.done('memberAdd'),
  memberRemove: ({ operator }, { name }) => operator.done('memberRemove', name),
  memberReplace: ({ operator }, { name }) => operator.done('memberReplace', name),
  moveHead: ({ operator }, { name }) => operator.done('moveHead', name),
} as const satisfies Record<string, Shows>;

export const replacedSeats: Shows = ({ operator }) => operator.done('controllerReplace');

export const build: Shows = (scene, victim) => scene.isNext(victim);
