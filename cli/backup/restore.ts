// `restore`: every journal of a backup (backup.ts), imported into a cluster.
//
// It may be run again after whatever end: a journal counts as restored when all of its file is
// there, and an import that was cut off is gone on with. What is there and is something else is
// left alone and told.

import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import type { CallOptions } from '../../client/index.ts';
import { type ErrorCode, JournalError, withMessage } from '../../protocol/errors.ts';
import { journalName, NUMBER_MAX } from '../../protocol/types.ts';
import { type ConnectionFlags, connected, withClient } from '../connection.ts';
import { command } from '../options.ts';
import { note, UsageError } from '../output.ts';
import { COMPLETE, SUFFIX } from './backup.ts';
import { type Importing, importFile } from './import.ts';

export function restoreCommand(): Command {
  const made = command(
    'restore <dir>',
    'Imports every journal of a backup that is not there yet, or not all of it.',
    'journal restore /backups/2026-01-31T03-00-00Z',
  );
  return connected(made).action((directory: string, flags: ConnectionFlags) =>
    withClient(flags, async (at) => {
      const restored = await restore(at, directory);
      if (flags.json) await at.output.json({ restored });
      else await at.output.line(`${restored} journals restored`);
    }),
  );
}

interface Restoring extends Importing {
  readonly client: Importing['client'] & {
    listJournals(options: CallOptions): Promise<readonly { readonly name: string }[]>;
  };
}

/** Answers how many journals were not there, or not whole. */
export async function restore(at: Restoring, directory: string): Promise<number> {
  const { client, signal } = at;
  const names = await journalsOf(directory);
  const before = new Set((await client.listJournals({ signal })).map(({ name }) => name));
  let restored = 0;
  let failure: unknown;
  for (const name of names) {
    try {
      const { records } = await restoreOne(at, directory, name);
      if (records === 0 && before.has(name)) {
        note(`${name} is there already, all of it`);
        continue;
      }
      restored += 1;
      note(`imported ${name}`);
    } catch (error) {
      // What is about one journal alone keeps no other from being restored.
      if (!isAboutOne(error)) throw error;
      if (failure === undefined) failure = error;
      else note(error.message);
    }
  }
  if (failure !== undefined) throw failure;
  return restored;
}

async function restoreOne(at: Importing, directory: string, name: string) {
  const path = join(directory, `${name}${SUFFIX}`);
  try {
    const open = () => createReadStream(path);
    return await importFile(at, journalName(name), open, { gapMax: NUMBER_MAX, resume: true });
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    throw withMessage(error, `${path}: ${error.message}`);
  }
}

/** It is damaged, is there and something else, or is refused by what the cluster allows. */
const ABOUT_ONE: ReadonlySet<ErrorCode> = new Set([
  'DAMAGED',
  'ALREADY_EXISTS',
  'INVALID_ARGUMENT',
  'LIMIT_EXCEEDED',
]);

const isAboutOne = (error: unknown): error is JournalError =>
  error instanceof JournalError && ABOUT_ONE.has(error.code);

/** Names of the journals of a backup. Throws UsageError where it is none, or is not whole. */
async function journalsOf(directory: string): Promise<readonly string[]> {
  const files = await readdir(directory).catch((): string[] => []);
  if (!files.includes(COMPLETE)) {
    throw new UsageError(
      `${directory} is no complete backup, allowed is a folder that backup made`,
    );
  }
  const found = files.filter((one) => one.endsWith(SUFFIX)).map((one) => basename(one, SUFFIX));
  const [count = '', ...named] = (await readFile(join(directory, COMPLETE), 'utf8'))
    .split('\n')
    .filter((line) => line !== '');
  const missing = named.filter((name) => !found.includes(name));
  if (missing.length > 0) {
    const gone = missing.map((name) => `${name}${SUFFIX}`).join(', ');
    throw new UsageError(`${directory} is not whole: ${gone} is missing`);
  }
  // Backups of before the names were written say the count alone.
  if (/^\d+$/.test(count) && Number(count) !== found.length) {
    throw new UsageError(
      `${directory} is not whole: it has ${found.length} files of journals, ` +
        `and was made with ${count}`,
    );
  }
  return found.sort();
}
