// A subscription as its user sees it: an async iterable of records that ends, fails, or goes on.

import { JournalError } from '../protocol/errors.ts';
import { after, FIRST_LSN, type Lsn, lsn, micros, NO_LSN, NUMBER_MAX } from '../protocol/types.ts';
import { journalMethods } from '../transport/methods.ts';
import type { JournalRecord, SetCursorRequest } from '../transport/public.ts';
import { ask, QUICK_MICROS, type World } from './calls.ts';
import { Cursor, type CursorStart, type Delivery, tailAnswer } from './cursor.ts';
import { checked, checkFrom, checkTimeout, type From, type ResumeToken, whole } from './input.ts';
import { asJournalError, Deadline, unlessAborted } from './waiting.ts';

export interface SubscribeOptions {
  /** What comes next, by default. */
  readonly from?: From | undefined;
  /** Ends the subscription: the loop over it ends without an error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * A name under which the journal remembers how far this subscription came: it goes on there, and
   * `from` counts only the first time, when the name is registered at the start. Saved at most once
   * a second and at the end. A record counts as consumed when the next one is asked for, so the one
   * at which a loop breaks comes again. What is saved is the last record consumed, never a control
   * entry behind it: saving is one itself.
   */
  readonly cursor?: string | undefined;
  /** Ends after this many records. */
  readonly limit?: number | undefined;
  /** Ends when all that was committed at the start was delivered. */
  readonly untilEnd?: boolean | undefined;
  /** Ends with UNAVAILABLE when no replica answered for so long: 60,000 ms by default. */
  readonly timeoutMillis?: number | undefined;
}

/**
 * Every committed record from the start on, in order, each once, over fail-overs. Iterate it once:
 * record by record, or message by message with `batches()`. Throws JournalError: TRIMMED (with
 * `details.firstLsn`) where records are gone, LINEAGE_CHANGED after a forced loss, NOT_FOUND,
 * UNAVAILABLE.
 */
export interface Subscription extends AsyncIterable<JournalRecord> {
  /** Also tells how far the log was looked through where there is no record. */
  batches(): AsyncIterableIterator<Delivery>;
  /** Resolves when the start is fixed: records that are appended after that are delivered. */
  ready(): Promise<void>;
  /** Pass it as `from` to go on after what was delivered; undefined before the first answer. */
  readonly position: ResumeToken | undefined;
  /** Counts all that was delivered as consumed and saves the named cursor. */
  save(): Promise<void>;
}

const TIMEOUT_MILLIS = 60_000;

interface Started {
  readonly cursor: Cursor;
  readonly saver: CursorSaver | null;
}

export function openSubscription(
  world: World,
  { closing }: { readonly closing: AbortSignal },
  journal: string,
  options: SubscribeOptions,
): Subscription {
  const { from, limit, timeoutMillis } = checked(() => ({
    from: checkFrom(options.from ?? 'next'),
    limit: whole('limit', options.limit ?? NUMBER_MAX, 0, NUMBER_MAX),
    timeoutMillis: checkTimeout(options.timeoutMillis ?? TIMEOUT_MILLIS),
  }));
  const signal =
    options.signal === undefined ? closing : AbortSignal.any([closing, options.signal]);
  const untilEnd = options.untilEnd ?? false;
  const { position, lineage } = from;
  const start = { journal, position, lineage, limit, untilEnd, timeoutMillis, signal };
  return new Reader(world, start, options.cursor ?? null);
}

class Reader implements Subscription {
  readonly #world: World;
  readonly #start: CursorStart;
  readonly #name: string | null;
  readonly #started: Promise<Started>;
  #cursor: Cursor | null = null;
  #saver: CursorSaver | null = null;
  #deliveredLsn: Lsn = NO_LSN;
  /** Of a message whose records are given one by one: the first that was not given yet. */
  #upcoming: Lsn | null = null;
  #taken = false;

  constructor(world: World, start: CursorStart, name: string | null) {
    this.#world = world;
    this.#start = start;
    this.#name = name;
    this.#started = this.#open();
    // Whoever iterates sees the failure; a subscription that nobody takes must not crash.
    this.#started.catch(() => undefined);
  }

  get position(): ResumeToken | undefined {
    const token = this.#cursor?.token;
    if (token === undefined || this.#upcoming === null) return token;
    return { ...token, nextLsn: this.#upcoming };
  }

  async ready(): Promise<void> {
    await this.#started;
  }

  async save(): Promise<void> {
    if (this.#deliveredLsn > NO_LSN) this.#saver?.consumed(this.#deliveredLsn);
    await this.#saver?.save();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<JournalRecord, void, undefined> {
    for await (const { records } of this.#deliveries()) {
      for (const record of records) {
        this.#upcoming = record.lsn;
        if (this.#start.signal.aborted) return;
        this.#upcoming = after(record.lsn, 1);
        this.#deliveredLsn = record.lsn;
        yield record;
        this.#saver?.consumed(record.lsn);
      }
      this.#upcoming = null;
    }
  }

  async *batches(): AsyncGenerator<Delivery, void, undefined> {
    for await (const delivery of this.#deliveries()) {
      this.#deliveredLsn = delivery.records.at(-1)?.lsn ?? this.#deliveredLsn;
      yield delivery;
    }
  }

  /** Asking for the next delivery says that the last was consumed. */
  async *#deliveries(): AsyncGenerator<Delivery, void, undefined> {
    if (this.#taken) {
      throw new JournalError('INVALID_ARGUMENT', 'a subscription is iterated once: open another');
    }
    this.#taken = true;
    const { signal } = this.#start;
    const started = await unlessAborted(this.#started, signal);
    if (started.kind === 'aborted') return;
    const { cursor, saver } = started.value;
    try {
      for await (const delivery of cursor.deliveries()) {
        yield delivery;
        const last = delivery.records.at(-1);
        if (last !== undefined) saver?.consumed(last.lsn);
      }
    } finally {
      await saver?.save().catch((error: unknown) => {
        this.#world.logger.warn({ error, cursor: this.#name }, 'a cursor was not saved at the end');
      });
    }
  }

  /** Fixes the start: where the named cursor is, or the end of the log as it is now. */
  async #open(): Promise<Started> {
    const { journal, signal, timeoutMillis } = this.#start;
    const deadline = new Deadline(this.#world.clock, timeoutMillis, signal);
    try {
      let start = this.#start;
      if (this.#name !== null) {
        let saved = await savedCursor(this.#world, journal, this.#name, deadline);
        // A position of the cursor is of whatever lineage the journal has.
        if (saved !== undefined) start = { ...start, lineage: 0 };
        saved ??= await this.#register(this.#name, deadline);
        start = { ...start, position: { kind: 'lsn', lsn: lsn(saved + 1) } };
        this.#saver = new CursorSaver(this.#world, journal, this.#name, saved);
      } else if (start.position.kind === 'next' || start.position.kind === 'last') {
        // Both move with every record that is appended.
        start = { ...start, position: { kind: 'lsn', lsn: await this.#startLsn(deadline, false) } };
      }
      this.#cursor = new Cursor(this.#world, start);
      return { cursor: this.#cursor, saver: this.#saver };
    } finally {
      deadline.close();
    }
  }

  /**
   * Registers the named cursor right before the start and resolves with where it is then. At once,
   * so that no trim passes what it has not seen, and the next run goes on here even where this one
   * consumes nothing.
   */
  async #register(name: string, deadline: Deadline): Promise<Lsn> {
    const { journal } = this.#start;
    // Of the newest state: a replica that lags knows of older firsts and lasts.
    const before = lsn((await this.#startLsn(deadline, true)) - 1);
    const cursor = { journal, name, lsn: before, expectEnd: null };
    await setCursor(this.#world, cursor, deadline);
    return before;
  }

  /** The position that the start means now. */
  async #startLsn(deadline: Deadline, linearizable: boolean): Promise<Lsn> {
    const { journal, position: from } = this.#start;
    if (from.kind === 'lsn') return from.lsn;
    if (from.kind === 'next') return this.#nextLsn(deadline);
    const request = { journal, from, limit: 1, bytesMax: 0, linearizable };
    const { records, nextLsn } = await ask(this.#world, {
      method: journalMethods.read,
      request,
      journal,
      preference: 'nearest',
      writes: false,
      patience: QUICK_MICROS,
      deadline,
    });
    return records[0]?.lsn ?? nextLsn;
  }

  async #nextLsn(deadline: Deadline): Promise<Lsn> {
    const { endLsn } = await tailAnswer(this.#world, this.#start.journal, deadline);
    return lsn(Math.max(FIRST_LSN, endLsn + 1));
  }
}

// ── Named cursors ─────────────────────────────────────────────────────────────────────────────

const SAVE_MICROS = 1_000_000;
const SAVE_TIMEOUT_MILLIS = 2_000;

/** Saves what was consumed at most once a second, and once at the end. */
class CursorSaver {
  readonly #world: World;
  readonly #journal: string;
  readonly #name: string;
  #consumed: Lsn;
  #saved: Lsn;
  #savedAt = Number.NEGATIVE_INFINITY;
  #saving: Promise<void> | null = null;
  #cancel: (() => void) | null = null;
  #failure: JournalError | null = null;

  /** `saved` is where the journal has the cursor now. */
  constructor(world: World, journal: string, name: string, saved: Lsn) {
    this.#world = world;
    this.#journal = journal;
    this.#name = name;
    this.#consumed = saved;
    this.#saved = saved;
  }

  /** All up to `lsn` was consumed. Throws what a save in the background was refused for good. */
  consumed(lsn: Lsn): void {
    if (this.#failure !== null) throw this.#failure;
    if (lsn <= this.#consumed) return;
    this.#consumed = lsn;
    if (this.#saving !== null || this.#cancel !== null) return;
    const { clock } = this.#world;
    const wait = this.#savedAt + SAVE_MICROS - clock.now();
    if (wait <= 0) this.#saveSoon();
    else this.#cancel = clock.after(micros(Math.ceil(wait)), () => this.#saveSoon());
  }

  /** Saves what was consumed and resolves once it is committed. */
  async save(): Promise<void> {
    while (this.#saving !== null) await this.#saving;
    this.#cancel?.();
    this.#cancel = null;
    if (this.#consumed > this.#saved) await this.#save();
  }

  #saveSoon(): void {
    this.#cancel = null;
    this.#saving = this.#save()
      .catch((caught: unknown) => {
        const error = asJournalError(caught);
        this.#world.logger.warn(
          { cursor: this.#name, journal: this.#journal, code: error.code },
          'a cursor was not saved',
        );
        if (!error.retryable) this.#failure = error;
      })
      .finally(() => {
        this.#saving = null;
      });
  }

  async #save(): Promise<void> {
    const consumed = this.#consumed;
    const cursor = { journal: this.#journal, name: this.#name, lsn: consumed, expectEnd: null };
    const { clock } = this.#world;
    this.#savedAt = clock.now();
    const deadline = new Deadline(clock, SAVE_TIMEOUT_MILLIS);
    try {
      await setCursor(this.#world, cursor, deadline);
      this.#saved = consumed;
    } finally {
      deadline.close();
    }
  }
}

/** Registers or moves a cursor, or deletes it (`null`); the same twice is the same once. */
export async function setCursor(
  world: World,
  request: SetCursorRequest,
  deadline: Deadline,
): Promise<void> {
  const { journal } = request;
  await ask(world, {
    method: journalMethods.setCursor,
    request,
    journal,
    preference: 'head',
    writes: true,
    patience: QUICK_MICROS,
    deadline,
  });
}

/** Where the journal has the cursor; undefined where it does not know it. */
async function savedCursor(
  world: World,
  journal: string,
  name: string,
  deadline: Deadline,
): Promise<Lsn | undefined> {
  const { cursors } = await ask(world, {
    method: journalMethods.cursors,
    request: { journal },
    journal,
    preference: 'head',
    writes: false,
    patience: QUICK_MICROS,
    deadline,
  });
  return cursors.find((cursor) => cursor.name === name)?.lsn;
}
