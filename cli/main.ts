// The hand tool `journal`: one command line, one exit code. Started by journal.js.

import type { Command } from 'commander';
import { isProcess, startProcess } from './dev/start.ts';

// Of what a library does that Node.js will refuse one day the user of a tool need not hear.
process.noDeprecation = true;

const [name = '', ...args] = process.argv.slice(2);
if (isProcess(name)) await startProcess(name, args);
else {
  const { run } = await import('./line.ts');
  process.exitCode = await run(process.argv.slice(2), await treeFor(name));
}

/** `dev` without the other commands and the client that they need: its processes start sooner. */
async function treeFor(command: string): Promise<() => Command> {
  if (command !== 'dev') return (await import('./program.ts')).buildProgram;
  return (await import('./dev/dev.ts')).devProgram;
}

// Whatever still holds the event loop (a socket that lingers, stdin) is no longer of use.
process.exit();
