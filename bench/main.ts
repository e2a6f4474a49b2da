// Runs the benchmarks one after another, each in a process of its own: `npm run bench -- NAME…`.

import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';

const asked = process.argv.slice(2);
const all = globSync('*.bench.ts', { cwd: import.meta.dirname }).sort();
const nameOf = (file: string): string => basename(file, '.bench.ts');
if (asked.includes('--help') || asked.includes('-h')) {
  process.stdout.write(`npm run bench [-- NAME…]   all, or these: ${all.map(nameOf).join(', ')}\n`);
  process.exit(0);
}
const unknown = asked.find((name) => !all.some((file) => nameOf(file) === name));
if (unknown !== undefined) {
  const names = all.map(nameOf).join(', ');
  process.stderr.write(`There is no benchmark "${unknown}". There are: ${names}.\n`);
  process.exit(2);
}
let failed = 0;
for (const file of all) {
  if (asked.length > 0 && !asked.includes(nameOf(file))) continue;
  console.log(`\n=== ${nameOf(file)}`);
  const path = join(import.meta.dirname, file);
  const { status } = spawnSync(process.execPath, [path], { stdio: 'inherit' });
  if (status !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
