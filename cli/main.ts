// The hand tool `journal`: reads the command line, runs one command, ends with its exit code.

import { CommanderError } from 'commander';
import { EXIT, failureOf, Interrupted, reportFailure } from './output.ts';
import { buildProgram } from './program.ts';

/** Whether errors are wanted as JSON: asked before the command line is known to be right. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).includes('--json');
}

async function main(args: readonly string[]): Promise<number> {
  // A log reader or `head` that goes away on stderr is no reason to end.
  process.stderr.on('error', () => {});
  const program = buildProgram();
  if (args.length === 0) {
    process.stderr.write(program.helpInformation());
    return EXIT.usage;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    // Help and version are answers, not failures.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    // A command that needs another word has shown which ones there are.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    const failure = failureOf(error);
    reportFailure(failure, wantsJson(args));
    return failure.exitCode;
  }
}

// Whatever still holds the event loop (a socket that lingers, stdin) is no longer of use.
process.exit(await main(process.argv.slice(2)));
