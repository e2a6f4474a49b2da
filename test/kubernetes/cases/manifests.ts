// Wrong manifests against the real API server: each is refused, and says what and what is allowed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Lab } from '../lab/lab.ts';
import { journalCluster, makeNamespace, type Spec } from './cluster.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const storage = { size: '1Gi' };

interface Wrong {
  readonly what: string;
  readonly spec: Spec;
  readonly name?: string;
  readonly says: RegExp;
}

const NEW: readonly Wrong[] = [
  { what: 'no storage', spec: {}, says: /spec\.storage: Required/ },
  {
    what: 'a field that does not exist',
    spec: { storage, membres: 3 },
    says: /unknown field "spec\.membres"/,
  },
  {
    what: 'no members',
    spec: { storage, members: 0 },
    says: /spec\.members: Invalid value: 0: .*greater than or equal to 1/,
  },
  {
    what: 'too many members',
    spec: { storage, members: 10 },
    says: /spec\.members: Invalid value: 10: .*less than or equal to 9/,
  },
  {
    what: 'members as a word',
    spec: { storage, members: 'three' },
    says: /spec\.members: Invalid value: "string": .*must be of type integer/,
  },
  {
    what: 'a size that is no quantity',
    spec: { storage: { size: 'large' } },
    says: /spec\.storage\.size: Invalid value: "large"/,
  },
  {
    what: 'a volume that is too small',
    spec: { storage: { size: '1Mi' } },
    says: /spec\.storage: .*size is at least 256Mi/,
  },
  {
    what: 'an even number of controllers',
    spec: { storage, controllers: { count: 2 } },
    says: /spec\.controllers\.count: .*count is odd, allowed are 1, 3 and 5/,
  },
  {
    what: 'zones and a number of zones',
    spec: { storage, zones: ['a'], zoneCount: 3 },
    says: /zones and zoneCount exclude each other/,
  },
  {
    what: 'a zone twice',
    spec: { storage, zones: ['a', 'a'] },
    says: /spec\.zones\[1\]: Duplicate value: "a"/,
  },
  { what: 'no zone', spec: { storage, zones: [] }, says: /spec\.zones: .*at least 1 items/ },
  {
    what: 'a zone that can be no label',
    spec: { storage, zones: ['A!'] },
    says: /spec\.zones\[0\]: Invalid value: "A!"/,
  },
  {
    what: 'more copies than members',
    spec: { storage, members: 2, replicationFactor: 3 },
    says: /replicationFactor is at most the number of members/,
  },
  {
    what: 'more needed copies than copies',
    spec: { storage, members: 3, replicationFactor: 2, minReplicas: 3 },
    says: /minReplicas is at most replicationFactor/,
  },
  {
    what: 'a pull policy that does not exist',
    spec: { storage, imagePullPolicy: 'Sometimes' },
    says: /spec\.imagePullPolicy: .*supported values: "Always", "IfNotPresent", "Never"/,
  },
  {
    what: 'a deletion policy that does not exist',
    spec: { storage, deletionPolicy: 'Recycle' },
    says: /spec\.deletionPolicy: .*supported values: "Retain", "Delete"/,
  },
  {
    what: "a label of the operator's own",
    spec: { storage, podTemplate: { labels: { 'journal.dev/cluster': 'x' } } },
    says: /spec\.podTemplate\.labels: .*are the operator's own/,
  },
  {
    what: 'a name that is too long',
    name: 'a'.repeat(37),
    spec: { storage },
    says: /metadata\.name may have at most 36 characters/,
  },
  {
    what: 'a name that can be no Service',
    name: '1st.orders',
    spec: { storage },
    says: /metadata\.name begins with a letter/,
  },
  {
    what: 'a journal twice',
    spec: { storage, journals: [{ name: 'a' }, { name: 'a' }] },
    says: /spec\.journals\[1\]: Duplicate value/,
  },
  {
    what: 'a journal with a wrong name',
    spec: { storage, journals: [{ name: 'Orders' }] },
    says: /spec\.journals\[0\]\.name: Invalid value: "Orders"/,
  },
  {
    what: 'an issuer without TLS',
    spec: { storage, tls: { mode: 'Disabled', issuerSecretName: 'x' } },
    says: /issuerSecretName is of no use while mode is Disabled/,
  },
];

/** Changes of what is there, which the first spec allows and the second does not. */
const CHANGES: readonly (Omit<Wrong, 'spec'> & { readonly from: Spec; readonly to: Spec })[] = [
  {
    what: 'a volume that shrinks',
    from: { storage },
    to: { storage: { size: '512Mi' } },
    says: /spec\.storage: .*size may grow and never shrink/,
  },
  {
    what: 'another storage class',
    from: { storage: { ...storage, className: 'zonal' } },
    to: { storage: { ...storage, className: 'other' } },
    says: /spec\.storage: .*className is immutable/,
  },
  {
    what: 'TLS switched off',
    from: { storage, tls: { mode: 'Mutual' } },
    to: { storage, tls: { mode: 'Disabled' } },
    says: /spec\.tls: .*mode is immutable/,
  },
  {
    what: 'another backup to restore',
    from: { storage, restore: { claimName: 'x', path: 'a' } },
    to: { storage, restore: { claimName: 'x', path: 'b' } },
    says: /restore is immutable/,
  },
];

const NAMESPACE = 'wrong';

export function manifestCases(theLab: () => Lab): void {
  const dryRun = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];

  test('the examples are accepted', async () => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    for (const name of ['minimal', 'full']) {
      const input = readFileSync(join(root, 'examples', `${name}.yaml`), 'utf8');
      await lab.kubectl(['--namespace', NAMESPACE, ...dryRun], { input });
    }
  });

  for (const { what, name = 'orders', spec, says } of NEW) {
    test(`refused: ${what}`, async () => {
      const input = JSON.stringify(journalCluster(NAMESPACE, name, spec));
      const { code, stderr } = await theLab().tryKubectl(dryRun, { input });
      assert.notEqual(code, 0, 'it was accepted');
      assert.match(stderr.replace(/\s+/g, ' '), says);
    });
  }

  for (const { what, from, to, says } of CHANGES) {
    test(`refused as a change: ${what}`, async () => {
      const lab = theLab();
      // Suspended, so that no operator acts on it.
      const manifest = (spec: Spec): string =>
        JSON.stringify(journalCluster(NAMESPACE, 'changing', { suspend: true, ...spec }));
      await lab.kubectl(['apply', '-f', '-'], { input: manifest(from) });
      try {
        const { code, stderr } = await lab.tryKubectl(dryRun, { input: manifest(to) });
        assert.notEqual(code, 0, 'it was accepted');
        assert.match(stderr.replace(/\s+/g, ' '), says);
      } finally {
        await lab.kubectl(['--namespace', NAMESPACE, 'delete', 'journalcluster', 'changing']);
      }
    });
  }
}
