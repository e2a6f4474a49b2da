// What a journal remembers by name: `cursor`, positions that hold back its trims, and `key`, what
// conditions and fences compare.

import { Argument, type Command } from 'commander';
import { type Lsn, label } from '../protocol/types.ts';
import { type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, commandGroup, formatTime, lsnOption } from './options.ts';

export function cursorCommand(): Command {
  const about = 'Positions that a journal remembers by name, and that hold back its trims.';
  return commandGroup('cursor', about, 'journal cursor list orders')
    .addCommand(listCommand())
    .addCommand(setCommand())
    .addCommand(deleteCommand());
}

const nameArgument = (): Argument =>
  new Argument('<name>', 'of the cursor').argParser((text) => label('cursor', text));

function listCommand(): Command {
  const made = command(
    'list <journal>',
    'Prints each cursor, the last LSN that it consumed, and when it moved.',
    'journal cursor list orders',
  );
  return connected(made).action((journal: string, flags: ConnectionFlags) =>
    withClient(flags, async ({ client, output, signal }) => {
      const cursors = await client.journal(journal).cursors({ signal });
      for (const { name, lsn, updatedAt } of cursors) {
        if (flags.json) await output.json({ name, lsn, updatedMicros: updatedAt });
        else await output.line(`${name}\t${lsn}\t${formatTime(updatedAt)}`);
      }
    }),
  );
}

function setCommand(): Command {
  const made = command(
    'set <journal>',
    'Registers or moves a cursor: everything up to the LSN is consumed.',
    'journal cursor set orders billing 41',
  );
  return connected(made)
    .addArgument(nameArgument())
    .addArgument(new Argument('<lsn>', 'last one consumed, 0 for none').argParser(lsnOption))
    .action((journal: string, name: string, lsn: Lsn, flags: ConnectionFlags) =>
      withClient(flags, async ({ client, output, signal }) => {
        await client.journal(journal).setCursor(name, lsn, { signal });
        if (flags.json) await output.json({ name, lsn });
      }),
    );
}

function deleteCommand(): Command {
  const made = command(
    'delete <journal>',
    'Forgets a cursor.',
    'journal cursor delete orders billing',
  );
  return connected(made)
    .addArgument(nameArgument())
    .action((journal: string, name: string, flags: ConnectionFlags) =>
      withClient(flags, async ({ client, output, signal }) => {
        await client.journal(journal).setCursor(name, null, { signal });
        if (flags.json) await output.json({ name, deleted: true });
      }),
    );
}

// ── Keys ──────────────────────────────────────────────────────────────────────────────────────

export function keyCommand(): Command {
  const about = 'Keys of a journal: what --expect-key and --fence compare.';
  return commandGroup('key', about, 'journal key show orders worker')
    .addCommand(showKeyCommand())
    .addCommand(forgetKeyCommand());
}

const keyArgument = (): Argument => new Argument('<key>', 'at most 1,024 bytes');

function showKeyCommand(): Command {
  const made = command(
    'show <journal>',
    'Prints the LSN of the last record with the key, its fencing token, and the lease in ' +
      'milliseconds; 0 where there is none. Linearizable.',
    'journal key show orders worker',
  );
  return connected(made)
    .addArgument(keyArgument())
    .action((journal: string, key: string, flags: ConnectionFlags) =>
      withClient(flags, async ({ client, output, signal }) => {
        const state = await client.journal(journal).key(key, { signal });
        const { keyLsn, tokenLsn, leaseMillis } = state;
        if (flags.json) await output.json({ key, keyLsn, tokenLsn, leaseMillis });
        else await output.line(`${keyLsn}\t${tokenLsn}\t${leaseMillis}`);
      }),
    );
}

function forgetKeyCommand(): Command {
  const made = command(
    'forget <journal>',
    'Forgets a key that nobody leases, so that another one has room: conditions then see a key ' +
      'without a record, and its old fencing tokens stay wrong.',
    'journal key forget orders worker',
  );
  return connected(made)
    .addArgument(keyArgument())
    .action((journal: string, key: string, flags: ConnectionFlags) =>
      withClient(flags, async ({ client, output, signal }) => {
        await client.journal(journal).forgetKey(key, { signal });
        if (flags.json) await output.json({ key, forgotten: true });
      }),
    );
}
