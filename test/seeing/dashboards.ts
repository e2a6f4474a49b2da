// The queries of the dashboards as they lie in the chart, with their variables filled in.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitoring } from './files.ts';

export interface DashboardQuery {
  readonly panel: string;
  readonly expression: string;
}

export interface DashboardVariable {
  readonly name: string;
  /** Of `label_values(match, label)`. */
  readonly match: string;
  readonly label: string;
}

const read = (file: string) => JSON.parse(readFileSync(join(monitoring, file), 'utf8'));

const filled = (expression: string, values: Readonly<Record<string, string>>): string =>
  expression.replace(/\$(\w+)/g, (found, name: string) => values[name] ?? found);

/** `values` stand for the dashboard's variables, without the `$`. */
export function queriesOf(
  file: string,
  values: Readonly<Record<string, string>>,
): readonly DashboardQuery[] {
  const all = { __rate_interval: '1m', ...values };
  return read(file).panels.flatMap(
    (panel: { readonly title: string; readonly targets: readonly { readonly expr: string }[] }) =>
      panel.targets.map(({ expr }) => ({ panel: panel.title, expression: filled(expr, all) })),
  );
}

export function variablesOf(
  file: string,
  values: Readonly<Record<string, string>>,
): readonly DashboardVariable[] {
  return read(file).templating.list.flatMap((one: { name: string; definition?: string }) => {
    const parts = /^label_values\((.*), (\w+)\)$/.exec(one.definition ?? '');
    const [, match = '', label = ''] = parts ?? [];
    return parts === null ? [] : [{ name: one.name, match: filled(match, values), label }];
  });
}
