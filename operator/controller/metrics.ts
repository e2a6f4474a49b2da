// What a controller counts, for Prometheus; a registry of its own, so that several controllers of
// one process (the simulator) do not share numbers.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Configuration } from '../../protocol/configuration.ts';
import type { ClusterStatus, JournalStatus } from '../../transport/public.ts';
import type { Cause } from './decide/situation.ts';

/** Every cause, kept complete by the compiler. */
const CAUSES: Readonly<Record<Cause, true>> = {
  silent: true,
  stuck: true,
  slow: true,
  failed: true,
  restart: true,
  behind: true,
  tooOld: true,
  leaving: true,
  stall: true,
  orphan: true,
  cold: true,
  promote: true,
  join: true,
  handOver: true,
  spread: true,
  forceLoss: true,
  outside: true,
};

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
  // From zero on: a counter that begins with its first event has not risen for Prometheus.
  for (const cause of Object.keys(CAUSES)) reconfigurations.inc({ cause }, 0);
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

const IN_CHAIN = ['head', 'middle', 'tail'];

/** The cluster as this controller sees it: set right before it is asked for. */
export class Gauges {
  readonly #writable: Gauge<'journal'>;
  readonly #members: Gauge<'journal'>;
  readonly #wanted: Gauge<'journal'>;
  readonly #epoch: Gauge<'journal'>;
  readonly #answering: Gauge<'kind'>;
  readonly #known: Gauge<'kind'>;

  constructor(registry: Registry) {
    const ofJournal = (name: string, help: string): Gauge<'journal'> =>
      new Gauge({ name, help, labelNames: ['journal'], registers: [registry] });
    const ofKind = (name: string, help: string): Gauge<'kind'> =>
      new Gauge({ name, help, labelNames: ['kind'], registers: [registry] });
    this.#writable = ofJournal('journal_writable', '1 while the journal takes appends.');
    this.#members = ofJournal('journal_chain_members', 'Members that serve and are in step.');
    this.#wanted = ofJournal('journal_chain_members_wanted', 'Its replication factor.');
    this.#epoch = ofJournal('journal_epoch', 'Epoch that was decided last.');
    this.#answering = ofKind('journal_processes_answering', 'Processes that answer, by kind.');
    this.#known = ofKind('journal_processes_known', 'Processes that should answer, by kind.');
  }

  set(status: ClusterStatus, configurations: readonly Configuration[]): void {
    for (const gauge of [this.#writable, this.#members, this.#wanted, this.#epoch]) gauge.reset();
    for (const one of status.journals) {
      const { name: journal, writable, epoch } = one;
      this.#writable.set({ journal }, writable ? 1 : 0);
      this.#members.set({ journal }, serving(one));
      this.#epoch.set({ journal }, epoch);
    }
    for (const { name: journal, deleted, settings } of configurations) {
      if (!deleted) this.#wanted.set({ journal }, settings.replicationFactor);
    }
    for (const kind of ['replica', 'controller'] as const) {
      const all = status.processes.filter((one) => one.kind === kind);
      this.#known.set({ kind }, all.length);
      this.#answering.set({ kind }, all.filter(({ reachable }) => reachable).length);
    }
  }
}

const serving = ({ members }: JournalStatus): number =>
  members.filter(({ role, live, synced }) => IN_CHAIN.includes(role) && live && synced).length;
