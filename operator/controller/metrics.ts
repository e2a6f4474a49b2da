// What a controller counts, for Prometheus; a registry of its own, so that several controllers of
// one process (the simulator) do not share numbers.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Cause } from './decide/situation.ts';

export interface Metrics {
  readonly registry: Registry;
  /** A configuration was decided here; `seconds` since the trouble was seen. */
  reconfigured(cause: Cause, seconds: number): void;
  /** Another proposer was first. */
  lost(): void;
  registerChange(seconds: number): void;
  members(answering: number, all: number): void;
  loopLate(seconds: number): void;
}

export function openMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const reconfigurations = new Counter({
    name: 'journal_reconfigurations_total',
    help: 'Configurations that this controller decided, by cause.',
    labelNames: ['cause'],
    registers,
  });
  const duration = new Histogram({
    name: 'journal_reconfiguration_seconds',
    help: 'From the first sight of the trouble to the decided configuration, by cause.',
    labelNames: ['cause'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15],
    registers,
  });
  const lost = new Counter({
    name: 'journal_reconfigurations_lost_total',
    help: 'Proposals that another controller was ahead of.',
    registers,
  });
  const change = new Histogram({
    name: 'journal_register_change_seconds',
    help: 'Time of one change of a register, its retries included.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3],
    registers,
  });
  const answering = new Gauge({
    name: 'journal_members_answering',
    help: 'Replicas that answer this controller.',
    registers,
  });
  const known = new Gauge({
    name: 'journal_members_known',
    help: 'Replicas that ever started.',
    registers,
  });
  const late = new Histogram({
    name: 'journal_controller_loop_late_seconds',
    help: 'How late the loop of the controller ran.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
  });
  return {
    registry,
    reconfigured: (cause, seconds) => {
      reconfigurations.inc({ cause });
      duration.observe({ cause }, seconds);
    },
    lost: () => lost.inc(),
    registerChange: (seconds) => change.observe(seconds),
    members: (up, all) => {
      answering.set(up);
      known.set(all);
    },
    loopLate: (seconds) => late.observe(seconds),
  };
}
