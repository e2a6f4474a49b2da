// `export`: a journal as a file that checks itself (records/exchange.ts); `import` brings it back.

import type { Command } from 'commander';
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

async function exportJournal(at: Connected, name: string): Promise<void> {
  const { client, output, signal } = at;
  const journal = client.journal(name);
  const { settings } = (await client.describeJournal(name, { signal })).configuration;
  const { tailLsn, endLsn, firstLsn } = await journal.tail({ signal });
  const { retainMillis: _age, retainBytes: _size, ...kept } = settings;
  const writer = new ExportWriter();
  await output.write(writer.header({ journal: name, firstLsn, settings: kept }));
  for await (const record of recordsThrough(at, journal, firstLsn, tailLsn)) {
    await output.write(writer.record(record));
    if (!output.open) return;
    progress(`exported through LSN ${record.lsn} of ${tailLsn}`);
  }
  progress('');
  await output.write(writer.end(endLsn));
}
