// The plugin `kubectl journal`: started by bin/kubectl-journal, which kubectl finds on the PATH.

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'journal'));

// Loaded only now, so that the cache serves it.
const [{ run }, { buildPlugin }] = await Promise.all([
  import('../program.ts'),
  import('./program.ts'),
]);

// Whatever still holds the event loop (a tunnel that lingers) is no longer of use.
process.exit(await run(process.argv.slice(2), buildPlugin));
