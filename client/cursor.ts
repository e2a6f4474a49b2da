// Subscriptions: every committed record from a position on, in order, each once, over fail-overs.
//
// The place is `{lineage, nextLsn}`: whichever replica serves, the stream goes on there. What is
// gone (TRIMMED) or was given up (LINEAGE_CHANGED) ends it with an error, never with a gap. The
// consumer sets the pace: no answer is asked for before the last one was taken.

import { JournalError } from '../protocol/errors.ts';
import { FIRST_LSN, type Lsn, lsn, micros } from '../protocol/types.ts';
import { journalMethods } from '../transport/methods.ts';
import type { JournalRecord, StartPosition, SubscribeAnswer } from '../transport/public.ts';
import { ask, noteRefusal, QUICK_MICROS, type World } from './calls.ts';
import type { ResumeToken } from './input.ts';
import { answered, candidates } from './routing.ts';
import {
  asJournalError,
  backOff,
  Deadline,
  fromMillis,
  moreTelling,
  unlessAborted,
} from './waiting.ts';

export interface CursorStart {
  readonly journal: string;
  readonly position: StartPosition;
  /** 0 for any. */
  readonly lineage: number;
  /** Ends after this many records. */
  readonly limit: number;
  /** Ends when what was committed at the start was delivered. */
  readonly untilEnd: boolean;
  /** Without an answer of any replica for this long, it ends with UNAVAILABLE. */
  readonly timeoutMillis: number;
  readonly signal: AbortSignal;
}

/** What one message brought: some records, or none and how far the log was looked through. */
export interface Delivery {
  readonly records: readonly JournalRecord[];
  /** All below is delivered, control entries included. */
  readonly nextLsn: Lsn;
  readonly committedLsn: Lsn;
  readonly lineage: number;
}

/**
 * Replicas say at least once a second how far they are, and ask the chain before they say for long
 * that there is no news: one that is silent for longer is gone, or was cut off.
 */
const SILENCE_MICROS = micros(2_500_000);

/** One subscription, on the way. Take it once. */
export class Cursor {
  readonly #world: World;
  readonly #start: CursorStart;
  #position: StartPosition;
  #nextLsn: Lsn | null;
  #lineage: number;
  #left: number;
  #heardAt: number;
  /** What was refused since then. */
  #trouble: JournalError | undefined;

  constructor(world: World, start: CursorStart) {
    this.#world = world;
    this.#start = start;
    this.#position = start.position;
    this.#nextLsn = start.position.kind === 'lsn' ? start.position.lsn : null;
    this.#lineage = start.lineage;
    this.#left = start.limit;
    this.#heardAt = world.clock.now();
  }

  /** Where another subscription would go on; undefined before the first answer. */
  get token(): ResumeToken | undefined {
    if (this.#nextLsn === null || this.#lineage === 0) return undefined;
    return { lineage: this.#lineage, nextLsn: this.#nextLsn };
  }

  async *deliveries(): AsyncGenerator<Delivery, void, undefined> {
    const { clock, random, hold } = this.#world;
    const release = hold();
    this.#heardAt = clock.now();
    try {
      const endLsn = this.#start.untilEnd ? await this.#end() : null;
      if (endLsn !== null) this.#refuseAbove(endLsn);
      if (this.#done(endLsn)) return;
      const turn = random.below(2 ** 16);
      for (let attempt = 0; !this.#start.signal.aborted; attempt += 1) {
        const heardBefore = this.#heardAt;
        const address = this.#choose(turn + attempt);
        try {
          for await (const delivery of this.#from(address)) {
            yield delivery;
            if (this.#done(endLsn)) return;
            // Nobody was asked while the consumer took its time: that was no silence.
            this.#heardAt = clock.now();
          }
        } catch (caught) {
          this.#refused(address, asJournalError(caught));
        }
        if (this.#heardAt > heardBefore) attempt = 0;
        await backOff(this.#world, attempt, this.#start.signal);
      }
    } finally {
      release();
    }
  }

  #done(endLsn: Lsn | null): boolean {
    if (this.#left <= 0) return true;
    return endLsn !== null && (this.#nextLsn ?? FIRST_LSN) > endLsn;
  }

  /** A replica would refuse it too, but one that ends at the end asks none. */
  #refuseAbove(endLsn: Lsn): void {
    const position = this.#start.position;
    if (position.kind !== 'lsn' || position.lsn <= endLsn + 1) return;
    const allowed = `allowed is at most ${endLsn + 1}, the next position`;
    const message = `from is ${position.lsn}, ${allowed}`;
    throw new JournalError('OUT_OF_RANGE', message, { tailLsn: endLsn });
  }

  #choose(turn: number): string {
    const { routing, clock } = this.#world;
    return candidates(routing, this.#start.journal, 'nearest', clock.now(), turn)[0] ?? '';
  }

  async #end(): Promise<Lsn> {
    const { clock } = this.#world;
    const deadline = new Deadline(clock, this.#start.timeoutMillis, this.#start.signal);
    try {
      return (await tailAnswer(this.#world, this.#start.journal, deadline)).endLsn;
    } finally {
      deadline.close();
    }
  }

  /** Throws what another replica would refuse as well. */
  #refused(address: string, error: JournalError): void {
    const { clock } = this.#world;
    if (this.#start.signal.aborted) return;
    if (!error.retryable) throw error;
    noteRefusal(this.#world, address, error, this.#start.journal);
    const trouble = moreTelling(this.#trouble, error);
    this.#trouble = trouble;
    const silence = clock.now() - this.#heardAt;
    if (silence < fromMillis(this.#start.timeoutMillis)) return;
    const message = `no replica answered for ${this.#start.timeoutMillis} ms: ${trouble.message}`;
    const code = trouble.code === 'NO_SURVIVOR' ? trouble.code : 'UNAVAILABLE';
    throw new JournalError(code, message, trouble.details, 'none', { cause: trouble });
  }

  /** The stream of one replica, until it breaks, falls silent, or turns out to be behind. */
  async *#from(address: string): AsyncGenerator<Delivery, void, undefined> {
    const { network, routing, clock } = this.#world;
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    this.#start.signal.addEventListener('abort', abort, { once: true });
    if (this.#start.signal.aborted) abort();
    const answers = network
      .stream(
        address,
        journalMethods.subscribe,
        { journal: this.#start.journal, from: this.#position, lineage: this.#lineage },
        { timeout: SILENCE_MICROS, signal: controller.signal },
      )
      [Symbol.asyncIterator]();
    try {
      for (;;) {
        const answer = await this.#next(answers);
        if (answer === undefined) return;
        answered(routing, address);
        this.#heardAt = clock.now();
        this.#trouble = undefined;
        const delivery = this.#take(answer);
        if (delivery !== undefined) yield delivery;
      }
    } finally {
      abort();
      this.#start.signal.removeEventListener('abort', abort);
    }
  }

  /** The next message; undefined where the stream ended or nobody wants it any more. */
  async #next(answers: AsyncIterator<SubscribeAnswer>): Promise<SubscribeAnswer | undefined> {
    const silence = new AbortController();
    const cancel = this.#world.clock.after(SILENCE_MICROS, () => silence.abort());
    const stop = (): void => silence.abort();
    this.#start.signal.addEventListener('abort', stop, { once: true });
    try {
      const waited = await unlessAborted(answers.next(), silence.signal);
      if (waited.kind === 'value')
        return waited.value.done === true ? undefined : waited.value.value;
      if (this.#start.signal.aborted) return undefined;
      throw new JournalError('UNAVAILABLE', 'the replica fell silent');
    } finally {
      cancel();
      this.#start.signal.removeEventListener('abort', stop);
    }
  }

  /** Takes a message in; undefined where it brought nothing new. */
  #take(answer: SubscribeAnswer): Delivery | undefined {
    const { lineage, committedLsn } = answer;
    refuseOther(this.#lineage, lineage);
    const from = this.#nextLsn ?? FIRST_LSN;
    // Each is delivered once, whatever a replica sends.
    let records = answer.records.filter((record) => record.lsn >= from);
    let { nextLsn } = answer;
    if (records.length > this.#left) {
      records = records.slice(0, this.#left);
      nextLsn = lsn((records.at(-1)?.lsn ?? 0) + 1);
    }
    const news = this.#nextLsn === null || nextLsn > this.#nextLsn;
    this.#lineage = lineage;
    if (!news) return undefined;
    this.#nextLsn = nextLsn;
    this.#position = { kind: 'lsn', lsn: nextLsn };
    this.#left -= records.length;
    return { records, nextLsn, committedLsn, lineage };
  }
}

/** The linearizable end of a journal, from any replica. */
export function tailAnswer(world: World, journal: string, deadline: Deadline) {
  return ask(world, {
    method: journalMethods.tail,
    request: { journal },
    journal,
    preference: 'nearest',
    writes: false,
    patience: QUICK_MICROS,
    deadline,
  });
}

/** Throws LINEAGE_CHANGED where an answer is of another lineage than the one before; 0 for none. */
export function refuseOther(known: number, lineage: number): void {
  if (known === 0 || lineage === known) return;
  const message = `records of lineage ${known} were given up, it is ${lineage} now`;
  throw new JournalError('LINEAGE_CHANGED', message);
}
