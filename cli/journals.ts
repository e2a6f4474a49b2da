// Journals as a whole: `create`, `list`, `describe`, `trim`, `delete`.

import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { type Command, Option } from 'commander';
import {
  DEFAULT_SETTINGS,
  type JournalSettings,
  RECORD_BYTES_LIMIT,
} from '../protocol/configuration.ts';
import type { Lsn } from '../protocol/types.ts';
import type { JournalDescription } from '../transport/public.ts';
import { type ConnectionFlags, connected, withClient } from './connection.ts';
import {
  command,
  positiveLsnOption,
  type Retention,
  retention,
  size,
  wholeNumber,
} from './options.ts';
import { EXIT, Interrupted, UsageError } from './output.ts';

interface CreateFlags extends ConnectionFlags {
  readonly ifAbsent?: boolean;
  readonly retain?: Retention;
  readonly replicas?: number;
  readonly minReplicas?: number;
  readonly allowSolo?: boolean;
  readonly recordMax?: number;
  readonly batchMax?: number;
}

export function createCommand(): Command {
  const made = command(
    'create <journal>',
    'Creates a journal. Its first record will have LSN 1.',
    'journal create orders --retain 7d --retain 100GiB',
  );
  const limit = size(1, RECORD_BYTES_LIMIT);
  return connected(made)
    .option('--if-absent', 'no error where it exists already')
    .addOption(
      new Option(
        '--retain <age-or-size>',
        'trim what is older, or above the size; twice for both',
      ).argParser(retention),
    )
    .addOption(
      new Option('--replicas <count>', 'members of the chain').argParser(wholeNumber(1, 5)),
    )
    .addOption(
      new Option('--min-replicas <count>', 'refuse appends while fewer serve').argParser(
        wholeNumber(1, 5),
      ),
    )
    .option('--allow-solo', 'accept appends while a single member serves: --min-replicas 1')
    .addOption(new Option('--record-max <size>', 'largest record, up to 16MiB').argParser(limit))
    .addOption(new Option('--batch-max <size>', 'largest batch, up to 16MiB').argParser(limit))
    .action((name: string, flags: CreateFlags) => {
      const settings = settingsOf(flags);
      const ifAbsent = flags.ifAbsent ?? false;
      return withClient(flags, async ({ client, output, signal }) => {
        const made = await client.createJournal(name, { ifAbsent, settings, signal });
        const { journal } = made.configuration;
        if (flags.json) await output.json({ journal: name, name, id: journal });
      });
    });
}

export function settingsOf(
  flags: Omit<CreateFlags, keyof ConnectionFlags>,
): Partial<JournalSettings> {
  if (flags.allowSolo && flags.minReplicas !== undefined && flags.minReplicas !== 1) {
    throw new UsageError(
      `--min-replicas is ${flags.minReplicas} and --allow-solo is given, allowed is one of them`,
    );
  }
  const { replicas } = flags;
  const minReplicas = flags.allowSolo ? 1 : flags.minReplicas;
  // How many copies are usual is for the cluster to say: only what is given can contradict itself.
  if (replicas !== undefined && (minReplicas ?? DEFAULT_SETTINGS.minReplicas) > replicas) {
    const given = minReplicas ?? `left out, which is ${DEFAULT_SETTINGS.minReplicas}`;
    throw new UsageError(
      `--min-replicas is ${given}, allowed is at most --replicas, which is ${replicas}`,
    );
  }
  const { retain, recordMax, batchMax } = flags;
  return {
    ...retain,
    ...(replicas === undefined ? {} : { replicationFactor: replicas }),
    ...(minReplicas === undefined ? {} : { minReplicas }),
    ...(recordMax === undefined ? {} : { recordBytesMax: recordMax }),
    ...(batchMax === undefined ? {} : { batchBytesMax: batchMax }),
  };
}

export function listCommand(): Command {
  const made = command('list', 'Prints the names of the journals.', 'journal list');
  return connected(made).action((flags: ConnectionFlags) =>
    withClient(flags, async ({ client, output, signal }) => {
      const journals = await client.listJournals({ signal });
      const sorted = [...journals].sort((one, other) => (one.name < other.name ? -1 : 1));
      for (const { name, id } of sorted) {
        if (flags.json) await output.json({ journal: name, name, id });
        else await output.line(name);
      }
    }),
  );
}

export function describeCommand(): Command {
  const made = command(
    'describe <journal>',
    'Shows the settings, the chain, the positions and the cursors of a journal.',
    'journal describe orders',
  );
  return connected(made).action((name: string, flags: ConnectionFlags) =>
    withClient(flags, async ({ client, output, signal }) => {
      const description = await client.describeJournal(name, { signal });
      if (flags.json) return output.json({ name, ...description });
      await output.write(descriptionText(description));
    }),
  );
}

export function descriptionText(description: JournalDescription): string {
  const { configuration, firstLsn, tailLsn, committedLsn, bytes, cursors } = description;
  const { settings, serving, joining } = configuration;
  const keep = [
    ...(settings.retainMillis > 0 ? [`${settings.retainMillis / 1000} s`] : []),
    ...(settings.retainBytes > 0 ? [`${settings.retainBytes} bytes`] : []),
  ];
  const member = ({ id, zone, address }: (typeof serving)[number]): string =>
    `${id} in ${zone} at ${address}`;
  const rows: [string, string | number][] = [
    ['journal', configuration.name],
    ['id', configuration.journal],
    ['lineage, epoch', `${configuration.lineage}, ${configuration.epoch}`],
    ['chain', serving.map(member).join(' → ')],
    ...(joining === null ? [] : [['joining', member(joining)] satisfies [string, string]]),
    ['first LSN', firstLsn],
    ['last record', tailLsn],
    ['committed LSN', committedLsn],
    ['bytes', bytes],
    ['replicas', `${settings.replicationFactor}, appends need ${settings.minReplicas}`],
    ['record, batch', `${settings.recordBytesMax}, ${settings.batchBytesMax} bytes at most`],
    ['retained', keep.length === 0 ? 'all' : keep.join(' and ')],
    ...cursors.map(({ name, lsn }) => [`cursor ${name}`, lsn] satisfies [string, number]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(16)}${value}\n`).join('');
}

interface TrimFlags extends ConnectionFlags {
  readonly through: Lsn;
  readonly force?: boolean;
}

export function trimCommand(): Command {
  const made = command(
    'trim <journal>',
    'Drops the records up to and including an LSN, and prints the first LSN left.',
    'journal trim orders --through 1000',
  );
  return connected(made)
    .addOption(
      new Option('--through <lsn>', 'the last record to drop')
        .argParser(positiveLsnOption)
        .makeOptionMandatory(),
    )
    .option('--force', 'past registered cursors as well')
    .action((name: string, flags: TrimFlags) =>
      withClient(flags, async ({ client, output, signal }) => {
        const { through, force = false } = flags;
        const firstLsn = await client.journal(name).trim(through, { force, signal });
        if (flags.json) await output.json({ firstLsn });
        else await output.line(String(firstLsn));
      }),
    );
}

interface DeleteFlags extends ConnectionFlags {
  readonly yes?: boolean;
}

export function deleteCommand(): Command {
  const made = command(
    'delete <journal>',
    'Deletes a journal with all its records, for ever.',
    'journal delete orders --yes',
  );
  return connected(made)
    .option('-y, --yes', 'do not ask')
    .action(async (name: string, flags: DeleteFlags) => {
      await confirm(`Delete the journal ${name} with all its records?`, flags.yes ?? false);
      await withClient(flags, async ({ client, output, signal }) => {
        await client.deleteJournal(name, { signal });
        if (flags.json) await output.json({ journal: name, name, deleted: true });
      });
    });
}

/** Asks at a terminal; elsewhere only `--yes` says yes. */
export async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError('nobody is there to be asked, allowed is --yes');
  }
  const answer = await typed(`${question} [y/N] `, process.stdin, process.stderr);
  if (!/^y(es)?$/i.test(answer.trim())) process.exit(EXIT.failed);
}

/** What a person types at a terminal; empty where they end their input. Rejects at ^C. */
export async function typed(question: string, input: Readable, output: Writable): Promise<string> {
  const asked = createInterface({ input, output, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      asked.once('SIGINT', () => reject(new Interrupted('SIGINT')));
      asked.once('close', () => resolve(''));
      // Once it is closed a question has no answer.
      asked.question(question).then(resolve, () => resolve(''));
    });
  } finally {
    asked.close();
  }
}
