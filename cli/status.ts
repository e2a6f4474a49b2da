// `status` and `version`: what runs, where, and how it is.

import type { Command } from 'commander';
import { packageVersion } from '../io/node-process.ts';
import { JournalError } from '../protocol/errors.ts';
import type { ClusterStatus, JournalStatus, ProcessStatus } from '../transport/public.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command } from './options.ts';
import { isPassing, Output, progress } from './output.ts';

interface StatusFlags extends ConnectionFlags {
  readonly wait?: boolean;
}

const POLL_MILLIS = 100;
const WAIT_MILLIS = 60_000;

export function statusCommand(): Command {
  const made = command(
    'status',
    'Shows every process, and of every journal its epoch, its chain and its positions.',
    'journal status --wait',
    'journal status --json',
  );
  return connected(made)
    .option('--wait', 'until appends are accepted everywhere, at most --timeout or 60s')
    .action((flags: StatusFlags) =>
      withClient(flags, async (at) => {
        const status = flags.wait
          ? await readyStatus(at, flags.timeout ?? WAIT_MILLIS)
          : await at.client.status({ signal: at.signal });
        if (flags.json) await at.output.json(statusJson(status));
        else await at.output.write(statusText(status));
      }),
    );
}

/** Asks until the cluster is ready. Rejects with DEADLINE_EXCEEDED after `timeoutMillis`. */
export async function readyStatus(
  { client, signal }: Pick<Connected, 'client' | 'signal'>,
  timeoutMillis: number,
): Promise<ClusterStatus> {
  const until = performance.now() + timeoutMillis;
  let why = 'nobody answered';
  for (;;) {
    try {
      const left = Math.max(1, until - performance.now());
      const status = await client.status({ signal, timeoutMillis: Math.min(left, 1_000) });
      if (status.ready) {
        progress('');
        return status;
      }
      why = waitingFor(status);
    } catch (error) {
      if (!isPassing(error) || signal.aborted) throw error;
      why = error instanceof Error ? error.message : String(error);
    }
    progress(`waiting: ${why}`);
    if (performance.now() >= until) {
      progress('');
      throw new JournalError(
        'DEADLINE_EXCEEDED',
        `the cluster was not ready within ${timeoutMillis / 1000} s: ${why}`,
      );
    }
    await sleep(POLL_MILLIS, signal);
  }
}

export function sleep(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, millis);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Why what is told may not be all. */
export const PARTIAL = 'the registers are still being read: processes and journals may be missing';

function waitingFor({ partial, processes, journals }: ClusterStatus): string {
  if (partial) return PARTIAL;
  const blocked = journals.find(({ writable }) => !writable);
  if (blocked !== undefined) return `${blocked.name}: ${blocked.note || 'takes no appends yet'}`;
  const absent = processes.find(({ reachable }) => !reachable);
  if (absent !== undefined) return `${absent.id}: ${absent.note || 'is not reached yet'}`;
  return 'the cluster is not ready yet';
}

/** `role` says in one word what `kind` does: the name under which people look for it. */
export function statusJson(status: ClusterStatus): object {
  return {
    ...status,
    processes: status.processes.map((process) => ({ ...process, role: process.kind })),
    journals: status.journals.map((journal) => ({
      ...journal,
      chain: journal.members.filter(inChain).map(({ id }) => id),
    })),
  };
}

const inChain = ({ role }: JournalStatus['members'][number]): boolean =>
  ['head', 'middle', 'tail', 'joining'].includes(role);

function statusText({ cluster, ready, partial, processes, journals }: ClusterStatus): string {
  const state = partial ? `not ready; ${PARTIAL}` : ready ? 'ready' : 'not ready';
  const head = `cluster ${cluster}: ${state}\n`;
  const rows = processes.map(processRow);
  const titles = ['PROCESS', 'ROLE', 'ZONE', 'ADDRESS', 'PID', 'DATA', 'NOTE'];
  return `${head}\n${table(titles, rows)}${journals.map(journalText).join('')}`;
}

function processRow(process: ProcessStatus): string[] {
  const { id, kind, zone, address, pid, dataDirectory, reachable, note } = process;
  const state = note || (reachable ? '' : 'not reachable');
  return [id, kind, zone, address, String(pid), dataDirectory, state];
}

export function journalText(journal: JournalStatus): string {
  const { name, lineage, epoch, writable, note, members } = journal;
  const state = `${writable ? 'takes appends' : 'takes no appends'}${note ? `: ${note}` : ''}`;
  const rows = members.map((member) => [
    member.id,
    member.role,
    member.zone,
    member.live ? (member.synced ? 'synced' : 'syncing') : 'not live',
    String(member.committedLsn),
    String(member.durableLsn),
    String(member.lag),
  ]);
  const titles = ['MEMBER', 'ROLE', 'ZONE', 'STATE', 'COMMITTED', 'DURABLE', 'LAG'];
  return `\njournal ${name}, lineage ${lineage}, epoch ${epoch}: ${state}\n${table(titles, rows)}`;
}

export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [titles, ...rows];
  const widths = titles.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  return `${all.map(line).join('\n')}\n`;
}

export function versionCommand(): Command {
  return command('version', 'Prints the version of this tool.', 'journal version')
    .option('--json', 'JSON')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const version = packageVersion();
      const output = new Output();
      if (json) await output.json({ version, node: process.version });
      else await output.line(version);
      await output.flush();
    });
}
