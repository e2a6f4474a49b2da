// The hand tool `journal`: one command line, one exit code.

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code is kept between runs: a start then takes a third of the time. Where the folder
// cannot be written, every start compiles again.
enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'journal'));

// Of what a library does that Node.js will refuse one day the user of a tool need not hear.
process.noDeprecation = true;

// What follows is loaded only now, so that the cache serves it.
const [name = '', ...args] = process.argv.slice(2);
const { isProcess, startProcess } = await import('./dev/start.ts');
if (isProcess(name)) await startProcess(name, args);
else {
  const { run } = await import('./program.ts');
  process.exitCode = await run(process.argv.slice(2));
}

// Whatever still holds the event loop (a socket that lingers, stdin) is no longer of use.
process.exit();
