// The hand tool `journal`: one command line, one exit code.

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code is kept between runs: a start then takes a third of the time. Where the folder
// cannot be written, every start compiles again.
enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'journal'));

// Loaded only now, so that the cache serves it.
const { run } = await import('./program.ts');

// Whatever still holds the event loop (a socket that lingers, stdin) is no longer of use.
process.exit(await run(process.argv.slice(2)));
