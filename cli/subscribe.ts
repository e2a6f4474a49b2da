// `subscribe`, `read` and `tail`: records and positions to stdout.

import { type Command, Option } from 'commander';
import type { Journal } from '../client/index.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Lsn, label, lsn, NUMBER_MAX } from '../protocol/types.ts';
import type { JournalRecord, StartPosition } from '../transport/public.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, formatOf, startPosition, wholeNumber } from './options.ts';
import { type Format, UsageError } from './output.ts';
import { formatRecord } from './records/format.ts';

interface ReadFlags extends ConnectionFlags {
  readonly from?: StartPosition;
  readonly last?: number;
  readonly limit?: number;
  readonly linearizable?: boolean;
  readonly raw?: boolean;
  readonly raw0?: boolean;
}

interface SubscribeFlags extends ReadFlags {
  readonly untilEnd?: boolean;
  readonly cursor?: string;
}

const PAGE_RECORDS = 1_000;
const PAGE_BYTES = 1024 * 1024;

const fromOption = (otherwise: string): Option =>
  new Option(
    '--from <position>',
    `first, next, an LSN or a time (default: ${otherwise})`,
  ).argParser(startPosition);
const lastOption = (): Option =>
  new Option('--last <count>', 'start with the last records').argParser(wholeNumber(1));
const limitOption = (): Option =>
  new Option('--limit <count>', 'end after this many records').argParser(wholeNumber(1));

const formats = (made: Command): Command =>
  connected(made)
    .option('--raw', 'the bytes of each record, a newline after it')
    .option('--raw0', 'the bytes of each record, a NUL after it');

export function subscribeCommand(): Command {
  const made = command(
    'subscribe <journal>',
    'Follows a journal and prints each record as it is committed: LSN, time and data.',
    'journal subscribe orders --from 1',
    'journal subscribe orders --cursor billing --json',
    'journal subscribe orders --last 10 --until-end',
  );
  return formats(made)
    .addOption(fromOption('next'))
    .addOption(lastOption())
    .addOption(limitOption())
    .option('--until-end', 'end with the last record that was there at the start')
    .addOption(
      new Option(
        '--cursor <name>',
        'go on after the last run, remember how far this one comes',
      ).argParser((text) => label('--cursor', text)),
    )
    .action((journal: string, flags: SubscribeFlags) => subscribe(journal, flags));
}

export function readCommand(): Command {
  const made = command(
    'read <journal>',
    'Prints the records that are there and ends.',
    'journal read orders --from 10 --limit 5',
  );
  return formats(made)
    .addOption(fromOption('first'))
    .addOption(lastOption())
    .addOption(limitOption())
    .option('--linearizable', 'prove with the whole chain that nothing newer is committed')
    .action((journal: string, flags: ReadFlags) => read(journal, flags));
}

export function tailCommand(): Command {
  const made = command(
    'tail <journal>',
    'Prints the LSN of the last committed record, 0 when there is none. Linearizable.',
    'journal tail orders',
  );
  return connected(made).action((name: string, flags: ConnectionFlags) =>
    withClient(flags, async ({ client, output, signal }) => {
      const answer = await client.journal(name).tail({ signal });
      const { tailLsn, endLsn, firstLsn } = answer;
      if (flags.json) await output.json({ tailLsn, endLsn, firstLsn });
      else await output.line(String(tailLsn));
    }),
  );
}

/** Where to start; `--from` and `--last` say the same thing in two ways. */
function startOf(flags: ReadFlags, otherwise: StartPosition): StartPosition {
  if (flags.from !== undefined && flags.last !== undefined) {
    throw new UsageError('--from and --last contradict each other, allowed is one of them');
  }
  if (flags.last !== undefined) return { kind: 'last', count: flags.last };
  return flags.from ?? otherwise;
}

async function subscribe(name: string, flags: SubscribeFlags): Promise<void> {
  const format = formatOf(flags);
  const from = startOf(flags, { kind: 'next' });
  await withClient(flags, async (at) => {
    const journal = at.client.journal(name);
    if (flags.untilEnd) return untilEnd(at, journal, flags, from, format);
    const signal = AbortSignal.any([at.signal, at.output.closed]);
    const cursor = flags.cursor === undefined ? {} : { cursor: flags.cursor };
    const records = journal.subscribe({ from, ...cursor, signal });
    try {
      await print(at, records, format, flags.limit ?? NUMBER_MAX);
    } catch (error) {
      // Following has no end of its own: ^C, or a reader that went away, is one.
      if (!signal.aborted) throw error;
    }
  });
}

async function print(
  at: Connected,
  records: AsyncIterable<JournalRecord>,
  format: Format,
  limit: number,
): Promise<Lsn | undefined> {
  let count = 0;
  let last: Lsn | undefined;
  for await (const record of records) {
    await at.output.write(...formatRecord(record, format));
    last = record.lsn;
    count += 1;
    if (count >= limit || !at.output.open) break;
  }
  return last;
}

async function untilEnd(
  at: Connected,
  journal: Journal,
  flags: SubscribeFlags,
  from: StartPosition,
  format: Format,
): Promise<void> {
  const { tailLsn } = await journal.tail({ signal: at.signal });
  const start = await cursorStart(at, journal, flags.cursor, from);
  const limit = flags.limit ?? NUMBER_MAX;
  const records = pages(at, journal, { from: start, through: tailLsn, limit, proof: 'wanted' });
  const last = await print(at, records, format, limit);
  await at.output.flush();
  if (flags.cursor !== undefined && last !== undefined && at.output.open) {
    await journal.setCursor(flags.cursor, last, { signal: at.signal });
  }
}

async function cursorStart(
  at: Connected,
  journal: Journal,
  name: string | undefined,
  otherwise: StartPosition,
): Promise<StartPosition> {
  if (name === undefined) return otherwise;
  const cursors = await journal.cursors({ signal: at.signal });
  const cursor = cursors.find((one) => one.name === name);
  return cursor === undefined ? otherwise : { kind: 'lsn', lsn: lsn(cursor.lsn + 1) };
}

async function read(name: string, flags: ReadFlags): Promise<void> {
  const format = formatOf(flags);
  const from = startOf(flags, { kind: 'first' });
  const limit = flags.limit ?? NUMBER_MAX;
  const proof = flags.linearizable ? 'needed' : 'wanted';
  await withClient(flags, async (at) => {
    const records = pages(at, at.client.journal(name), { from, through: null, limit, proof });
    await print(at, records, format, limit);
  });
}

export interface PageRange {
  readonly from: StartPosition;
  /** The last position of interest; null for the end as the first answer knows it. */
  readonly through: Lsn | null;
  readonly limit: number;
  /**
   * Whether the whole chain must vouch that the first answer is the newest state. Wanted: so that a
   * read sees what an append before it wrote; where the chain does not answer within a second, what
   * a replica has is good enough.
   */
  readonly proof: 'needed' | 'wanted';
}

const PROOF_MILLIS = 1_000;

/** All records of a range, a page of at most 1 MiB in memory. */
export async function* pages(
  at: Pick<Connected, 'signal'>,
  journal: Journal,
  range: PageRange,
): AsyncGenerator<JournalRecord> {
  const request = { limit: Math.min(range.limit, PAGE_RECORDS), bytesMax: PAGE_BYTES };
  const { signal } = at;
  let { from, through } = range;
  // A page that ends below what is known to be committed came from a replica that lags.
  let proof: 'none' | PageRange['proof'] = range.proof;
  for (;;) {
    const page = { ...request, from, signal };
    const answer = await (proof === 'wanted'
      ? newest(journal, page)
      : journal.read({ ...page, linearizable: proof === 'needed' }));
    through ??= answer.committedLsn;
    for (const record of answer.records) {
      if (record.lsn > through) return;
      yield record;
    }
    if (answer.nextLsn > through) return;
    const lags = answer.nextLsn > answer.committedLsn;
    if (lags && proof !== 'none') return;
    proof = lags ? 'wanted' : 'none';
    from = { kind: 'lsn', lsn: answer.nextLsn };
  }
}

/** A linearizable read, or a plain one where that cannot be had in time. */
async function newest(
  journal: Journal,
  page: Parameters<Journal['read']>[0],
): ReturnType<Journal['read']> {
  try {
    return await journal.read({ ...page, linearizable: true, timeoutMillis: PROOF_MILLIS });
  } catch (error) {
    if (!(error instanceof JournalError) || !error.retryable) throw error;
    return journal.read({ ...page, linearizable: false });
  }
}
