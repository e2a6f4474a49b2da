// `append`: records from stdin to the end of a journal, acknowledged in order.
//
// One batch is under way at a time, so that the records are in the journal in the order of the
// input; what arrives meanwhile is the next batch.
//
// - Where a person chose ID, each batch has an idempotency key of its own, `ID@OFFSET`, with the
//   number of records before it, and batches are cut from the input and the journal's settings
//   alone, so that the same command cuts the same ones and duplicates nothing.
// - Otherwise batches are cut by what has arrived, so that a slow input is acknowledged at once,
//   and the session numbers them: they take no place among the keys that people chose. If the
//   command then ends with records whose fate is open, the key that it prints says where it was,
//   `auto-WRITER.SEQUENCE@OFFSET+RECORDS`: the records before OFFSET are acknowledged and skipped,
//   the next RECORDS are the batch that was sent under this number, and what follows is new, in
//   batches under `auto-ID@OFFSET`, ID being a part of WRITER. Where the batch surely is not there
//   the key is `auto-ID@OFFSET+RECORDS`, and it goes under such a name as well.

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AppendNumber, AppendOptions, Journal } from '../client/index.ts';
import { nodeRandom } from '../io/node.ts';
import type { JournalSettings } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import type { Lsn } from '../protocol/types.ts';
import type { NewRecord } from '../transport/public.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, formatOf, type KeyAt, keyAt, keyOption, lsnOption } from './options.ts';
import {
  AppendStopped,
  EXIT,
  type ExitCode,
  exitCodeOf,
  Interrupted,
  progress,
  UsageError,
} from './output.ts';
import { formatPosition } from './records/format.ts';
import { type Cut, type Framing, RecordInput } from './records/input.ts';

interface AppendFlags extends ConnectionFlags {
  readonly expectTail?: Lsn;
  readonly expectKey?: KeyAt;
  readonly fence?: KeyAt;
  readonly key?: string;
  readonly idempotencyKey?: string;
  readonly quiet?: boolean;
  readonly raw?: boolean;
  readonly raw0?: boolean;
}

/** Part of the meaning of a chosen key: another cut would be another set of batches. */
const CUT: Cut = { records: 1_000, bytes: 256 * 1024 };
/** A conditional append is one batch: it may be as large as any batch may be. */
const ATOMIC_BYTES_MAX = 16 * 1024 * 1024;

export function appendCommand(): Command {
  const made = command(
    'append <journal>',
    'Appends records from stdin: a record a line, acknowledged in order with LSN and time. With ' +
      '--expect-tail, --expect-key or --fence all of stdin is one atomic batch.',
    'journal append orders < lines.txt',
    'printf "%s" paid | journal append orders --expect-tail 41',
    `echo '{"key":"a","data":"paid"}' | journal append orders --json`,
  );
  return connected(made)
    .addOption(
      new Option('--expect-tail <lsn>', 'only if this is the last record').argParser(lsnOption),
    )
    .addOption(
      new Option(
        '--expect-key <key=lsn>',
        'only if the last record of the key is there; 0: none',
      ).argParser(keyAt),
    )
    .addOption(
      new Option('--fence <key=token>', 'only if the token still holds the key').argParser(keyAt),
    )
    .addOption(new Option('--key <key>', 'tags each record that brings none').argParser(keyOption))
    .addOption(
      new Option(
        '--idempotency-key <id>',
        'the same command with it appends nothing twice',
      ).argParser(chosenKey),
    )
    .option('-q, --quiet', 'one summary instead of a line a record')
    .option('--raw', 'stdin is lines (the default)')
    .option('--raw0', 'stdin is records between NULs')
    .addHelpText('after', '\nIn the environment of `journal lead`, JOURNAL_FENCE is honoured.')
    .action((journal: string, flags: AppendFlags) => append(journal, flags));
}

/** Shorter than the client allows: the number of a batch is added. */
const CHOSEN_KEY_LENGTH_MAX = 1_000;

function chosenKey(text: string): string {
  if (text.length >= 1 && text.length <= CHOSEN_KEY_LENGTH_MAX) return text;
  throw new InvalidArgumentError(`Allowed are 1 to ${CHOSEN_KEY_LENGTH_MAX} characters.`);
}

function append(name: string, flags: AppendFlags): Promise<void> {
  const format = formatOf(flags);
  const framing: Framing = format === 'json' ? 'json' : format === 'raw0' ? 'nul' : 'lines';
  const plan = planOf(flags, process.env.JOURNAL_FENCE);
  const { json = false, quiet = false } = flags;
  return withClient(flags, async (at) => {
    const input = new RecordInput(process.stdin, framing, flags.key);
    try {
      const run = new AppendRun(at, at.client.journal(name), plan, { json, quiet });
      await (plan.atomic ? run.atomic(input) : run.stream(input));
    } finally {
      input.close();
    }
  });
}

/** How a command appends, worked out from its flags. */
export interface AppendPlan {
  readonly atomic: boolean;
  readonly id: string;
  /** A person chose the id. */
  readonly chosen: boolean;
  /** Batches are cut from the input alone: the command may be run again. */
  readonly whole: boolean;
  /** Records that an earlier run has acknowledged. */
  readonly skip: number;
  /** Records of the batch that was under way; 0 for none. */
  readonly open: number;
  /** What that batch was sent under; null where it surely is not there. */
  readonly sentAs: AppendNumber | null;
  readonly conditions: {
    readonly expectTail?: Lsn;
    readonly expectKey?: KeyAt;
    readonly fence?: { readonly key: string; readonly token: Lsn };
  };
}

const RESUME =
  /^auto-(?:([0-9a-f]{16})([0-9a-f]{16})\.(\d{1,15})|([0-9a-f]{16}))@(\d{1,15})\+(\d{1,15})$/;

export function planOf(
  flags: Pick<AppendFlags, 'expectTail' | 'expectKey' | 'fence' | 'idempotencyKey'>,
  environment: string | undefined,
): AppendPlan {
  const { expectTail, expectKey, fence, idempotencyKey } = flags;
  const token = fence ?? fenceOf(environment);
  const conditions = {
    ...(expectTail === undefined ? {} : { expectTail }),
    ...(expectKey === undefined ? {} : { expectKey }),
    ...(token === undefined ? {} : { fence: { key: token.key, token: token.lsn } }),
  };
  const atomic = [expectTail, expectKey, fence].some((condition) => condition !== undefined);
  const [resumed, before, rest, sequence, id, skip, open] = RESUME.exec(idempotencyKey ?? '') ?? [];
  if (resumed !== undefined) {
    const counts = { skip: Number(skip), open: Number(open) };
    const sentAs =
      id === undefined ? { writer: `${before}${rest}`, sequence: Number(sequence) } : null;
    return {
      atomic,
      id: `auto-${id ?? rest}`,
      chosen: false,
      whole: true,
      ...counts,
      sentAs,
      conditions,
    };
  }
  const chosen = idempotencyKey !== undefined;
  const named = { id: idempotencyKey ?? `auto-${nodeRandom().hex(8)}`, chosen, whole: chosen };
  return { atomic, ...named, skip: 0, open: 0, sentAs: null, conditions };
}

function fenceOf(environment: string | undefined): KeyAt | undefined {
  if (environment === undefined || environment === '') return undefined;
  try {
    return keyAt(environment);
  } catch {
    const given = JSON.stringify(environment);
    throw new UsageError(`JOURNAL_FENCE is ${given}, allowed is KEY=TOKEN as lead sets it`);
  }
}

class AppendRun {
  readonly #at: Connected;
  readonly #journal: Journal;
  readonly #plan: AppendPlan;
  readonly #shape: { readonly json: boolean; readonly quiet: boolean };
  /** Records of the input before the next batch. */
  #offset: number;
  #sentAs: AppendNumber | null;
  #records = 0;
  #firstLsn = 0;
  #lastLsn = 0;

  constructor(
    at: Connected,
    journal: Journal,
    plan: AppendPlan,
    shape: { readonly json: boolean; readonly quiet: boolean },
  ) {
    this.#at = at;
    this.#journal = journal;
    this.#plan = plan;
    this.#shape = shape;
    this.#offset = plan.skip;
    this.#sentAs = plan.sentAs;
  }

  async stream(input: RecordInput): Promise<void> {
    const { signal } = this.#at;
    const { skip, open, whole } = this.#plan;
    // Also since nothing to append is no reason to say that all is well with what is not there.
    const { batchBytesMax } = await this.#settings();
    const cut = { ...CUT, bytes: Math.min(CUT.bytes, batchBytesMax) };
    const skipped = await input.skip(skip, signal);
    if (skipped < skip) throw otherInput(skipped, skip);
    if (open > 0) {
      const batch = await input.take({ records: open, bytes: ATOMIC_BYTES_MAX }, true, signal);
      if (batch.length < open) throw otherInput(skip + batch.length, skip + open);
      await this.#append(batch);
    }
    for (;;) {
      const batch = await this.#next(input, cut, whole);
      if (batch.length === 0) break;
      await this.#append(batch);
    }
    await this.#told(0, () => this.#summary());
  }

  /** The whole input as one batch: there whole, or not at all. */
  async atomic(input: RecordInput): Promise<void> {
    const batch: NewRecord[] = [];
    let bytes = 0;
    for (;;) {
      const more = await input.take(CUT, false, this.#at.signal);
      if (more.length === 0) break;
      batch.push(...more);
      bytes += more.reduce((sum, { data }) => sum + data.length, 0);
      if (bytes > ATOMIC_BYTES_MAX) {
        throw new UsageError(
          `stdin is over ${ATOMIC_BYTES_MAX} bytes, allowed is at most that for one atomic batch`,
        );
      }
    }
    if (batch.length === 0) {
      throw new UsageError('stdin has 0 records, allowed is at least 1 for a conditional append');
    }
    await this.#append(batch);
    await this.#told(this.#offset === 0 ? batch.length : 0, () => this.#summary());
  }

  async #settings(): Promise<JournalSettings> {
    const { signal } = this.#at;
    try {
      return await this.#journal.settings({ signal });
    } catch (error) {
      if (!(error instanceof JournalError) || signal.aborted) throw error;
      throw this.#stopped(error, 0);
    }
  }

  /** A failure of the input after records were acknowledged says so, and so does its end by ^C. */
  async #next(input: RecordInput, cut: Cut, whole: boolean): Promise<NewRecord[]> {
    try {
      return await input.take(cut, whole, this.#at.signal);
    } catch (error) {
      if (this.#at.signal.aborted) await this.#summary();
      if (this.#records === 0 || !(error instanceof UsageError)) throw error;
      throw this.#stopped(new JournalError('INVALID_ARGUMENT', error.message), 0);
    }
  }

  /** Under which name or number the next batch goes; null where the session numbers it. */
  #name(): Pick<AppendOptions, 'idempotencyKey' | 'sentAs'> | null {
    const { whole, id } = this.#plan;
    if (this.#sentAs !== null) return { sentAs: this.#sentAs };
    return whole ? { idempotencyKey: `${id}@${this.#offset}` } : null;
  }

  async #append(batch: readonly NewRecord[]): Promise<void> {
    const { conditions, atomic } = this.#plan;
    const { signal } = this.#at;
    const name = this.#name();
    try {
      const answer = await this.#journal.append(batch, { ...conditions, ...name, signal });
      this.#records += batch.length;
      if (this.#firstLsn === 0) this.#firstLsn = answer.firstLsn;
      this.#lastLsn = answer.lastLsn;
      // What has a name is told again by the next run; what had the session's number is behind it.
      if (name === null) this.#offset += batch.length;
      await this.#told(name === null ? 0 : batch.length, () =>
        this.#acknowledge(batch.length, answer),
      );
      this.#sentAs = null;
      // The key of an atomic batch is that of the whole input.
      if (name !== null && !atomic) this.#offset += batch.length;
    } catch (error) {
      if (error instanceof JournalError) throw this.#stopped(error, batch.length);
      throw error;
    }
  }

  /** What cannot be told stops the command: run again under the key, `open` records are told. */
  async #told(open: number, tell: () => Promise<void>): Promise<void> {
    try {
      await tell();
      await this.#at.output.flush();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const code = error instanceof Interrupted ? 'CANCELLED' : 'INTERNAL';
      throw this.#stopped(new JournalError(code, message, {}, 'none', { cause: error }), open);
    }
  }

  async #acknowledge(
    count: number,
    first: { readonly firstLsn: number; readonly timestampMicros: number },
  ): Promise<void> {
    if (this.#shape.quiet) {
      progress(`${this.#records} records appended`);
      return;
    }
    const { firstLsn, timestampMicros } = first;
    const { json } = this.#shape;
    const lines: string[] = [];
    for (let index = 0; index < count; index += 1) {
      lines.push(formatPosition(firstLsn + index, timestampMicros + index, json));
    }
    await this.#at.output.write(lines.join(''));
  }

  #stopped(reason: JournalError, open: number): AppendStopped {
    const exitCode = stopCode(reason, this.#records);
    const again = exitCode === EXIT.outcomeUnknown || this.#records > 0;
    return new AppendStopped(reason.message, reason, {
      exitCode,
      idempotencyKey: again ? this.#keyOf(reason, open) : null,
      acknowledged: { records: this.#records, lastLsn: this.#lastLsn },
    });
  }

  /** The key under which the same command goes on here; null where nobody can say how. */
  #keyOf({ outcome, details }: JournalError, open: number): string | null {
    const { id, chosen, whole, atomic } = this.#plan;
    if (chosen) return id;
    if (atomic && open === 0) return null;
    const place = `@${this.#offset}+${open}`;
    const sentAs = this.#sentAs ?? details.sentAs;
    if (sentAs !== undefined) return `auto-${sentAs.writer}.${sentAs.sequence}${place}`;
    return outcome === 'none' || whole ? `${id}${place}` : null;
  }

  async #summary(): Promise<void> {
    if (!this.#shape.quiet) return;
    progress('');
    const [records, firstLsn, lastLsn] = [this.#records, this.#firstLsn, this.#lastLsn];
    if (this.#shape.json) return this.#at.output.json({ records, firstLsn, lastLsn });
    const noun = records === 1 ? 'record' : 'records';
    const where = records === 0 ? '' : `, LSN ${firstLsn} to ${lastLsn}`;
    await this.#at.output.line(`appended ${records} ${noun}${where}`);
  }
}

/** "Unavailable, nothing written" would be untrue of a command that wrote some of its input. */
function stopCode(reason: JournalError, acknowledged: number): ExitCode {
  const code = exitCodeOf(reason);
  return code === EXIT.unavailable && acknowledged > 0 ? EXIT.outcomeUnknown : code;
}

function otherInput(found: number, needed: number): UsageError {
  return new UsageError(
    `stdin has ${found} records, allowed is the input of the first run, at least ${needed}: ` +
      '--idempotency-key goes on where that run ended',
  );
}
