// `backup` and `restore`: every journal of a cluster as files in a folder, and back.
//
//   DIR/2026-01-31T03-00-00Z/orders.journal   what `export` writes, one file a journal
//   DIR/2026-01-31T03-00-00Z/complete         written last: without it the folder is no backup
//
// Each journal is exported by a process of its own, so that what `export` proves holds here, too. A
// restore leaves journals alone that are there already: it may be run again.

import { spawn } from 'node:child_process';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { type Connected, type ConnectionFlags, connected, withClient } from '../connection.ts';
import { command, wholeNumber } from '../options.ts';
import { note, UsageError } from '../output.ts';

const COMPLETE = 'complete';
const SUFFIX = '.journal';
const KEEP_DEFAULT = 7;
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

export function restoreCommand(): Command {
  const made = command(
    'restore <dir>',
    'Imports every journal of a backup that is not there yet.',
    'journal restore /backups/2026-01-31T03-00-00Z',
  );
  return connected(made).action((directory: string, flags: ConnectionFlags) =>
    withClient(flags, (at) => restore(at, directory, flags)),
  );
}

async function backup(at: Connected, directory: string, flags: BackupFlags): Promise<void> {
  const { client, signal, output } = at;
  const time = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '-');
  const folder = join(directory, time);
  await mkdir(folder, { recursive: true });
  const journals = await client.listJournals({ signal });
  for (const { name } of journals) {
    const path = join(folder, `${name}${SUFFIX}`);
    await run(['export', name, ...flagsOf(flags)], { to: `${path}.part` }, signal);
    await rename(`${path}.part`, path);
    note(`exported ${name}`);
  }
  await writeFile(join(folder, COMPLETE), `${journals.length}\n`, { flush: true });
  for (const old of (await completeBackups(directory)).slice(0, -flags.keep)) {
    await rm(join(directory, old), { recursive: true });
    note(`removed ${old}`);
  }
  const done = `${journals.length} journals in ${folder}`;
  if (flags.json) await output.json({ folder, journals: journals.length });
  else await output.line(done);
}

/** Names of complete backups, the oldest first. */
async function completeBackups(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (!/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/.test(name)) continue;
    if ((await readdir(join(directory, name))).includes(COMPLETE)) found.push(name);
  }
  return found;
}

async function restore(at: Connected, directory: string, flags: ConnectionFlags): Promise<void> {
  const { client, signal, output } = at;
  const files = await readdir(directory).catch((): string[] => []);
  if (!files.includes(COMPLETE)) {
    throw new UsageError(
      `${directory} is no complete backup, allowed is a folder that backup made`,
    );
  }
  const present = new Set((await client.listJournals({ signal })).map(({ name }) => name));
  let restored = 0;
  for (const file of files.filter((one) => one.endsWith(SUFFIX)).sort()) {
    const name = basename(file, SUFFIX);
    if (present.has(name)) {
      note(`${name} is there already`);
      continue;
    }
    await run(['import', name, ...flagsOf(flags)], { from: join(directory, file) }, signal);
    restored += 1;
    note(`imported ${name}`);
  }
  if (flags.json) await output.json({ restored });
  else await output.line(`${restored} journals restored`);
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

/** Runs this program with a file as its input or output; what it writes is durable afterwards. */
async function run(
  args: readonly string[],
  file: { readonly from: string } | { readonly to: string },
  signal: AbortSignal,
): Promise<void> {
  const writes = 'to' in file;
  const handle = writes ? openSync(file.to, 'w') : openSync(file.from, 'r');
  try {
    const stdio = writes
      ? (['ignore', handle, 'inherit'] as const)
      : ([handle, 'ignore', 'inherit'] as const);
    const child = spawn(process.execPath, [main, ...args], { stdio: [...stdio], signal });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new Error(`journal ${args[0]} ${args[1]} ended with code ${code}`);
    if (writes) fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
