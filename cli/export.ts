// `export`: a journal as a file that checks itself (records/exchange.ts); `import` brings it back.

import type { Command } from 'commander';
import type { Journal } from '../client/index.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Lsn, NO_LSN } from '../protocol/types.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command } from './options.ts';
import { progress } from './output.ts';
import { ExportWriter } from './records/exchange.ts';
import { recordsThrough } from './subscribe.ts';

export function exportCommand(): Command {
  const made = command(
    'export <journal>',
    'Writes all records with their LSNs, keys and times to stdout, as a file that checks itself.',
    'journal export orders > orders.journal',
  );
  return connected(made).action((name: string, flags: ConnectionFlags) =>
    withClient(flags, (at) => exportJournal(at, name)),
  );
}

/** What `export` writes; see records/exchange.ts. */
export async function exportJournal(at: Connected, name: string): Promise<void> {
  const { client, output, signal } = at;
  const journal = client.journal(name);
  const { settings } = (await client.describeJournal(name, { signal })).configuration;
  const { tailLsn, endLsn, firstLsn } = await journal.tail({ signal });
  const { retainMillis: _age, retainBytes: _size, ...kept } = settings;
  const writer = new ExportWriter();
  const { from, first, records } = await begun(at, journal, firstLsn, tailLsn);
  await output.write(writer.header({ journal: name, firstLsn: from, settings: kept }));
  for (let next = first; !next.done; next = await records.next()) {
    await output.write(writer.record(next.value));
    if (!output.open) return;
    progress(`exported through LSN ${next.value.lsn} of ${tailLsn}`);
  }
  progress('');
  await output.write(writer.end(endLsn));
}

/** The first record, and where they begin: retention may take some before they are read. */
async function begun(at: Connected, journal: Journal, firstLsn: Lsn, tailLsn: Lsn) {
  for (let from = firstLsn; ; ) {
    const records = recordsThrough(at, journal, from, tailLsn);
    try {
      return { from, first: await records.next(), records };
    } catch (error) {
      from = trimmedTo(error, from);
    }
  }
}

function trimmedTo(error: unknown, from: Lsn): Lsn {
  const trimmed = error instanceof JournalError && error.code === 'TRIMMED';
  const { firstLsn = NO_LSN } = trimmed ? error.details : {};
  if (firstLsn <= from) throw error;
  return firstLsn;
}
