// The plugin `kubectl journal`: bin/kubectl-journal, which kubectl finds on the PATH, starts it by
// way of kubectl-journal.js.

import { run } from '../line.ts';
import { buildPlugin } from './program.ts';

// Whatever still holds the event loop (a tunnel that lingers) is no longer of use.
process.exit(await run(process.argv.slice(2), buildPlugin));
