// What faults may touch, and what a fault is.

import type { Operator } from '../fleet/operator.ts';
import type { Machine } from '../machine.ts';
import type { Dice } from '../random.ts';
import type { Fabric } from '../wires/fabric.ts';
import type { World } from '../world.ts';

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
  /** Every journal is served by all members that it should have, as asked after `since`. */
  whole(since: number): boolean;
  /** Controllers tell the status of the cluster, and at least one member serves each journal. */
  answers(): boolean;
  readonly operator: Operator;
  /** The member serves every journal that there is, as far as is known. */
  serves(machine: Machine): boolean;
  isNext(machine: Machine): boolean;
  /** The next version runs at the next start. */
  upgrade(machine: Machine): void;
  /** The present version runs at the next start; false where the cluster has gone beyond it. */
  downgrade(machine: Machine): boolean;
  /** Told to stop; `start` begins it anew. */
  terminate(machine: Machine): void;
  /** Starts a second process on the machine's volume, elsewhere; the result ends it. */
  mountTwice(machine: Machine): () => void;
  /** The disk of a controller was lost or set back: its acceptor must not vote any more. */
  lost(machine: Machine): void;
  /** Formats the empty disk of a controller as it was formatted first, unless alone; tries once. */
  formatAgain(machine: Machine): Promise<void>;
  /** All other controllers have the last start of this one on their disks. */
  isKnownToAll(machine: Machine): boolean;
}

/**
 * One fault on one machine: begins now; the result ends it, and gives false where nothing has come
 * of the fault. Null where there was nothing to be done.
 */
export type Fault = (scene: Scene, victim: Machine, dice: Dice) => (() => unknown) | null;

export interface Kind {
  readonly name: string;
  /**
   * What is another value once something has come of the fault, while it lasts or at any time
   * after; nothing else than faults changes it.
   */
  readonly shows: (scene: Scene, victim: Machine) => number | boolean;
  readonly on: 'replica' | 'controller' | 'process' | 'any';
  /** Harms data in a way that only a later read shows. */
  readonly latent?: boolean;
  /** Leaves a volume of which nobody can demand that it comes back by itself. */
  readonly brutal?: boolean;
  /** Takes a whole copy of the data away. */
  readonly loses?: boolean;
  /** May cost a controller its seat: one at a time, and only where two others are left. */
  readonly seat?: boolean;
  /** Not while another of these is under way on the same machine: an operator waits for the one. */
  readonly alone?: boolean;
  /** How long it lasts, least and greatest in microseconds; as all others where left out. */
  readonly lasts?: readonly [number, number];
  readonly begin: Fault;
}
