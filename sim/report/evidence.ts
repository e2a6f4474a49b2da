// What was seen of a run, for those who tell or draw it.

import type { Operation } from '../checkers/history.ts';
import type { Cluster } from '../cluster.ts';
import type { Faults, Struck } from '../faults/faults.ts';
import type { LogLine } from '../machine.ts';
import type { Recorder } from '../recorder.ts';

/** Times are virtual microseconds. */
export interface Evidence {
  /** Names of the machines: controllers, replicas, clients, the doctor, and what else was there. */
  readonly machines: readonly string[];
  readonly operations: readonly Operation[];
  readonly faults: readonly Struck[];
  /** Turns of the loops of clients, in the order in which they began. */
  readonly turns: readonly string[];
  /** What the processes logged, as far as it is kept, by time. */
  readonly lines: readonly LogLine[];
  /** Why processes ended by themselves. */
  readonly exits: readonly string[];
  /** The cluster as it was told last. */
  readonly status: string;
}

export function evidenceOf(
  cluster: Cluster,
  { operations, turns }: Recorder,
  { struck }: Faults,
  status: string,
): Evidence {
  const machines = cluster.machines();
  return {
    machines: machines.map(({ name }) => name),
    operations,
    faults: struck,
    turns,
    lines: machines.flatMap(({ lines }) => lines).sort((one, other) => one.time - other.time),
    exits: machines.flatMap(({ exits }) => exits),
    status,
  };
}
