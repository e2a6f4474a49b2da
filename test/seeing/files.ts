// Where the rules, their unit tests and the dashboards are.

import { join } from 'node:path';

export const monitoring = join(import.meta.dirname, '../../charts/journal-operator/monitoring');

const both = (folder: string): readonly string[] =>
  ['cluster', 'operator'].map((what) => join(folder, `rules-${what}.yaml`));

export const ruleFiles = both(monitoring);
export const ruleTests = both(import.meta.dirname);
