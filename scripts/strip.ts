// Keeps what Node.js makes of the sources without their types, so that an image starts at once.
//
//   node scripts/strip.ts FOLDER      in the image's build stage; FOLDER is that of cli/journal.js
//
// The text without types is the same for the same sources. Compiled code is not, and is taken out
// again: an image has to be the same, too. Entries are found by the version of Node.js and by the
// user alone; anybody else starts as if there were none.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

/** An entry is a header of five words and the text or the code. */
const HEADER_BYTES = 20;
const USER = 65_532;
const ENTRIES = [
  'client/index.ts',
  'replica/main.ts',
  'operator/main.ts',
  'operator/controller/main.ts',
  'transport/services/reflection.ts',
];

const [, , folder = ''] = process.argv;
const root = join(import.meta.dirname, '..');
// The tool itself runs where it is imported, and so is run.
execFileSync(process.execPath, [join(root, 'cli/journal.js'), 'version'], {
  env: { ...process.env, NODE_COMPILE_CACHE: folder },
});
enableCompileCache(folder);
for (const entry of ENTRIES) await import(join(root, entry));
flushCompileCache();

let kept = 0;
for (const version of readdirSync(folder)) {
  const path = join(folder, version);
  for (const name of readdirSync(path)) {
    const isCode = readFileSync(join(path, name)).subarray(HEADER_BYTES).includes(0);
    if (isCode) rmSync(join(path, name));
    else kept += 1;
  }
  renameSync(path, path.replace(/-\d+$/, `-${USER}`));
}
process.stdout.write(`${kept} files without their types\n`);
process.exit();
