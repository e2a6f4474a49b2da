// `backup`: every journal of a cluster as files in a folder; restore.ts brings them back.
//
//   DIR/2026-01-31T03-00-00Z/orders.journal   what `export` writes, one file a journal
//   DIR/2026-01-31T03-00-00Z/complete         written last: without it the folder is no backup
//
// `complete` says how many journals there are, and then their names, a line each. Each journal is
// exported by a process of its own, so that what `export` proves holds here, too.

import { spawn } from 'node:child_process';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Connected, type ConnectionFlags, connected, withClient } from '../connection.ts';
import { command, wholeNumber } from '../options.ts';
import { note } from '../output.ts';

export const COMPLETE = 'complete';
export const SUFFIX = '.journal';
const KEEP_DEFAULT = 7;
/** After this long a folder without `complete` is one of a backup that failed: a day. */
const FAILED_MILLIS = 24 * 3_600_000;
const main = join(import.meta.dirname, '..', 'journal.js');

interface BackupFlags extends ConnectionFlags {
  readonly keep: number;
}

export function backupCommand(): Command {
  const made = command(
    'backup <dir>',
    'Exports every journal into a new folder of DIR, named by the time, and removes old ones.',
    'journal backup /backups --keep 14',
  );
  return connected(made)
    .option('--keep <count>', 'complete backups that stay', wholeNumber(1, 365), KEEP_DEFAULT)
    .action((directory: string, flags: BackupFlags) =>
      withClient(flags, (at) => backup(at, directory, flags)),
    );
}

async function backup(at: Connected, directory: string, flags: BackupFlags): Promise<void> {
  const { client, signal, output } = at;
  const folder = join(directory, folderName(new Date()));
  const names = (await client.listJournals({ signal })).map(({ name }) => name);
  await mkdir(directory, { recursive: true });
  // First: what failed before may be what leaves no room now.
  await removeFailed(directory);
  await mkdir(folder, { recursive: true });
  const isThere = async (name: string): Promise<boolean> =>
    (await client.listJournals({ signal })).some((one) => one.name === name);
  let exported: readonly string[];
  try {
    exported = await exportAll(folder, names, { flags, signal, isThere });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  // Where there is no journal, the cluster is new or another one: nothing goes for its sake.
  const all = exported.length === 0 ? [] : await backupsOf(directory, 'complete');
  for (const old of all.slice(0, -flags.keep)) {
    await rm(join(directory, old), { recursive: true });
    note(`removed ${old}`);
  }
  const done = `${exported.length} journals in ${folder}`;
  if (flags.json) await output.json({ folder, journals: exported.length });
  else await output.line(done);
}

const folderName = (time: Date): string =>
  time
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '-');

interface Exporting {
  readonly flags: BackupFlags;
  readonly signal: AbortSignal;
  readonly isThere: (name: string) => Promise<boolean>;
}

/** Names of those that were exported: one that was deleted meanwhile is nobody's loss. */
export async function exportAll(
  folder: string,
  names: readonly string[],
  { flags, signal, isThere }: Exporting,
): Promise<readonly string[]> {
  const done: string[] = [];
  for (const name of names) {
    const path = join(folder, `${name}${SUFFIX}`);
    try {
      await exportTo(`${path}.part`, [name, ...flagsOf(flags)], signal);
    } catch (error) {
      if (signal.aborted || (await isThere(name))) throw error;
      await rm(`${path}.part`, { force: true });
      note(`passed over ${name}, which was deleted meanwhile`);
      continue;
    }
    await rename(`${path}.part`, path);
    note(`exported ${name}`);
    done.push(name);
  }
  const said = [String(done.length), ...done].map((line) => `${line}\n`).join('');
  await writeFile(join(folder, COMPLETE), said, { flush: true });
  return done;
}

/** Younger ones may be those of a backup that is under way. */
async function removeFailed(directory: string): Promise<void> {
  const yesterday = folderName(new Date(Date.now() - FAILED_MILLIS));
  for (const name of await backupsOf(directory, 'failed')) {
    if (name >= yesterday) continue;
    await rm(join(directory, name), { recursive: true, force: true });
    note(`removed ${name}, which was never complete`);
  }
}

/** Names of backups that are complete or are not, the oldest first. */
async function backupsOf(
  directory: string,
  wanted: 'complete' | 'failed',
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (!/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/.test(name)) continue;
    const isComplete = (await readdir(join(directory, name))).includes(COMPLETE);
    if (isComplete === (wanted === 'complete')) found.push(name);
  }
  return found;
}

function flagsOf(flags: ConnectionFlags): readonly string[] {
  const given: (readonly [string, string | undefined])[] = [
    ['--endpoints', flags.endpoints.join(',')],
    ['--timeout', flags.timeout === undefined ? undefined : `${flags.timeout}ms`],
    ['--tls-ca', flags.tlsCa],
    ['--tls-cert', flags.tlsCert],
    ['--tls-key', flags.tlsKey],
    ['--tls-server-name', flags.tlsServerName],
  ];
  return given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}

/** Runs `export` with a file as its output, which is durable afterwards. */
async function exportTo(path: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const handle = openSync(path, 'w');
  try {
    const stdio = ['ignore', handle, 'inherit'] as const;
    const all = [main, 'export', ...args];
    const child = spawn(process.execPath, all, { stdio: [...stdio], signal });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new Error(`journal export ${args[0]} ended with code ${code}`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
