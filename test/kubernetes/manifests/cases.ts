// Wrong manifests against the real API server: each is refused, and says what and what is allowed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { journalCluster, makeNamespace, objectsOf, type Spec } from '../cases/cluster.ts';
import type { Lab } from '../lab/lab.ts';
import { CHANGES, GOOD_CHANGES } from './changes.ts';
import { RIGHT, VALUES } from './values.ts';
import { FIELDS, NEW, type Wrong } from './wrong.ts';

const root = join(import.meta.dirname, '..', '..', '..');

const NAMESPACE = 'wrong';

const dryRun = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];

export function manifestCases(theLab: () => Lab): void {
  test('the examples are accepted', async () => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    for (const name of ['minimal', 'full']) {
      const input = readFileSync(join(root, 'examples', `${name}.yaml`), 'utf8');
      await lab.kubectl(['--namespace', NAMESPACE, ...dryRun], { input });
    }
  });

  test('what looks odd and is right is accepted', async () => {
    for (const spec of RIGHT) {
      const input = JSON.stringify(journalCluster(NAMESPACE, 'orders', spec));
      await theLab().kubectl(dryRun, { input });
    }
  });

  test('what is made from what is accepted is accepted as well', async () => {
    for (const spec of RIGHT) {
      const items = objectsOf(NAMESPACE, spec);
      assert.ok(items.some(({ kind }) => kind === 'StatefulSet'));
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
      await theLab().kubectl(dryRun, { input });
    }
  });

  const fields = FIELDS.map(([field, spec, says]): Wrong => {
    return { what: `wrong ${field}`, spec, says };
  });
  const values = VALUES.flatMap(({ field, specOf, says, values: given }): readonly Wrong[] =>
    given.map((one) => ({ what: `${field}: ${JSON.stringify(one)}`, spec: specOf(one), says })),
  );
  for (const { what, name = 'orders', spec, says } of [...NEW, ...fields, ...values]) {
    test(`refused: ${what}`, async () => {
      const input = JSON.stringify(journalCluster(NAMESPACE, name, spec));
      const { code, stderr } = await theLab().tryKubectl(dryRun, { input });
      assert.notEqual(code, 0, 'it was accepted');
      assert.match(stderr.replace(/\s+/g, ' '), says);
    });
  }
  changeCases(theLab);
}

function changeCases(theLab: () => Lab): void {
  /** What a change answers, of a cluster that is suspended, so that no operator acts on it. */
  const change = async (from: Spec, to: Spec) => {
    const lab = theLab();
    const manifest = (spec: Spec): string =>
      JSON.stringify(journalCluster(NAMESPACE, 'changing', { suspend: true, ...spec }));
    await lab.kubectl(['apply', '-f', '-'], { input: manifest(from) });
    try {
      return await lab.tryKubectl(dryRun, { input: manifest(to) });
    } finally {
      await lab.kubectl(['--namespace', NAMESPACE, 'delete', 'journalcluster', 'changing']);
    }
  };

  for (const [what, from, to, says] of CHANGES) {
    test(`refused as a change: ${what}`, async () => {
      const { code, stderr } = await change(from, to);
      assert.notEqual(code, 0, 'it was accepted');
      assert.match(stderr.replace(/\s+/g, ' '), says);
    });
  }

  for (const [what, from, to] of GOOD_CHANGES) {
    test(`allowed as a change: ${what}`, async () => {
      const { code, stderr } = await change(from, to);
      assert.equal(code, 0, stderr);
    });
  }
}
