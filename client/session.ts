// One writer session of a journal: it keeps the stream to the head up and turns the crank of the
// machine in appends.ts, so that an append that was accepted here is answered, or its caller told.
//
// A head that stops answering is noticed in two ways: the link breaks, or appends stay unanswered
// and another replica knows a newer configuration. Waiting alone breaks nothing: an append may
// lawfully take as long as the slowest disk of the chain.

import type { Cancel } from '../io/clock.ts';
import type { Duplex } from '../io/network.ts';
import { DEFAULT_SETTINGS, head } from '../protocol/configuration.ts';
import { type ErrorCode, JournalError } from '../protocol/errors.ts';
import { micros, NO_LSN, type WriterId, writerId } from '../protocol/types.ts';
import { fromWireError } from '../transport/convert/errors.ts';
import { journalMethods } from '../transport/methods.ts';
import type {
  AppendAnswer,
  AppendCall,
  AppendStreamAnswer,
  SessionAnswer,
} from '../transport/public.ts';
import { type AppendsEffect, type AppendsInput, stepAppends } from './appends.ts';
import { hasWork, limitsOf, needsWriter, openAppends, type Submission } from './batching.ts';
import { noteRefusal, type World } from './calls.ts';
import { answered, candidates, doubtful, headAddress, learn } from './routing.ts';
import { asJournalError, backOff, type Deadline, moreTelling } from './waiting.ts';

/** A probe: long enough for a far zone, short enough to be asked often. */
const PROBE_MICROS = micros(400_000);
/** An append unanswered for this long makes the session look around, and again as often. */
const WATCH_MICROS = 250_000;
/** From here on each look waits twice as long: the chain takes longer than a fault should. */
const LOOKS_EAGER = 4;
const WATCH_MICROS_MAX = 1_000_000;
/** Until the first answer on a stream; it is opened only when something is to be sent. */
const STREAM_MICROS = micros(60_000_000);
/** Probes in a row that the head must miss before its stream is given up. */
const MISSES_MAX = 2;
const PROBES_AT_ONCE = 5;

/** Refusals of a session that hold for every append of it, whoever is asked. */
const ENDS_ALL: ReadonlySet<ErrorCode> = new Set([
  'NOT_FOUND',
  'INVALID_ARGUMENT',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'INCOMPATIBLE',
]);

export const QUEUE_BYTES_MAX = 32 * 2 ** 20;
export const QUEUE_APPENDS_MAX = 4_096;
/** Callers that do not wait for room are refused from here on. */
const QUEUE_APPENDS_LIMIT = 65_536;

interface Stream {
  readonly address: string;
  readonly duplex: Duplex<AppendCall, AppendStreamAnswer>;
  readonly sentAt: Map<number, number>;
  /** Probes in a row that the head did not answer. */
  misses: number;
}

interface Waiter {
  readonly bytes: number;
  readonly resolve: (answer: AppendAnswer) => void;
  readonly reject: (error: JournalError) => void;
}

export class Session {
  readonly #world: World;
  readonly #journal: string;
  readonly #appends = openAppends(limitsOf(DEFAULT_SETTINGS));
  readonly #waiters = new Map<number, Waiter>();
  readonly #closing = new AbortController();
  #room: { readonly free: () => void; readonly freed: Promise<void> } | null = null;
  #bytes = 0;
  #nextId = 1;
  #answers = 0;
  #stream: Stream | null = null;
  #running = false;
  #flushing = false;
  #trouble: JournalError | undefined;
  /** Ends the wait of the loop: the stream broke, or what was refused is to be sent again. */
  #wake: (error: JournalError) => void = () => undefined;
  #release: Cancel | null = null;
  #unwatch: Cancel | null = null;
  #turn: number;

  constructor(world: World, journal: string) {
    this.#world = world;
    this.#journal = journal;
    this.#turn = world.random.below(2 ** 16);
  }

  /** Resolves once the append is committed; the caller's deadline ends the wait. */
  append(what: Omit<Submission, 'id'>, deadline: Deadline): Promise<AppendAnswer> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    if (deadline.over()) return Promise.reject(deadline.error('append', undefined, 'none'));
    if (this.#waiters.size >= QUEUE_APPENDS_LIMIT) {
      const message = `${this.#waiters.size} appends wait, allowed is ${QUEUE_APPENDS_LIMIT}`;
      return Promise.reject(new JournalError('OVERLOADED', `${message}: await room() first`));
    }
    const id = this.#nextId;
    this.#nextId += 1;
    this.#release ??= this.#world.hold();
    const giveUp = (): void => {
      const error = deadline.error('append', this.#trouble, 'none');
      this.#apply({ kind: 'giveUp', id, error });
    };
    deadline.signal.addEventListener('abort', giveUp, { once: true });
    const settled = new Promise<AppendAnswer>((resolve, reject) => {
      this.#waiters.set(id, { bytes: what.bytes, resolve, reject });
    });
    this.#bytes += what.bytes;
    this.#apply({ kind: 'submit', submission: { ...what, id } });
    this.#flushSoon();
    return settled.finally(() => deadline.signal.removeEventListener('abort', giveUp));
  }

  /** Resolves when fewer appends wait here than the bound of the queue. */
  async room(): Promise<void> {
    while (this.#full()) {
      if (this.#room === null) {
        let free = (): void => undefined;
        const freed = new Promise<void>((resolve) => {
          free = resolve;
        });
        this.#room = { free, freed };
      }
      await this.#room.freed;
    }
  }

  /** Gives up what still waits. */
  close(): void {
    this.#closing.abort();
    this.#apply({ kind: 'failAll', error: closedError() });
    this.#drop(closedError());
  }

  #full(): boolean {
    return this.#waiters.size >= QUEUE_APPENDS_MAX || this.#bytes >= QUEUE_BYTES_MAX;
  }

  // ── The crank ───────────────────────────────────────────────────────────────────────────────

  /** Calls of one moment are cut together: the cut comes after all of them. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#apply({ kind: 'flush' });
      if (!this.#running && hasWork(this.#appends)) void this.#run();
    });
  }

  #apply(input: AppendsInput): void {
    for (const effect of stepAppends(this.#appends, input)) this.#act(effect);
  }

  #act(effect: AppendsEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#send({ ...effect.call, journal: this.#journal });
        break;
      case 'settle':
        this.#settled(effect.id)?.resolve(effect.answer);
        break;
      case 'reject':
        this.#settled(effect.id)?.reject(effect.error);
        break;
      case 'pause':
        this.#wake(effect.error);
    }
  }

  #settled(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return undefined;
    this.#waiters.delete(id);
    this.#bytes -= waiter.bytes;
    if (this.#waiters.size === 0) {
      this.#release?.();
      this.#release = null;
    }
    if (this.#room !== null && !this.#full()) {
      this.#room.free();
      this.#room = null;
    }
    return waiter;
  }

  #send(call: AppendCall): void {
    const stream = this.#stream;
    if (stream === null) return;
    stream.sentAt.set(call.tag, this.#world.clock.now());
    this.#watch(WATCH_MICROS, 0);
    if (stream.duplex.send(call)) return;
    this.#apply({ kind: 'blocked' });
    void stream.duplex.drained().then(
      () => this.#stream === stream && this.#apply({ kind: 'drained' }),
      () => undefined,
    );
  }

  // ── The stream to the head ──────────────────────────────────────────────────────────────────

  /** Keeps a stream to the head while there is work; ends when it breaks with none left. */
  async #run(): Promise<void> {
    this.#running = true;
    const { signal } = this.#closing;
    try {
      for (let attempt = 0; !signal.aborted && hasWork(this.#appends); attempt += 1) {
        const address = await this.#prepare(attempt);
        if (address !== undefined) {
          const answersBefore = this.#answers;
          this.#dial(address);
          const error = await this.#serve();
          if (error.retryable) this.#trouble = moreTelling(this.#trouble, error);
          if (this.#answers > answersBefore) attempt = 0;
          if (noteRefusal(this.#world, address, error, this.#journal)) continue;
        }
        if (signal.aborted || !hasWork(this.#appends)) break;
        await backOff(this.#world, attempt, signal);
      }
    } finally {
      this.#running = false;
    }
    if (hasWork(this.#appends) && !signal.aborted) void this.#run();
  }

  /** Sends and takes answers until something is to be sent again; says why. */
  #serve(): Promise<JournalError> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      const { configurations } = this.#world.routing;
      const journal = configurations.get(this.#journal)?.journal ?? null;
      this.#apply({ kind: 'connected', journal });
    });
  }

  /** The head's address, with a writer for the session where one is needed. */
  async #prepare(attempt: number): Promise<string | undefined> {
    const { routing, clock } = this.#world;
    const known = headAddress(routing, this.#journal, clock.now());
    const sure = known !== undefined && !doubtful(routing, known, clock.now());
    if (sure && !needsWriter(this.#appends)) return known;
    const opened = await this.#inquire(attempt);
    if (opened === undefined) return undefined;
    if (needsWriter(this.#appends)) {
      const writer = this.#newWriter(opened);
      const { journal } = opened.configuration;
      this.#apply({ kind: 'opened', journal, writer, limits: limitsOf(opened.settings) });
    }
    return headAddress(routing, this.#journal, clock.now());
  }

  /** Asks one replica where appends go; refusals that cannot be mended end all appends. */
  async #inquire(attempt: number): Promise<SessionAnswer | undefined> {
    const { routing, clock } = this.#world;
    const order = candidates(routing, this.#journal, 'head', clock.now(), this.#turn);
    this.#turn += 1;
    const [address = ''] = order;
    // Who must ask the controllers first may need longer.
    const timeout = micros(PROBE_MICROS * 2 ** Math.min(attempt, 3));
    try {
      return await this.#probe(address, timeout);
    } catch (caught) {
      const error = asJournalError(caught);
      if (error.retryable) this.#trouble = moreTelling(this.#trouble, error);
      if (ENDS_ALL.has(error.code)) this.#apply({ kind: 'failAll', error });
      return undefined;
    }
  }

  async #probe(address: string, timeout = PROBE_MICROS): Promise<SessionAnswer> {
    const { network, routing } = this.#world;
    const options = { timeout, signal: this.#closing.signal };
    try {
      const request = { journal: this.#journal };
      const answer = await network.call(address, journalMethods.session, request, options);
      answered(routing, address);
      learn(routing, answer.configuration);
      return answer;
    } catch (caught) {
      noteRefusal(this.#world, address, asJournalError(caught), this.#journal);
      throw caught;
    }
  }

  /** See `WriterId`: an identity that an evicted writer cannot have had. */
  #newWriter(opened: SessionAnswer): WriterId {
    const end = opened.endLsn === NO_LSN ? 0 : opened.endLsn;
    return writerId(end.toString(16).padStart(14, '0') + this.#world.random.hex(9));
  }

  #dial(address: string): void {
    if (this.#stream?.address === address) return;
    this.#drop(new JournalError('UNAVAILABLE', `the head moved to ${address}`));
    const options = { timeout: STREAM_MICROS, signal: this.#closing.signal };
    const duplex = this.#world.network.duplex(address, journalMethods.appendStream, options);
    const stream: Stream = { address, duplex, sentAt: new Map(), misses: 0 };
    this.#stream = stream;
    void this.#listen(stream);
  }

  async #listen(stream: Stream): Promise<void> {
    let error = new JournalError('UNAVAILABLE', `${stream.address} ended the stream`);
    try {
      for await (const answer of stream.duplex.incoming) {
        if (this.#stream !== stream) return;
        this.#take(stream, answer);
      }
    } catch (caught) {
      error = asJournalError(caught);
    }
    if (this.#stream === stream) this.#drop(error);
  }

  #take(stream: Stream, answer: AppendStreamAnswer): void {
    const refused = answer.kind === 'refused';
    const tag = refused ? answer.tag : answer.answer.tag;
    stream.sentAt.delete(tag);
    if (refused) {
      const error = fromWireError(answer.error);
      if (error.retryable) this.#trouble = moreTelling(this.#trouble, error);
      if (error.code === 'NOT_FOUND') this.#world.routing.configurations.delete(this.#journal);
      this.#apply({ kind: 'refused', tag, error });
    } else {
      this.#trouble = undefined;
      this.#answers += 1;
      this.#apply({ kind: 'appended', answer: answer.answer });
      answered(this.#world.routing, stream.address);
    }
  }

  /** What was in flight may or may not have arrived. */
  #drop(error: JournalError): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#stream = null;
    this.#unwatch?.();
    this.#unwatch = null;
    const reached = stream.duplex.reached?.() ?? true;
    stream.duplex.cancel();
    this.#apply({ kind: 'broken', error, reached });
  }

  // ── The watch ───────────────────────────────────────────────────────────────────────────────

  /** Looks after `delay` whether something has been unanswered for too long. */
  #watch(delay: number, looks: number): void {
    if (this.#unwatch !== null) return;
    this.#unwatch = this.#world.clock.after(micros(delay), () => {
      this.#unwatch = null;
      const stream = this.#stream;
      const oldest = stream?.sentAt.values().next().value;
      if (stream === null || oldest === undefined) return;
      const age = this.#world.clock.now() - oldest;
      if (age < WATCH_MICROS) {
        this.#watch(WATCH_MICROS - age, 0);
        return;
      }
      // Before the answers are there: who is silent must not delay what others would say next.
      const wait = WATCH_MICROS * 2 ** Math.max(0, looks - LOOKS_EAGER);
      this.#watch(Math.min(wait, WATCH_MICROS_MAX), looks + 1);
      this.#look(stream);
    });
  }

  /** Asks every member whether the stream still leads to the head, and the head whether it lives. */
  #look(stream: Stream): void {
    const { routing, clock } = this.#world;
    const all = candidates(routing, this.#journal, 'head', clock.now(), this.#turn);
    for (const address of new Set([stream.address, ...all].slice(0, PROBES_AT_ONCE))) {
      const isHead = address === stream.address;
      const heard = (answered: boolean): void => {
        if (isHead) stream.misses = answered ? 0 : stream.misses + 1;
        this.#leave(stream);
      };
      void this.#probe(address).then(
        () => heard(true),
        () => heard(false),
      );
    }
  }

  #leave(stream: Stream): void {
    if (this.#stream !== stream) return;
    const configuration = this.#world.routing.configurations.get(this.#journal);
    const now = configuration === undefined ? undefined : head(configuration)?.address;
    const moved = now !== undefined && now !== stream.address;
    if (!moved && stream.misses < MISSES_MAX) return;
    const why = moved ? `the head moved to ${now}` : `${stream.address} does not answer`;
    this.#drop(new JournalError('UNAVAILABLE', why));
  }
}

const closedError = (): JournalError => new JournalError('CANCELLED', 'the client was closed');
