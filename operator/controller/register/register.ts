// The registers as the rest of the controller sees them: change, read, list, replace the set.
//
// One change is a few attempts of the pure proposer, each above the last, with pauses that vary,
// until the deadline. Requests to one acceptor that come together go as one call.

import type { Clock } from '../../../io/clock.ts';
import type { Logger } from '../../../io/logger.ts';
import type { Random } from '../../../io/random.ts';
import { JournalError } from '../../../protocol/errors.ts';
import { openReplacement, stepReplacement } from '../../../protocol/paxos/acceptor-set.ts';
import {
  ACCEPTORS_KEY,
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  majorityOf,
  type Seat,
} from '../../../protocol/paxos/messages.ts';
import {
  type ChangeOutcome,
  judgeRead,
  openChange,
  type ReadJudgement,
  stepChange,
  type Update,
} from '../../../protocol/paxos/proposer.ts';
import { type Micros, micros } from '../../../protocol/types.ts';
import { TIMING } from '../config.ts';
import { enough, unsettled } from './answers.ts';
import { decodeSet, encode } from './records.ts';

/** Carries requests to one acceptor; rejects where no answer will come. */
export type AskAcceptor = (
  seat: Seat,
  requests: readonly AcceptorRequest[],
) => Promise<readonly AcceptorAnswer[]>;

export interface RegisterParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Unique to this start of this process: store id and nonce. */
  readonly proposer: string;
  readonly ask: AskAcceptor;
  /** Before `to` is installed at one of its seats: what must be there first (floors). */
  readonly prepareSeat: (from: AcceptorSet, seat: Seat) => Promise<void>;
  readonly onSet: (set: AcceptorSet) => void;
  /** Factor on the time for a change, from 1 on: how late the acceptors are now. */
  readonly stretch?: (() => number) | undefined;
  /** A change came through: what it took, its retries included. */
  readonly changed?: ((took: Micros) => void) | undefined;
}

export interface Changed {
  readonly before: string | null;
  readonly value: string | null;
}

const PAUSE_MIN = 10_000;
const PAUSE_MAX = 2_000_000;
const READ_PAUSE = 20_000;
const READ_ATTEMPTS = 6;
const BATCH_MAX = 512;
/** While acceptors are late a change may take this much longer: more than one try at least. */
const STRETCH_TOTAL_MAX = 4;
const QUEUE_MAX = 20_000;

interface Queued {
  readonly body: AcceptorRequest;
  readonly resolve: (answer: AcceptorAnswer) => void;
  readonly reject: (error: unknown) => void;
}

type Emit =
  | { readonly kind: 'send'; readonly to: Seat; readonly body: AcceptorRequest }
  | { readonly kind: 'over' };
type Event =
  | { readonly kind: 'start' }
  | { readonly kind: 'answer'; readonly from: string; readonly answer: AcceptorAnswer }
  | { readonly kind: 'lost'; readonly from: string; readonly reason: string };

export class Register {
  readonly #parts: RegisterParts;
  readonly #queues = new Map<string, Queued[]>();
  readonly #sets = new Map<number, AcceptorSet>();
  #set: AcceptorSet;
  /** The newest version of which a majority is known to have the registers. */
  #served = 0;
  #round = 0;
  #replacing: Promise<void> | null = null;
  #closed = false;

  constructor(parts: RegisterParts, set: AcceptorSet) {
    this.#parts = parts;
    this.#set = set;
    this.#sets.set(set.version, set);
  }

  get set(): AcceptorSet {
    return this.#set;
  }

  /**
   * Seats that are needed: those of the set and, until a majority of it has the registers, those of
   * the one before, which has them all.
   */
  get needed(): readonly Seat[] {
    const { seats, version } = this.#set;
    const before = this.#served < version ? this.#sets.get(version - 1) : undefined;
    const left = before?.seats.filter(({ id }) => seats.every((seat) => seat.id !== id)) ?? [];
    return [...seats, ...left];
  }

  close(): void {
    this.#closed = true;
  }

  /** What this controller was told to ask is not the set itself: that has another id. */
  reset(set: AcceptorSet): void {
    this.#sets.clear();
    this.#sets.set(set.version, set);
    this.#set = set;
  }

  /** Takes a newer set that was seen somewhere; older ones are remembered, to carry on from. */
  learn(set: AcceptorSet): void {
    if (set.id !== this.#set.id) return;
    this.#sets.set(set.version, set);
    if (set.version <= this.#set.version) return;
    this.#set = set;
    this.#parts.onSet(set);
  }

  /**
   * Replaces the value by `update` of it. Rejects with UNAVAILABLE when time is over, and with what
   * `update` throws. Outcome is `unknown` where an acceptor may have accepted what any attempt
   * proposed, however that one ended: read again, never assume.
   */
  async change(key: string, update: Update, timeout: Micros = TIMING.register): Promise<Changed> {
    const { clock } = this.#parts;
    const started = clock.now();
    let wait = PAUSE_MIN;
    let sent = false;
    let reasons = '';
    for (;;) {
      this.#round += 1;
      const began = clock.now();
      const outcome = await this.#attempt(key, update).catch((error: unknown) => {
        throw sent ? unsettled(error) : error;
      });
      if (outcome.kind === 'chosen') {
        this.#parts.changed?.(micros(clock.now() - started));
        return outcome;
      }
      sent ||= outcome.proposed;
      if (outcome.kind === 'moved') {
        this.learn(outcome.set);
      } else if (outcome.kind === 'outbid') {
        this.#round = Math.max(this.#round, outcome.above.round);
        reasons = 'another controller is changing it';
      } else {
        reasons = outcome.reasons.join(', ');
        if (outcome.absent) await this.#carryOn();
      }
      // Two that take turns as fast as they can may outbid each other for ever: the pause must be
      // long enough, at random, for the other one to get through meanwhile.
      wait = Math.min(PAUSE_MAX, Math.max(wait, 2 * (clock.now() - began)));
      const pause = this.#parts.random.below(Math.round(wait));
      const stretch = Math.min(STRETCH_TOTAL_MAX, this.#parts.stretch?.() ?? 1);
      if (this.#closed || clock.now() + pause >= started + timeout * stretch) {
        const message = `register ${key} was not changed: ${reasons || 'its set is moving'}`;
        throw new JournalError('UNAVAILABLE', message, {}, sent ? 'unknown' : 'none');
      }
      await this.#pause(pause);
      wait *= 2;
    }
  }

  /**
   * The value: in one round where a majority agrees. Where a proposal is under way it waits for its
   * end, a few times; one that was left behind is ended by a change that changes nothing.
   */
  async read(key: string, timeout: Micros = TIMING.register): Promise<string | null> {
    let wait = READ_PAUSE;
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt += 1) {
      const judged = await this.#readOnce(key);
      if (judged.kind === 'value') return judged.value;
      await this.#pause(wait / 2 + this.#parts.random.below(wait));
      wait *= 2;
    }
    return (await this.change(key, (value) => value, timeout)).value;
  }

  async #readOnce(key: string): Promise<ReadJudgement> {
    const set = this.#set;
    const answers = new Map<string, AcceptorAnswer | null>();
    return await new Promise((resolve) => {
      for (const seat of set.seats) {
        void this.#ask(seat, { kind: 'read', set: nameOf(set), key })
          .catch(() => null)
          .then((answer) => {
            if (answer !== null) this.#stale(answer);
            answers.set(seat.id, answer);
            const now = judgeRead(set, answers);
            if (now.kind === 'value') this.#serves(set);
            if (now.kind !== 'wait') resolve(now);
          });
      }
    });
  }

  /** Every key with `prefix` that was ever written, with its value. */
  async readAll(prefix: string): Promise<ReadonlyMap<string, string>> {
    const keys = await this.keys(prefix);
    const values = await Promise.all(keys.map((key) => this.read(key)));
    const found = new Map<string, string>();
    for (const [at, key] of keys.entries()) {
      const value = values[at] ?? null;
      if (value !== null) found.set(key, value);
    }
    return found;
  }

  /** The union over a majority: a key that was chosen is on one of them. */
  async keys(prefix: string): Promise<readonly string[]> {
    const set = this.#set;
    const asked = set.seats.map((seat) =>
      this.#ask(seat, { kind: 'keys', set: nameOf(set), prefix }).then(
        (answer) => (answer.kind === 'keys' ? answer.keys : this.#stale(answer)),
        () => null,
      ),
    );
    const found = (await enough(asked, majorityOf(set.seats.length))).flat();
    this.#serves(set);
    return [...new Set(found)].sort();
  }

  #serves({ version }: AcceptorSet): void {
    this.#served = Math.max(this.#served, version);
  }

  #stale(answer: AcceptorAnswer): null {
    if (answer.kind === 'wrongSet' && answer.newer !== null) this.learn(answer.newer);
    return null;
  }

  /**
   * Replaces the acceptors. What the present set decides first wins: the answer is the set that
   * serves now, which may be another proposer's.
   */
  async replace(seats: readonly Seat[]): Promise<AcceptorSet> {
    const from = this.#set;
    const next: AcceptorSet = { id: from.id, version: from.version + 1, seats };
    const { value } = await this.change(ACCEPTORS_KEY, (current) => {
      const known = current === null ? null : decodeSet(current);
      return known === null || known.version === from.version ? encode(next) : current;
    });
    const decided = value === null ? next : decodeSet(value);
    if (decided.version === from.version + 1) await this.#replaceSet(from, decided);
    this.learn(decided);
    return decided;
  }

  /** Resolves once a majority of the set has the registers; UNAVAILABLE where that takes too long. */
  async settle(): Promise<void> {
    await this.change(ACCEPTORS_KEY, (value) => value);
  }

  /** The set is decided but not served by a majority: runs its installation again. */
  async #carryOn(): Promise<void> {
    const from = this.#sets.get(this.#set.version - 1);
    if (from === undefined) return;
    // Many changes may run into it at once: one of them is enough.
    this.#replacing ??= this.#replaceSet(from, this.#set)
      .catch((error: unknown) => {
        this.#parts.logger.warn({ error: String(error) }, 'the acceptor set was not replaced yet');
      })
      .finally(() => {
        this.#replacing = null;
      });
    await this.#replacing;
  }

  async #replaceSet(from: AcceptorSet, to: AcceptorSet): Promise<void> {
    const { logger, prepareSeat } = this.#parts;
    const state = openReplacement(from, to);
    logger.info({ from: from.version, to: to.version }, 'replacing the acceptor set');
    const send = async (seat: Seat, body: AcceptorRequest): Promise<AcceptorAnswer> => {
      if (body.kind === 'install') await prepareSeat(from, seat);
      return await this.#ask(seat, body);
    };
    const over = await this.#run((event) => stepReplacement(state, event), send);
    if (over.outcome.kind === 'replaced') return this.#serves(to);
    throw new JournalError('UNAVAILABLE', over.outcome.reasons.join(', '), {}, 'unknown');
  }

  async #attempt(key: string, update: Update): Promise<ChangeOutcome> {
    const ballot = { round: this.#round, proposer: this.#parts.proposer };
    const set = this.#set;
    const state = openChange(key, set, ballot, update);
    const send = (seat: Seat, body: AcceptorRequest) => this.#ask(seat, body);
    const { outcome } = await this.#run((event) => stepChange(state, event), send);
    if (outcome.kind === 'chosen') this.#serves(set);
    return outcome;
  }

  /** Drives a machine of this room to its end: every request is answered or lost in time. */
  #run<Output extends Emit>(
    step: (event: Event) => readonly Output[],
    send: (seat: Seat, body: AcceptorRequest) => Promise<AcceptorAnswer>,
  ): Promise<Extract<Output, { readonly kind: 'over' }>> {
    type Over = Extract<Output, { readonly kind: 'over' }>;
    const isOver = (output: Output): output is Over => output.kind === 'over';
    return new Promise((resolve, reject) => {
      const take = (event: Event): void => {
        try {
          for (const output of step(event)) {
            if (isOver(output)) resolve(output);
            else if (output.kind === 'send') ask(output.to, output.body);
          }
        } catch (error) {
          reject(error);
        }
      };
      const ask = (to: Seat, body: AcceptorRequest): void => {
        send(to, body).then(
          (answer) => take({ kind: 'answer', from: to.id, answer }),
          (error: unknown) => take({ kind: 'lost', from: to.id, reason: reasonOf(error) }),
        );
      };
      take({ kind: 'start' });
    });
  }

  #ask(seat: Seat, body: AcceptorRequest): Promise<AcceptorAnswer> {
    const name = `${seat.id} ${seat.address}`;
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    if (queue.length >= QUEUE_MAX) {
      return Promise.reject(new JournalError('OVERLOADED', `too much waits for ${seat.id}`));
    }
    return new Promise((resolve, reject) => {
      queue.push({ body, resolve, reject });
      if (queue.length === 1) void Promise.resolve().then(() => this.#flush(seat, queue));
    });
  }

  #flush(seat: Seat, queue: Queued[]): void {
    while (queue.length > 0) {
      const going = queue.splice(0, BATCH_MAX);
      this.#parts
        .ask(
          seat,
          going.map(({ body }) => body),
        )
        .then(
          (answers) => {
            for (const [at, { resolve, reject }] of going.entries()) {
              const answer = answers[at];
              if (answer === undefined) reject(new JournalError('INTERNAL', 'no answer'));
              else resolve(answer);
            }
          },
          (error: unknown) => {
            for (const { reject } of going) reject(error);
          },
        );
    }
  }

  #pause(delay: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(micros(Math.round(delay)), resolve);
    });
  }
}

const nameOf = ({ id, version }: AcceptorSet): { id: string; version: number } => ({ id, version });

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
