// `subscribe`, `read` and `tail`: records and positions to stdout.

import { type Command, Option } from 'commander';
import type { From, Journal, ReadOptions, Subscription } from '../client/index.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Lsn, label, NUMBER_MAX } from '../protocol/types.ts';
import type { JournalRecord, ReadAnswer } from '../transport/public.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, formatOf, startPosition, wholeNumber } from './options.ts';
import { type Format, isPassing, UsageError } from './output.ts';
import { formatRecord } from './records/format.ts';

interface ReadFlags extends ConnectionFlags {
  readonly from?: From;
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
      const { tailLsn, endLsn, firstLsn } = await client.journal(name).tail({ signal });
      if (flags.json) await output.json({ tailLsn, endLsn, firstLsn });
      else await output.line(String(tailLsn));
    }),
  );
}

/** Where to start; `--from` and `--last` say the same thing in two ways. */
function startOf(flags: ReadFlags, otherwise: From): From {
  if (flags.from !== undefined && flags.last !== undefined) {
    throw new UsageError('--from and --last contradict each other, allowed is one of them');
  }
  return flags.last === undefined ? (flags.from ?? otherwise) : { last: flags.last };
}

async function subscribe(name: string, flags: SubscribeFlags): Promise<void> {
  const format = formatOf(flags);
  const from = startOf(flags, 'next');
  const { cursor, limit, untilEnd, timeout } = flags;
  await withClient(flags, async (at) => {
    const signal = AbortSignal.any([at.signal, at.output.closed]);
    const options = { from, cursor, limit, untilEnd, signal, timeoutMillis: timeout };
    const printed = await follow(at, at.client.journal(name).subscribe(options), format);
    // Following has no end of its own: ^C, or a reader that went away, is one.
    const hasEnd = untilEnd === true || limit !== undefined;
    if (hasEnd && printed !== limit) at.signal.throwIfAborted();
  });
}

/**
 * Prints what a subscription delivers; resolves with how many records. A delivery is consumed when
 * the next is asked for: only after the system has all of it.
 */
async function follow(at: Connected, from: Subscription, format: Format): Promise<number> {
  let printed = 0;
  for await (const { records } of from.batches()) {
    for (const record of records) await at.output.write(...formatRecord(record, format));
    await at.output.flush();
    if (!at.output.open) break;
    printed += records.length;
  }
  return printed;
}

async function print(
  at: Connected,
  records: AsyncIterable<JournalRecord>,
  format: Format,
): Promise<void> {
  for await (const record of records) {
    await at.output.write(...formatRecord(record, format));
    if (!at.output.open) break;
  }
}

async function read(name: string, flags: ReadFlags): Promise<void> {
  const format = formatOf(flags);
  const from = startOf(flags, 'first');
  const limit = flags.limit ?? NUMBER_MAX;
  const proof = flags.linearizable ? 'needed' : 'wanted';
  await withClient(flags, async (at) => {
    const records = pages(at, at.client.journal(name), { from, through: null, limit, proof });
    await print(at, records, format);
  });
}

export interface PageRange {
  readonly from: From;
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
  journal: Pick<Journal, 'read'>,
  range: PageRange,
): AsyncGenerator<JournalRecord> {
  const { signal } = at;
  let { from, through, limit } = range;
  // A page that ends below what is known to be committed came from a replica that lags.
  let proof: 'none' | PageRange['proof'] = range.proof;
  while (limit > 0) {
    const page = { limit: Math.min(limit, PAGE_RECORDS), bytesMax: PAGE_BYTES, from, signal };
    const answer: ReadAnswer = await readPage(journal, page, proof);
    const last: Lsn = through ?? answer.committedLsn;
    through = last;
    for (const record of answer.records) {
      if (record.lsn > last) return;
      limit -= 1;
      yield record;
    }
    if (answer.nextLsn > last) return;
    const lags: boolean = answer.nextLsn > answer.committedLsn;
    if (lags && proof !== 'none') return;
    proof = lags ? range.proof : 'none';
    // Pages of two lineages are no copy of anything: LINEAGE_CHANGED.
    from = { lineage: answer.lineage, nextLsn: answer.nextLsn };
  }
}

/**
 * Every record from `from` through `tail`, which is a record. Throws JournalError UNAVAILABLE where
 * they end before: what copies a journal must not take a part for the whole.
 */
export async function* recordsThrough(
  at: Pick<Connected, 'signal'>,
  journal: Pick<Journal, 'read'>,
  from: Lsn,
  tail: Lsn,
): AsyncGenerator<JournalRecord> {
  if (tail < from) return;
  let last = 0;
  const range = { from, through: tail, limit: tail - from + 1, proof: 'needed' } as const;
  for await (const record of pages(at, journal, range)) {
    last = record.lsn;
    yield record;
  }
  if (last === tail) return;
  const ends = last === 0 ? 'none was answered' : `they ended at LSN ${last}`;
  throw new JournalError('UNAVAILABLE', `records were to be read through LSN ${tail}, and ${ends}`);
}

/** A read that is as new as `proof` asks, or a plain one where that cannot be had in time. */
async function readPage(
  journal: Pick<Journal, 'read'>,
  page: ReadOptions,
  proof: 'none' | PageRange['proof'],
): Promise<ReadAnswer> {
  if (proof !== 'wanted') return journal.read({ ...page, linearizable: proof === 'needed' });
  try {
    return await journal.read({ ...page, linearizable: true, timeoutMillis: PROOF_MILLIS });
  } catch (error) {
    if (!isPassing(error) || page.signal?.aborted) throw error;
    return journal.read({ ...page, linearizable: false });
  }
}
