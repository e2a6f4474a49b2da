// `lead`: runs a command for as long as this process leads, and never longer.
//
// The command gets JOURNAL_FENCE=KEY=TOKEN. When the lease cannot be renewed it gets SIGTERM while
// there is time left to end well, and SIGKILL before the lease ends: whoever leads next starts
// after that. Clocks can be wrong and processes can be paused, so what the command appends is
// fenced by the token all the same.

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { type Command, Option } from 'commander';
import type { Leadership } from '../client/index.ts';
import { LEASE_MILLIS_MAX, LEASE_MILLIS_MIN } from '../client/input.ts';
import { type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, duration, keyOption } from './options.ts';
import { EXIT, Interrupted, note, UsageError } from './output.ts';

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
      '\nThe command finds JOURNAL_FENCE=KEY=TOKEN in its environment, which append honours.',
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
    const begin = () => spawn(file, args, { stdio: 'inherit', env });
    try {
      return await watch(begin, leadership, flags.lease, signal);
    } finally {
      await leadership.release();
    }
  });
}

/** Begins the command, and resolves with the exit code when it is gone, however it went. */
function watch(
  begin: () => ChildProcess,
  leadership: Leadership,
  leaseMillis: number,
  interrupted: AbortSignal,
): Promise<number> {
  const { lost } = leadership;
  const asked = (): void => {
    note('journal: the lease was not renewed, the command is asked to end');
    child.kill('SIGTERM');
  };
  // Looked at often and by the time that is left, so that a pause of this process adds no more.
  const timer = setInterval(
    () => {
      const over = leadership.remainingMillis() <= KILL_SHARE * leaseMillis;
      if (lost.aborted && over) child.kill('SIGKILL');
    },
    Math.max(10, leaseMillis / 100),
  );
  // This process may end before the command does, by a second ^C: nobody would watch it then.
  const abandon = (): void => void child.kill('SIGKILL');
  const hangUp = (): void => void child.kill('SIGTERM');
  // ^C of a terminal reaches the command by itself; SIGTERM came to this process alone.
  const pass = (): void => {
    if (
      interrupted.reason instanceof Interrupted &&
      interrupted.reason.exitCode === EXIT.terminated
    ) {
      child.kill('SIGTERM');
    }
  };
  // Before the command begins: a signal that found no handler would leave it to nobody.
  process.once('exit', abandon);
  process.on('SIGHUP', hangUp);
  const child = begin();
  lost.addEventListener('abort', asked);
  interrupted.addEventListener('abort', pass);
  return new Promise<number>((resolve, reject) => {
    child.on('error', (error) => {
      reject(new UsageError(`the command cannot be run: ${error.message}`));
    });
    child.on('exit', (code, signal) => {
      if (lost.aborted) resolve(EXIT.leadershipLost);
      else resolve(signal === null ? (code ?? EXIT.failed) : 128 + constants.signals[signal]);
    });
  }).finally(() => {
    clearInterval(timer);
    process.off('exit', abandon);
    process.off('SIGHUP', hangUp);
    lost.removeEventListener('abort', asked);
    interrupted.removeEventListener('abort', pass);
  });
}
