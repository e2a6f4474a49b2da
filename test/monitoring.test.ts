// Rules, runbooks and dashboards are complete and agree. Promtool and Prometheus themselves judge
// them in test/seeing/.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { dashboardJson, dashboards } from '../scripts/dashboards.ts';
import { monitoring, ruleFiles, ruleTests } from './seeing/files.ts';

const root = join(import.meta.dirname, '..');
const RUNBOOKS = 'https://github.com/journal-log/journal/blob/main/docs/runbooks.md#';
interface Alert {
  readonly alert?: string;
  readonly labels?: { readonly severity?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

const read = (path: string): string => readFileSync(path, 'utf8');

const alerts = ruleFiles.flatMap((path) => {
  // cast: promtool checks the file; a field that is missing fails the tests below.
  const file = load(read(path)) as { groups: { rules: Alert[] }[] };
  return file.groups.flatMap(({ rules }) => rules.filter(({ alert }) => alert !== undefined));
});

test('each alert has a unit test, a severity and words', () => {
  assert.ok(alerts.length >= 20);
  const tests = ruleTests.map(read).join();
  for (const { alert = '', labels, annotations } of alerts) {
    assert.match(tests, new RegExp(`- alertname: ${alert}\\n`), alert);
    assert.ok(['critical', 'warning'].includes(labels?.severity ?? ''), alert);
    for (const name of ['summary', 'description']) assert.ok(annotations?.[name], alert);
  }
});

test('each alert has a runbook, and each runbook an alert', () => {
  const page = read(join(root, 'docs/runbooks.md'));
  const titles = [...page.matchAll(/^## (Journal\w+)$/gm)].map(([, title]) => title ?? '');
  assert.deepEqual(titles.toSorted(), alerts.map(({ alert = '' }) => alert).toSorted());
  for (const { alert = '', annotations } of alerts) {
    assert.equal(annotations?.runbook_url, `${RUNBOOKS}${alert.toLowerCase()}`);
    const [, about = ''] = page.split(new RegExp(`^## ${alert}$`, 'm'));
    const [text = ''] = about.split(/^## /m);
    for (const part of ['**Means**', '**Look**', '**Do**']) assert.ok(text.includes(part), alert);
  }
});

test('the dashboards are those of scripts/dashboards.ts', () => {
  for (const dashboard of dashboards) {
    const json = read(join(monitoring, dashboard.file));
    assert.equal(json, dashboardJson(dashboard), 'run node scripts/dashboards.ts');
  }
});
