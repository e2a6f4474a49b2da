// Every metric is in docs/operations.md, under its name.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Registry } from 'prom-client';
import { silent } from '../io/logger.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { Gauges, openMetrics } from '../operator/controller/metrics.ts';
import { Cache } from '../operator/kube/cache.ts';
import { OperatorMetrics } from '../operator/metrics.ts';
import { WorkQueue } from '../operator/workqueue.ts';
import { ReplicaMetrics } from '../replica/metrics.ts';
import { MemoryKube } from './kube-api.ts';

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'operations.md'), 'utf8');
const documented = new Set(page.match(/\bjournal_[a-z_]+/g));

function operatorRegistry(leading = false, waiting: readonly string[] = []): Registry {
  const queue = new WorkQueue(nodeClock, nodeRandom());
  for (const key of waiting) queue.add(key);
  const parts = { api: new MemoryKube(), clock: nodeClock, random: nodeRandom(), logger: silent };
  const cache = new Cache(parts, {
    namespace: undefined,
    nodes: false,
    podMonitors: false,
    logger: silent,
    onChange: () => undefined,
  });
  return new OperatorMetrics({ cache, queue, counts: [], leads: () => leading }).registry;
}

test('the page on operations names every metric, and no other', () => {
  const controller = openMetrics().registry;
  new Gauges(controller);
  const registries = [new ReplicaMetrics().registry, controller, operatorRegistry()];
  const all = registries.flatMap((one) => one.getMetricsAsArray().map(({ name }) => name));
  const names = all.filter((name) => name.startsWith('journal_'));
  assert.deepEqual([...documented].sort(), names.sort());
});

test('an operator that waits for the Lease keeps no cluster waiting', async () => {
  const told = (leading: boolean): Promise<string> =>
    operatorRegistry(leading, ['n/a', 'n/b']).getSingleMetricAsString(
      'journal_operator_queue_length',
    );
  assert.match(await told(true), /^journal_operator_queue_length 2$/m);
  assert.match(await told(false), /^journal_operator_queue_length 0$/m);
});
