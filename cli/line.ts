// One command line: how it is run, interrupted and ended. Loads no command by itself.

import { type Command, CommanderError } from 'commander';
import { AppendStopped, EXIT, failureOf, Interrupted, reportFailure } from './output.ts';

/** Errors come out as exceptions, so that one place writes them; help goes to stdout. */
function settle(command: Command): void {
  command.exitOverride();
  command.configureOutput({ outputError: () => {} });
  command.helpCommand(command.commands.length > 0);
  for (const below of command.commands) settle(below);
}

/** Whether errors are wanted as JSON: asked before the command line is known to be right. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).includes('--json');
}

/** Runs one command line of the tree that `build` makes; resolves with the exit code. */
export async function run(args: readonly string[], build: () => Command): Promise<number> {
  // A log reader or `head` that goes away on stderr is no reason to end.
  process.stderr.on('error', () => {});
  const program = build();
  settle(program);
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
    reportFailure(failure, program.name(), wantsJson(args));
    return failure.exitCode;
  }
}

/** Runs `work` with a signal that ^C and SIGTERM abort. */
export async function interruptible<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const stop = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (controller.signal.aborted) process.exit(new Interrupted(signal).exitCode);
    controller.abort(new Interrupted(signal));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    // A request that was cut off by ^C fails with an error of its own: why it failed counts.
    if (controller.signal.aborted && !(error instanceof AppendStopped))
      throw controller.signal.reason;
    throw error;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
