// What is decided once and stays: zones by their number, an image; and what cannot be had.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalCluster, JournalClusterSpec } from '../crd.ts';
import { decide, zonesMissing } from './settle.ts';

const clusterOf = (spec: Partial<JournalClusterSpec>): JournalCluster => ({
  apiVersion: '',
  kind: '',
  metadata: {
    ...{ name: 'orders', namespace: 'n', uid: 'u', generation: 1, resourceVersion: '1' },
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { storage: { size: '1Gi' }, ...spec },
});

const defaultsOf = (...nodeZones: readonly string[]) => ({
  ...{ image: 'journal:1', podMonitors: null, ipv6: false },
  nodeZones,
});

test('a number of zones keeps those in use, and is kept where there are not enough', () => {
  const steps: readonly (readonly [Partial<JournalClusterSpec>, string, string])[] = [
    [{ zoneCount: 1 }, 'c', 'c'],
    [{ zoneCount: 2 }, 'a b c', 'c a'],
    [{ zoneCount: 4 }, 'a b c', 'c a'],
    [{ zoneCount: 3 }, 'a b c', 'c a b'],
    [{ zoneCount: 1 }, 'a b c', 'c'],
    [{ zones: ['b', 'x'] }, 'a b c', 'b x'],
    [{ zoneCount: 2 }, 'a b c', 'b x'],
    [{}, 'a b c', 'b x'],
    [{ zoneCount: 3 }, '', 'b x'],
  ];
  let decided = decide(clusterOf({ zoneCount: 1 }), undefined, defaultsOf('c'));
  for (const [spec, there, zones] of steps) {
    decided = decide(clusterOf(spec), decided, defaultsOf(...there.split(' ').filter(Boolean)));
    assert.equal(decided.zones.join(' '), zones, JSON.stringify(spec));
  }
});

test('zones whose names no process takes are left out, and named', () => {
  const cluster = clusterOf({ zoneCount: 2 });
  const defaults = defaultsOf('AZ1', 'Zone_a', 'a');
  const { zones } = decide(cluster, undefined, defaults);
  assert.deepEqual(zones, []);
  assert.equal(
    zonesMissing(cluster, defaults, zones),
    'zoneCount is 2, and zones of nodes are: a; ' +
      'not AZ1, Zone_a, since names are of a-z, 0-9, "-" and "."',
  );
  const one = clusterOf({ zoneCount: 1 });
  assert.deepEqual(decide(one, undefined, defaults).zones, ['a']);
});

test('an image that there was none of is taken once there is one, and then stays', () => {
  const cluster = clusterOf({ image: 'own:1' });
  const defaults = defaultsOf('a');
  const without = decide(cluster, undefined, { ...defaults, image: '' });
  assert.equal(without.image, '');
  const later = decide(cluster, without, defaults);
  assert.equal(later.image, 'journal:1');
  assert.equal(decide(cluster, later, { ...defaults, image: 'journal:2' }).image, 'journal:1');
});
