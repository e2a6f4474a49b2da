// Every metric is in docs/operations.md, under its name.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openMetrics } from '../operator/controller/metrics.ts';
import { ReplicaMetrics } from '../replica/metrics.ts';

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'operations.md'), 'utf8');
const documented = new Set(page.match(/\bjournal_[a-z_]+/g));

test('the page on operations names every metric, and no other', () => {
  const registries = [new ReplicaMetrics().registry, openMetrics().registry];
  const names = registries.flatMap((one) => one.getMetricsAsArray().map(({ name }) => name));
  assert.deepEqual([...documented].sort(), names.sort());
});
