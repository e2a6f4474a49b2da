// `lead`: runs a command for as long as this process leads, and never longer.
//
// The command gets JOURNAL_FENCE=KEY=TOKEN. When the lease cannot be renewed it gets SIGTERM while
// there is time left to end well, and SIGKILL before the lease ends: whoever leads next starts
// after that. Both go to the group of the command, and so to all that a script has started.
// Clocks can be wrong and processes can be paused, so what the command appends is fenced by the
// token all the same.

import { type Command, Option } from 'commander';
import type { Leadership } from '../../client/index.ts';
import { LEASE_MILLIS_MAX, LEASE_MILLIS_MIN } from '../../client/input.ts';
import { type ConnectionFlags, connected, withClient } from '../connection.ts';
import { command, duration, keyOption } from '../options.ts';
import { EXIT, Interrupted, note, UsageError } from '../output.ts';
import { ProcessGroup } from './group.ts';

interface LeadFlags extends ConnectionFlags {
  readonly key: string;
  readonly lease: number;
}

const LEASE_MILLIS_DEFAULT = 5_000;
/** Nobody may have said for so long who leads: as long as `subscribe` goes on without an answer. */
const TIMEOUT_MILLIS = 60_000;
/** Of the lease: SIGTERM comes when this much is left, SIGKILL when that much is. */
const TERM_SHARE = 0.3;
const KILL_SHARE = 0.1;

export function leadCommand(): Command {
  const made = command(
    'lead <journal> <command...>',
    'Waits until it leads under the key, then runs the command while it does. Ends with the code ' +
      `of the command, or ${EXIT.leadershipLost} if leadership was lost.`,
    'journal lead orders --key worker -- ./run.sh',
  );
  return connected(made)
    .addOption(
      new Option('--key <key>', 'those with the same key compete')
        .argParser(keyOption)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--lease <duration>', 'others take over this long after the last renewal')
        .argParser(duration(LEASE_MILLIS_MIN, LEASE_MILLIS_MAX))
        .default(LEASE_MILLIS_DEFAULT, '5s'),
    )
    .addHelpText(
      'after',
      '\nThe command finds JOURNAL_FENCE=KEY=TOKEN in its environment, which append honours.' +
        '\nIt runs in a session of its own, and what it starts ends with it.',
    )
    .action(async (journal: string, words: readonly string[], flags: LeadFlags) => {
      process.exitCode = await lead(journal, words, flags);
    });
}

async function lead(name: string, words: readonly string[], flags: LeadFlags): Promise<number> {
  const [file, ...args] = words;
  if (file === undefined) throw new UsageError('the command is missing, allowed is a command');
  return withClient(flags, async ({ client, signal }) => {
    // ^C ends the campaign; once the command runs, it has to be gone before the lease goes back.
    const campaign = new AbortController();
    const give = (): void => campaign.abort(signal.reason);
    signal.addEventListener('abort', give);
    const leadership = await client.journal(name).lead(flags.key, {
      leaseMillis: flags.lease,
      marginMillis: Math.floor(TERM_SHARE * flags.lease),
      timeoutMillis: flags.timeout ?? TIMEOUT_MILLIS,
      signal: campaign.signal,
    });
    signal.removeEventListener('abort', give);
    if (signal.aborted) throw signal.reason;
    const fence = `${flags.key}=${leadership.token}`;
    const env = { ...process.env, JOURNAL_FENCE: fence };
    const begin = () => new ProcessGroup(file, args, env);
    try {
      return await watch(begin, leadership, flags.lease, signal);
    } finally {
      await leadership.release();
    }
  });
}

/**
 * Begins the command, and resolves with its exit code when it is gone, however it went, and all
 * that it left behind in its group as well: the lease goes back to nobody before.
 */
async function watch(
  begin: () => ProcessGroup,
  leadership: Leadership,
  leaseMillis: number,
  interrupted: AbortSignal,
): Promise<number> {
  const { lost } = leadership;
  const isOver = (): boolean => leadership.remainingMillis() <= KILL_SHARE * leaseMillis;
  const asked = (): void => {
    note('journal: the lease was not renewed, the command is asked to end');
    group.signal('SIGTERM');
  };
  const pass = (): void => {
    const { reason } = interrupted;
    const terminated = reason instanceof Interrupted && reason.exitCode === EXIT.terminated;
    group.signal(terminated ? 'SIGTERM' : 'SIGINT');
  };
  const handlers: readonly (readonly [string, () => void])[] = [
    // This process may end before the command does, by a second ^C: nobody would watch it then.
    ['exit', () => group.signal('SIGKILL')],
    ['SIGHUP', () => group.signal('SIGTERM')],
    // The terminal stops this process alone, and what nobody watches must not go on.
    [
      'SIGTSTP',
      () => {
        group.signal('SIGSTOP');
        process.kill(process.pid, 'SIGSTOP');
      },
    ],
    ['SIGCONT', () => group.signal(isOver() ? 'SIGKILL' : 'SIGCONT')],
  ];
  // Before the command begins: a signal that found no handler would leave it to nobody.
  for (const [event, handler] of handlers) process.on(event, handler);
  const group = begin();
  // Looked at often and by the time that is left, so that a pause of this process adds no more.
  const timer = setInterval(
    () => {
      if (lost.aborted && isOver()) group.signal('SIGKILL');
    },
    Math.max(10, leaseMillis / 100),
  );
  lost.addEventListener('abort', asked);
  interrupted.addEventListener('abort', pass);
  try {
    const code = await group.ended;
    await group.leave((TERM_SHARE - KILL_SHARE) * leaseMillis);
    return lost.aborted || isOver() ? EXIT.leadershipLost : code;
  } finally {
    clearInterval(timer);
    for (const [event, handler] of handlers) process.off(event, handler);
    lost.removeEventListener('abort', asked);
    interrupted.removeEventListener('abort', pass);
  }
}
