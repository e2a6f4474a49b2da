// One journal as its users see it: append, subscribe, read, tail, trim, cursors, keys, lead.

import type { CursorState, KeyState } from '../protocol/chain/messages.ts';
import type { JournalSettings } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Epoch, type Lsn, lsn, type Micros, NUMBER_MAX } from '../protocol/types.ts';
import { checkKey } from '../transport/convert/codec.ts';
import { journalMethods } from '../transport/methods.ts';
import type { ReadAnswer, TailAnswer } from '../transport/public.ts';
import { ask, QUICK_MICROS, type World } from './calls.ts';
import type { LeadEvent, Leadership } from './campaign.ts';
import { refuseOther, tailAnswer } from './cursor.ts';
import {
  type AppendOptions,
  type CallOptions,
  checkAppend,
  checked,
  checkFrom,
  checkTimeout,
  type From,
  LEASE_MILLIS_MAX,
  LEASE_MILLIS_MIN,
  type RecordInput,
  TIMEOUT_MILLIS_MAX,
  whole,
} from './input.ts';
import { campaign } from './lead.ts';
import { defaultSlackMillis } from './lease.ts';
import type { Preference } from './routing.ts';
import { Session } from './session.ts';
import {
  openSubscription,
  type SubscribeOptions,
  type Subscription,
  setCursor,
} from './subscription.ts';
import { asJournalError, Deadline } from './waiting.ts';

/** What an append was answered with, once it is on the disks of all members. */
export interface Appended {
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** Time of the first record, microseconds since 1970; record `i` of the append has this plus `i`. */
  readonly timestampMicros: Micros;
  readonly epoch: Epoch;
  /** It was there already, under the same `idempotencyKey`. */
  readonly duplicate: boolean;
}

export interface ReadOptions extends CallOptions {
  /** The first record left by default. */
  readonly from?: From | undefined;
  /** Records at most; 1,000 by default. */
  readonly limit?: number | undefined;
  /** Bytes at most, though at least one record; 0: as the server likes. */
  readonly bytesMax?: number | undefined;
  /** Proves with all members that the answer is the newest state, at the price of a round trip. */
  readonly linearizable?: boolean | undefined;
}

export interface LeadOptions {
  /** Ends the campaign, and later the leadership. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which others may take over from a leader that is gone: 500 to 3,600,000. */
  readonly leaseMillis?: number | undefined;
  /**
   * Ends the campaign where no replica has said for so long who holds the key: 86,400,000 ms by
   * default. Waiting for another leader to end has no such end.
   */
  readonly timeoutMillis?: number | undefined;
  /** Who leads, for people to read; at most 256 characters. */
  readonly node?: string | undefined;
  /** What others wait beyond the lease: at least twice the error of a clock over it. */
  readonly slackMillis?: number | undefined;
  /** `lost` aborts this long before the lease ends, so that work can still be stopped; 0. */
  readonly marginMillis?: number | undefined;
  /** Is awaited with the own claim: apply the log up to `token` before you act on what it says. */
  readonly applied?: ((token: Lsn, lost: AbortSignal) => Promise<void>) | undefined;
  readonly onEvent?: ((event: LeadEvent) => void) | undefined;
}

/** What every call of a client has in common. */
export interface Defaults {
  readonly timeoutMillis: number;
  readonly node: string;
  readonly hash: (text: string) => string;
  readonly closing: AbortSignal;
}

const READ_LIMIT = 1_000;
const LEASE_MILLIS = 10_000;
const NODE_LENGTH_MAX = 256;

/** All handles of one name share a session: their appends are placed in the order of the calls. */
export class Journal {
  readonly name: string;
  readonly #world: World;
  readonly #defaults: Defaults;
  readonly #session: Session;

  constructor(world: World, defaults: Defaults, name: string) {
    this.name = name;
    this.#world = world;
    this.#defaults = defaults;
    this.#session = new Session(world, name);
    if (defaults.closing.aborted) this.#session.close();
    defaults.closing.addEventListener('abort', () => this.#session.close(), { once: true });
  }

  /**
   * Adds records at the end, all of them or none, and resolves once they are on the disks of all
   * members. Tried again, under one idempotence key, until it is answered or its time is over.
   * The bytes of `records` must not change before that.
   *
   * Throws JournalError: CONDITION_FAILED, FENCED, IDEMPOTENCY_MISMATCH, INVALID_ARGUMENT,
   * NOT_FOUND and others with `outcome: 'none'`; UNDER_REPLICATED, UNAVAILABLE, DEADLINE_EXCEEDED,
   * CANCELLED, and failed conditions under your own key after a try without an answer, with what is
   * known: `unknown` where it may be there, or may still get there.
   */
  async append(
    records: RecordInput | readonly RecordInput[],
    options: AppendOptions = {},
  ): Promise<Appended> {
    const what = checked(() => checkAppend(records, options, this.#defaults.hash));
    return await this.#within(options, async (deadline) => {
      const answer = await this.#session.append(what, deadline);
      const { firstLsn, lastLsn, timestampMicros, epoch, duplicate } = answer;
      return { firstLsn, lastLsn, timestampMicros, epoch, duplicate };
    });
  }

  /**
   * Resolves while fewer appends wait here than the queue's bound, 4,096 of them or 32 MiB. Who
   * appends without awaiting each answer awaits this instead; far beyond it appends are refused.
   */
  room(): Promise<void> {
    return this.#session.room();
  }

  /** Every record from `from` on, and those to come. See `Subscription`. */
  subscribe(options: SubscribeOptions = {}): Subscription {
    return openSubscription(this.#world, this.#defaults, this.name, options);
  }

  /** What the journal was made with, and so what an append may hold. NOT_FOUND. */
  async settings(options: CallOptions = {}): Promise<JournalSettings> {
    const request = { journal: this.name };
    return (await this.#ask(journalMethods.session, request, 'head', options)).settings;
  }

  /** Some committed records; go on with `from: nextLsn`. TRIMMED, OUT_OF_RANGE, LINEAGE_CHANGED. */
  async read(options: ReadOptions = {}): Promise<ReadAnswer> {
    const { position, lineage, limit, bytesMax } = checked(() => ({
      ...checkFrom(options.from ?? 'first'),
      limit: whole('limit', options.limit ?? READ_LIMIT, 1, NUMBER_MAX),
      bytesMax: whole('bytesMax', options.bytesMax ?? 0, 0, NUMBER_MAX),
    }));
    const linearizable = options.linearizable ?? false;
    const request = { journal: this.name, from: position, limit, bytesMax, linearizable };
    const answer = await this.#ask(journalMethods.read, request, 'nearest', options);
    refuseOther(lineage, answer.lineage);
    return answer;
  }

  /** Linearizable: `tailLsn` is the last record of a user, 0 when there is none. */
  tail(options: CallOptions = {}): Promise<TailAnswer> {
    return this.#within(options, (deadline) => tailAnswer(this.#world, this.name, deadline));
  }

  /**
   * Drops all records up to and including `through`; answers the first position left. CURSOR_HOLDS
   * where a named cursor has not come that far and `force` is not set.
   */
  async trim(
    through: number,
    options: CallOptions & { readonly force?: boolean | undefined } = {},
  ): Promise<Lsn> {
    const position = checked(() => lsn(whole('through', through, 1, NUMBER_MAX)));
    const request = { journal: this.name, through: position, force: options.force ?? false };
    return (await this.#ask(journalMethods.trim, request, 'head', options, true)).firstLsn;
  }

  /** All named cursors, linearizable. */
  async cursors(options: CallOptions = {}): Promise<readonly CursorState[]> {
    const request = { journal: this.name };
    return (await this.#ask(journalMethods.cursors, request, 'head', options)).cursors;
  }

  /**
   * Registers or moves a cursor to the last position that was consumed; `null` deletes it. With
   * `expectEnd` only where the journal ends right there, so that the entry is the next position;
   * CONDITION_FAILED else, which after a retry may mean that it is written: `tail` tells.
   */
  async setCursor(
    name: string,
    position: number | null,
    options: CallOptions & { readonly expectEnd?: number | undefined } = {},
  ): Promise<void> {
    const { expectEnd } = options;
    const request = checked(() => {
      checkCursor(name);
      return {
        journal: this.name,
        name,
        lsn: position === null ? null : lsn(position, 'lsn'),
        expectEnd: expectEnd === undefined ? null : lsn(expectEnd, 'expectEnd'),
      };
    });
    await this.#within(options, (deadline) => setCursor(this.#world, request, deadline));
  }

  /** Linearizable: the last record with the key, the last claim and its lease. */
  async key(key: string, options: CallOptions = {}): Promise<KeyState> {
    const request = { journal: this.name, key: checked(() => checkKey('key', key)) };
    return await this.#ask(journalMethods.key, request, 'head', options);
  }

  /**
   * Forgets a key, so that another one has room: conditions on it then see a key without a record.
   * NOT_FOUND where no record has it, CONDITION_FAILED while it is leased.
   */
  async forgetKey(key: string, options: CallOptions = {}): Promise<void> {
    const request = { journal: this.name, key: checked(() => checkKey('key', key)) };
    try {
      await this.#ask(journalMethods.forgetKey, request, 'head', options, true);
    } catch (caught) {
      // An earlier try, whose answer was lost, may have done it: it is gone, as was asked.
      const { code, outcome } = asJournalError(caught);
      if (code !== 'NOT_FOUND' || outcome !== 'unknown') throw caught;
    }
  }

  /**
   * Waits until this process leads `key`, and keeps leading until `lost` aborts. Pass
   * `leadership.fence` with every append that only a leader may make.
   */
  async lead(key: string, options: LeadOptions = {}): Promise<Leadership> {
    const what = checked(() => checkLead(key, options, this.#defaults.node));
    const { closing } = this.#defaults;
    const signal =
      options.signal === undefined ? closing : AbortSignal.any([closing, options.signal]);
    const { applied, onEvent } = options;
    return await campaign(this.#world, { ...what, journal: this.name, signal, applied, onEvent });
  }

  #ask<Q, A>(
    method: Parameters<typeof ask<Q, A>>[1]['method'],
    request: Q,
    preference: Preference,
    options: CallOptions,
    writes = false,
  ): Promise<A> {
    return this.#within(options, (deadline) =>
      ask(this.#world, {
        method,
        request,
        journal: this.name,
        preference,
        writes,
        patience: QUICK_MICROS,
        deadline,
      }),
    );
  }

  #within<Value>(
    options: CallOptions,
    task: (deadline: Deadline) => Promise<Value>,
  ): Promise<Value> {
    return within(this.#world, this.#defaults, options, task);
  }
}

/** Runs a task with the deadline that its caller asked for, and clears that away. */
export async function within<Value>(
  { clock }: World,
  defaults: Defaults,
  options: CallOptions,
  task: (deadline: Deadline) => Promise<Value>,
): Promise<Value> {
  const millis = checked(() => checkTimeout(options.timeoutMillis ?? defaults.timeoutMillis));
  if (defaults.closing.aborted) throw new JournalError('CANCELLED', 'the client was closed');
  const deadline = new Deadline(clock, millis, options.signal);
  try {
    return await task(deadline);
  } finally {
    deadline.close();
  }
}

export const checkCursor = (name: string): string => checkKey('cursor name', name);

function checkLead(key: string, options: LeadOptions, defaultNode: string) {
  const leaseMillis = whole(
    'leaseMillis',
    options.leaseMillis ?? LEASE_MILLIS,
    LEASE_MILLIS_MIN,
    LEASE_MILLIS_MAX,
  );
  const slack = options.slackMillis ?? defaultSlackMillis(leaseMillis);
  const marginMost = Math.floor((leaseMillis * 2) / 3);
  return {
    key: checkKey('key', key),
    node: (options.node ?? defaultNode).slice(0, NODE_LENGTH_MAX),
    leaseMillis,
    timeoutMillis: checkTimeout(options.timeoutMillis ?? TIMEOUT_MILLIS_MAX),
    slackMillis: whole('slackMillis', slack, 0, LEASE_MILLIS_MAX),
    marginMillis: whole('marginMillis', options.marginMillis ?? 0, 0, marginMost),
  };
}
