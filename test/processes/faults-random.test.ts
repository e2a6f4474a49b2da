// Faults at random moments, on top of each other: progress is not promised, safety is.

import { after, before, describe, test } from 'node:test';
import { Cluster } from './cluster.ts';
import { atRandom } from './faults.ts';

describe('faults at random moments', { timeout: 1_800_000 }, () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ faults: true, links: true });
  });
  after(() => cluster?.close());

  test('lose and double nothing', { timeout: 1_800_000 }, (context) => atRandom(cluster, context));
});
