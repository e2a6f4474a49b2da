// What the operator tells Prometheus of itself and of the clusters that it keeps.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Cache } from './kube/cache.ts';
import { conditionOf, textAt } from './kube/fields.ts';
import type { ApiCount } from './kube/http.ts';
import type { WorkQueue } from './workqueue.ts';

const CONDITIONS = ['Ready', 'Progressing', 'Degraded', 'Stalled', 'CertificatesValid'] as const;

export class OperatorMetrics {
  readonly registry = new Registry();
  readonly #passes: Counter<'result'>;
  readonly #seconds: Histogram;

  constructor(parts: {
    readonly cache: Cache;
    readonly queue: WorkQueue;
    readonly counts: readonly ApiCount[];
    readonly leads: () => boolean;
  }) {
    const { cache, queue, counts, leads } = parts;
    const registers = [this.registry];
    countRequests(counts, registers);
    collectDefaultMetrics({ register: this.registry });
    this.#passes = new Counter({
      name: 'journal_operator_reconcile_total',
      help: 'Passes over a cluster, by result.',
      labelNames: ['result'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'journal_operator_reconcile_seconds',
      help: 'How long a pass takes.',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    new Gauge({
      name: 'journal_operator_leader',
      help: '1 while this process holds the Lease.',
      registers,
      collect() {
        this.set(leads() ? 1 : 0);
      },
    });
    new Gauge({
      name: 'journal_operator_queue_length',
      help: 'Clusters that wait to be looked at; 0 in a process that does not hold the Lease.',
      registers,
      collect() {
        // All lie in the queue of one that waits for the Lease, and none waits for it.
        this.set(leads() ? queue.length : 0);
      },
    });
    new Gauge({
      name: 'journal_cluster_condition',
      help: '1 while the condition has the status.',
      labelNames: ['namespace', 'cluster', 'condition', 'status'],
      registers,
      collect() {
        this.reset();
        for (const object of cache.clusters()) {
          for (const condition of CONDITIONS) {
            const status = conditionOf(object, condition) ?? 'Unknown';
            const { namespace = '', name: cluster } = object.metadata;
            this.set({ namespace, cluster, condition, status }, 1);
          }
        }
      },
    });
    new Gauge({
      name: 'journal_cluster_info',
      help: 'One for each cluster, with its mode.',
      labelNames: ['namespace', 'cluster', 'mode'],
      registers,
      collect() {
        this.reset();
        for (const object of cache.clusters()) {
          const { namespace = '', name: cluster } = object.metadata;
          this.set({ namespace, cluster, mode: textAt(object, 'status', 'mode') ?? '' }, 1);
        }
      },
    });
  }

  passed(result: 'done' | 'failed', seconds: number): void {
    this.#passes.inc({ result });
    this.#seconds.observe(seconds);
  }
}

function countRequests(counts: readonly ApiCount[], registers: Registry[]): void {
  new Counter({
    name: 'journal_operator_api_requests_total',
    help: 'Requests to the API server, by method; those about leases apart.',
    labelNames: ['method', 'what'],
    registers,
    collect() {
      this.reset();
      for (const { method, what, count } of counts) this.inc({ method, what }, count);
    },
  });
}
