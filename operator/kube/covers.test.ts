// What is drift and what is not: quantities in other words are none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference } from './covers.ts';

test('quantities that mean the same are no drift, others are', () => {
  for (const [wanted, found] of [
    ['.5', '500m'],
    ['1e3', '1k'],
    ['2E9', 2_000_000_000],
    ['1.5Gi', '1536Mi'],
    ['1E', '1000P'],
    ['25e-1', '2500m'],
    ['1.4Gi', '1503238553600m'],
    ['0.0001', '100u'],
    ['4.1G', '4100M'],
    // The API server knows no less than a thousandth, and rounds up.
    ['1n', '1m'],
    ['1500u', '2m'],
    ['1e-50', '1m'],
    ['100.0001Ki', '102400103m'],
  ] as const) {
    const at = (cpu: string | number) => ({ limits: { cpu } });
    assert.equal(difference(at(wanted), at(found)), null, `${wanted} is ${found}`);
  }
  for (let milli = 1; milli < 8_000; milli += 1) {
    const cpu = (milli / 1_000).toFixed(3);
    assert.equal(difference({ cpu }, { cpu: `${milli}m` }), null, cpu);
    assert.equal(difference({ cpu }, { cpu: `${milli + 1}m` }), 'cpu', cpu);
  }
  assert.equal(difference({ memory: '68719476736' }, { memory: '68719476737' }), 'memory');
  assert.equal(difference({ cpu: '1500u' }, { cpu: '1m' }), 'cpu');
  assert.equal(difference({ cpu: '1e3' }, { cpu: '1e4' }), 'cpu');
  assert.equal(difference({ cpu: '1e' }, { cpu: '1' }), 'cpu');
});

test('a selector is all that it says: none, an empty one and a longer one are others', () => {
  const rule = (peer: object, port: object = { port: 7400 }) => ({
    spec: {
      ingress: [{ from: [{ podSelector: { matchLabels: { own: 'x' } } }, peer], ports: [port] }],
    },
  });
  const all = rule({ namespaceSelector: {} });
  const own = rule({ podSelector: {} });
  assert.equal(difference(own, own), null);
  assert.equal(difference(own, all), 'spec.ingress[0].from[1].podSelector');
  assert.equal(difference(all, own), 'spec.ingress[0].from[1].namespaceSelector');
  const both = rule({ podSelector: {}, namespaceSelector: {} });
  assert.equal(difference(own, both), 'spec.ingress[0].from[1].namespaceSelector');
  const ports = rule({ podSelector: {} }, { port: 7400, endPort: 9000 });
  assert.equal(difference(own, ports), 'spec.ingress[0].ports[0].endPort');
  const some = rule({ podSelector: { matchLabels: { theirs: 'x' } } });
  assert.equal(difference(own, some), 'spec.ingress[0].from[1].podSelector.matchLabels');
  for (const [wanted, found, path] of [
    [{ selector: { a: 'x' } }, { selector: { a: 'x', theirs: 'x' } }, 'selector.theirs'],
    [
      { podSelector: { matchLabels: { a: 'x' } } },
      { podSelector: { matchLabels: { a: 'x', theirs: 'x' } } },
      'podSelector.matchLabels.theirs',
    ],
  ] as const) {
    assert.equal(difference(wanted, found), path);
  }
});

test('empty maps that the API server leaves out are no drift, nor is what others add', () => {
  const wanted = { metadata: { labels: { a: 'x' }, annotations: {} }, spec: { nodeSelector: {} } };
  const found = { metadata: { labels: { a: 'x', theirs: 'x' } }, spec: { replicas: 1 } };
  assert.equal(difference(wanted, found), null);
  // What a user gives as `matchLabels: {}` comes back without it.
  assert.equal(difference({ labelSelector: { matchLabels: {} } }, { labelSelector: {} }), null);
});
