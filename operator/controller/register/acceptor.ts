// The acceptor of this process: the pure machine, its disk, and its start.
//
// Many keys share a sync: whatever is saved while one runs goes with the next. After a save that
// failed, and after a broken rule, nothing is answered any more, and the process is told to end.

import type { Logger } from '../../../io/logger.ts';
import type { Metadata } from '../../../log/metadata.ts';
import { InvariantViolation, JournalError } from '../../../protocol/errors.ts';
import { choice, fields, nullable, parse } from '../../../protocol/fields.ts';
import {
  type AcceptorChange,
  type AcceptorEffect,
  type AcceptorInput,
  type AcceptorState,
  acceptedHere,
  newestSet,
  openAcceptor,
  type SetRecord,
  servedSet,
  stepAcceptor,
} from '../../../protocol/paxos/acceptor.ts';
import type { AcceptorView } from '../../../protocol/paxos/invariants.ts';
import type {
  AcceptorAnswer,
  AcceptorRequest,
  AcceptorSet,
  RegisterState,
} from '../../../protocol/paxos/messages.ts';
import { readSet } from './records.ts';
import { readRegister } from './wire.ts';

const SET = 'set/';
const REGISTER = 'register/';
const padded = (version: number): string => String(version).padStart(10, '0');

const bytesOf = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What a set and its registers are on the disk; also what formatting writes. */
export function encodeChanges(changes: readonly AcceptorChange[]): Map<string, Uint8Array> {
  return new Map(
    changes.map((change) =>
      change.kind === 'set'
        ? [SET + padded(change.record.set.version), bytesOf(change.record)]
        : [`${REGISTER}${padded(change.version)}/${change.key}`, bytesOf(change.state)],
    ),
  );
}

function readSetRecord(bytes: Uint8Array): SetRecord {
  const all = fields('set record', parse('set record', textOf(bytes)));
  return {
    set: readSet('set', all.set),
    mode: choice('mode', all.mode, ['serving', 'sealed']),
    next: nullable(all.next, (next) => readSet('next', next)),
  };
}

function readSaved(metadata: Metadata) {
  return metadata.keys(SET).map((key) => {
    const bytes = metadata.get(key);
    if (bytes === undefined) throw new JournalError('DAMAGED', `${key} is listed but not there`);
    const record = readSetRecord(bytes);
    const prefix = `${REGISTER}${padded(record.set.version)}/`;
    const registers = metadata.keys(prefix).flatMap((name) => {
      const value = metadata.get(name);
      if (value === undefined) return [];
      const state: RegisterState = readRegister(name, parse(name, textOf(value)));
      return [{ key: name.slice(prefix.length), state }];
    });
    return { record, registers };
  });
}

export interface AcceptorParts {
  readonly id: string;
  readonly store: string;
  readonly metadata: Metadata;
  readonly logger: Logger;
  /** A new value was accepted here: worth reading, since it may be decided. */
  readonly onAccepted: (key: string) => void;
  /** Somebody begins to change a register. */
  readonly onPrepared: (key: string, proposer: string) => void;
  /** Told of each step, where somebody looks at all acceptors together. */
  readonly stepped?: ((key: string, acceptor: AcceptorView) => void) | undefined;
  /** Told of each answer about a register: the ballots that it lets others know of. */
  readonly answered?: ((key: string, told: Told) => void) | undefined;
  /** The disk gave up, or a rule is broken. */
  readonly onFailed: (error: Error) => void;
}

/** What an answer lets others know of: that must be on the disk. */
export type Told = Pick<RegisterState, 'promised' | 'accepted'>;

function told(body: AcceptorRequest, answer: AcceptorAnswer): Told | null {
  if (answer.kind === 'state') return answer.state;
  if (answer.kind === 'promise' && body.kind === 'prepare') {
    return { promised: body.ballot, accepted: answer.accepted };
  }
  if (answer.kind !== 'accepted' || body.kind !== 'accept') return null;
  return { promised: body.ballot, accepted: body.ballot };
}

export class Acceptor {
  readonly #parts: AcceptorParts;
  readonly #state: AcceptorState;
  readonly #waiting = new Map<number, (answer: AcceptorAnswer) => void>();
  readonly #rejecting = new Map<number, (error: Error) => void>();
  readonly #saved = new Set<number>();
  #durable = 0;
  #requests = 0;
  #failed: JournalError | null = null;
  /** Why nothing is answered yet, or any more; empty while serving. */
  #closed = 'it is starting';

  constructor(parts: AcceptorParts) {
    this.#parts = parts;
    this.#state = openAcceptor(parts.id, parts.store, readSaved(parts.metadata));
  }

  get newest(): AcceptorSet | undefined {
    return newestSet(this.#state);
  }

  get served(): AcceptorSet | undefined {
    return servedSet(this.#state);
  }

  /** A set that this acceptor knows by its version: to carry on a replacement. */
  known(version: number): AcceptorSet | undefined {
    return this.#state.versions.find(({ record }) => record.set.version === version)?.record.set;
  }

  /** Nonces are confirmed: from now on requests are answered. */
  open(): void {
    this.#closed = '';
  }

  close(reason: string): void {
    this.#closed = reason;
    const error = new JournalError('UNAVAILABLE', `acceptor ${this.#parts.id}: ${reason}`);
    for (const reject of this.#rejecting.values()) reject(error);
    this.#waiting.clear();
    this.#rejecting.clear();
  }

  async answer(requests: readonly AcceptorRequest[]): Promise<readonly AcceptorAnswer[]> {
    if (this.#failed !== null) throw this.#failed;
    if (this.#closed !== '') {
      throw new JournalError('UNAVAILABLE', `acceptor ${this.#parts.id}: ${this.#closed}`);
    }
    return await Promise.all(requests.map((body) => this.#answer(body)));
  }

  #answer(body: AcceptorRequest): Promise<AcceptorAnswer> {
    return new Promise((resolve, reject) => {
      this.#requests += 1;
      const request = this.#requests;
      this.#waiting.set(request, (answer) => {
        const ballots = told(body, answer);
        if ('key' in body && ballots !== null) this.#parts.answered?.(body.key, ballots);
        resolve(answer);
      });
      this.#rejecting.set(request, reject);
      if (body.kind === 'prepare') this.#parts.onPrepared(body.key, body.ballot.proposer);
      const before = body.kind === 'accept' ? acceptedHere(this.#state, body.key) : null;
      this.#step({ kind: 'request', request, body }, 'key' in body ? body.key : null);
      if (this.#failed !== null) return;
      // A value confirmed as it is is no news: readers do that, and would wake each other.
      if (body.kind !== 'accept' || body.value === before) return;
      if (acceptedHere(this.#state, body.key) === body.value) this.#parts.onAccepted(body.key);
    });
  }

  /** A broken rule is not an answer to whoever asked: nothing is answered any more. */
  #step(input: AcceptorInput, key: string | null = null): void {
    try {
      this.#carryOut(stepAcceptor(this.#state, input));
      if (key !== null) this.#parts.stepped?.(key, this.#state);
    } catch (error) {
      this.#fail('a rule is broken at', error);
    }
  }

  #carryOut(effects: readonly AcceptorEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'reply') this.#reply(effect.request, effect.answer);
      else void this.#save(effect.save, effect.changes);
    }
  }

  #reply(request: number, answer: AcceptorAnswer): void {
    const resolve = this.#waiting.get(request);
    this.#waiting.delete(request);
    this.#rejecting.delete(request);
    resolve?.(answer);
  }

  async #save(save: number, changes: readonly AcceptorChange[]): Promise<void> {
    try {
      await this.#parts.metadata.save(encodeChanges(changes));
    } catch (cause) {
      this.#fail('the disk gave up of', cause);
      return;
    }
    // Saves end in order of their syncs; the machine is told of a save only with all before it.
    this.#saved.add(save);
    const before = this.#durable;
    while (this.#saved.delete(this.#durable + 1)) this.#durable += 1;
    if (this.#durable === before || this.#failed !== null) return;
    this.#step({ kind: 'saved', save: this.#durable });
  }

  #fail(what: string, cause: unknown): void {
    if (this.#failed !== null) return;
    const message = `${what} acceptor ${this.#parts.id}: ${String(cause)}`;
    const error = new JournalError('DAMAGED', message, {}, 'unknown', { cause });
    this.#failed = error;
    this.#parts.logger.error({ error: String(cause) }, 'the acceptor cannot go on');
    for (const reject of this.#rejecting.values()) reject(error);
    this.#waiting.clear();
    this.#rejecting.clear();
    this.#parts.onFailed(cause instanceof InvariantViolation ? cause : error);
  }
}
