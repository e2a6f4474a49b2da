// The charts: checked, refused where values are wrong, installed, tested by themselves, removed.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attempt } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { type Helm, OPERATOR_NAMESPACE, OPERATOR as RELEASED } from '../lab/operator.ts';
import { whole } from './cluster.ts';

const charts = join(import.meta.dirname, '..', '..', '..', 'charts');
const OPERATOR = join(charts, 'journal-operator');
const CLUSTER = join(charts, 'journal-cluster');
const NAMESPACE = 'second';
const RELEASE = 'events';

const WRONG: readonly (readonly [chart: string, value: string, says: RegExp])[] = [
  [OPERATOR, 'replicas=many', /\/replicas': got string, want integer/],
  [OPERATOR, 'image.pullPolicy=Sometimes', /one of 'Always', 'IfNotPresent', 'Never'/],
  [OPERATOR, 'image.tag=a b', /at '\/image\/tag': 'a b' does not match pattern/],
  [OPERATOR, 'image.repository=journal:1', /at '\/image\/repository': .* does not match pattern/],
  [OPERATOR, 'nonsense=1', /additional properties 'nonsense' not allowed/],
  [OPERATOR, 'watch=null', /missing property 'watch'/],
  [OPERATOR, 'watch.allNamespaces=null', /'\/watch': missing property 'allNamespaces'/],
  [OPERATOR, 'watch.nodes=null', /'\/watch': missing property 'nodes'/],
  ...['logLevel', 'workers', 'trustSpreadSeconds'].map(
    (name) => [OPERATOR, `${name}=null`, new RegExp(`missing property '${name}'`)] as const,
  ),
  [OPERATOR, 'monitoring.runbookUrl=null', /'\/monitoring': missing property 'runbookUrl'/],
  [CLUSTER, 'test.image=null', /'\/test': missing property 'image'/],
  [OPERATOR, 'podLabels.helm\\.sh/chart=x', /invalid propertyName 'helm.sh\/chart'/],
  [CLUSTER, 'labels.app\\.kubernetes\\.io/name=x', /invalid propertyName/],
  [CLUSTER, 'nonsense=1', /additional properties 'nonsense' not allowed/],
  [CLUSTER, 'spec.membres=1', /'\/spec': additional properties 'membres' not allowed/],
];

export function chartCases(theLab: () => Lab, theHelm: () => Helm): void {
  test('helm finds nothing wrong with the charts', async () => {
    await theHelm()(['lint', '--strict', OPERATOR, CLUSTER]);
  });

  for (const [chart, value, says] of WRONG) {
    test(`refused: ${value} in ${chart.split('/').at(-1)}`, async () => {
      const lab = theLab();
      const refusal = theHelm()(['template', 'x', chart, '--set', value]);
      await assert.rejects(refusal, (error) => says.test(String(error)), lab.state.lab);
    });
  }

  test('a part of the spec that is empty means its defaults', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'journal-values-'));
    try {
      const values = join(folder, 'values.yaml');
      writeFileSync(values, 'spec:\n  zones: [a]\n  storage: { size: 1Gi }\n  tls:\n');
      const rendered = await theHelm()(['template', 'x', CLUSTER, '--values', values]);
      assert.match(rendered, /secretName: x-client/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('the definition of JournalCluster outlives the chart', async () => {
    const rendered = await theHelm()([
      'template',
      'x',
      OPERATOR,
      '--show-only',
      'templates/crd.yaml',
    ]);
    assert.match(rendered, /helm\.sh\/resource-policy: keep/);
    const dryRun = ['apply', '--dry-run=server', '--server-side', '--force-conflicts', '-f', '-'];
    const command = theLab().kubectlCommand(dryRun);
    assert.equal((await attempt(command, { input: rendered })).code, 0);
  });
}

export function releaseCases(theLab: () => Lab, theHelm: () => Helm): void {
  test('the operator is tested by its chart', { timeout: 300_000 }, async () => {
    await theHelm()(['test', RELEASED, '--namespace', OPERATOR_NAMESPACE, '--timeout=3m']);
  });

  test('a second cluster, from values, beside the first', { timeout: 300_000 }, async (context) => {
    const lab = theLab();
    const helm = theHelm();
    const where = ['--namespace', NAMESPACE];
    const values = ['--set', 'spec.zones={a,b,c}', '--set', 'spec.storage.size=1Gi'];
    await helm(['install', RELEASE, CLUSTER, ...where, '--create-namespace', ...values]);
    const { cluster, millis } = await whole(lab, NAMESPACE, RELEASE);
    context.diagnostic(`Ready and whole ${Math.round(millis / 1_000)} s after the installation`);
    assert.equal(cluster.status?.memberSummary, '3/3');
    await helm(['test', RELEASE, ...where, '--timeout=2m']);
    await helm(['uninstall', RELEASE, ...where, '--wait', '--timeout=2m']);
    await lab.kubectl(['delete', 'namespace', NAMESPACE, '--timeout=120s']);
  });
}
