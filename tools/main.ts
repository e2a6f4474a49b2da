// Builds the programs named, all without a name, and prints the path of each.
//
//   node tools/main.ts [NAME…]

import { build } from './build.ts';
import { tools } from './catalog.ts';

const asked = process.argv.slice(2);
const names = asked.length > 0 ? asked : [...tools.keys()];
try {
  const built = await build(names, (line) => void process.stderr.write(`${line}\n`));
  for (const path of built.values()) process.stdout.write(`${path}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
