// `export`: a journal as a file that checks itself (records/exchange.ts); `import` brings it back.

import type { Command } from 'commander';
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
  const about = { journal: name, settings: kept };
  let begun = false;
  for (let from = firstLsn; !begun; ) {
    try {
      for await (const record of recordsThrough(at, journal, from, tailLsn)) {
        if (!begun) await output.write(writer.header({ ...about, firstLsn: from }));
        begun = true;
        await output.write(writer.record(record));
        if (!output.open) return;
        progress(`exported through LSN ${record.lsn} of ${tailLsn}`);
      }
      if (!begun) await output.write(writer.header({ ...about, firstLsn: from }));
      begun = true;
    } catch (error) {
      from = trimmedTo(error, begun, from);
    }
  }
  progress('');
  await output.write(writer.end(endLsn));
}

/** Where an export begins anew, since retention took its first records before they were read. */
function trimmedTo(error: unknown, begun: boolean, from: Lsn): Lsn {
  const trimmed = error instanceof JournalError && error.code === 'TRIMMED' && !begun;
  const { firstLsn = NO_LSN } = trimmed ? error.details : {};
  if (firstLsn <= from) throw error;
  return firstLsn;
}
