// Asking the machine of a journal on behalf of a client: with a deadline, and with refusals thrown.

import type { Clock } from '../../io/clock.ts';
import type { EncodedBody } from '../../log/log.ts';
import type { ChainReply, ChainRequest } from '../../protocol/chain/messages.ts';
import { deleted, JournalError, toError } from '../../protocol/errors.ts';
import { type Lsn, type Micros, micros } from '../../protocol/types.ts';
import type { Driver } from '../drive/driver.ts';
import type { Host } from '../drive/host.ts';
import { deadline } from '../wait.ts';

/** Longest that a request waits here, whatever deadline its caller set. */
const REQUEST_MAX = micros(60_000_000);

type Kind = Exclude<ChainReply['kind'], 'refused'>;
type Reply<Name extends Kind> = Extract<ChainReply, { kind: Name }>;

export class Asker {
  readonly #clock: Clock;
  readonly #driver: Driver;

  constructor(clock: Clock, driver: Driver) {
    this.#clock = clock;
    this.#driver = driver;
  }

  /**
   * The machine's reply of the kind `expected`. Rejects with its refusal, or DEADLINE_EXCEEDED or
   * CANCELLED, whose outcome is unknown for requests that write.
   */
  async ask<Name extends Kind>(
    host: Host,
    body: ChainRequest,
    expected: Name,
    signal: AbortSignal,
    options: { readonly payload?: EncodedBody; readonly timeout?: Micros } = {},
  ): Promise<Reply<Name>> {
    const limit = deadline(this.#clock, options.timeout ?? REQUEST_MAX, signal);
    try {
      const payload = options.payload ?? null;
      const reply = await this.#driver.request(host, body, payload, limit.signal);
      if (reply.kind === 'refused') throw toError(reply.refusal, reply.outcome);
      if (isKind(reply, expected)) return reply;
      throw new JournalError('INTERNAL', `${body.kind} was answered by ${reply.kind}`);
    } catch (error) {
      if (!(error instanceof JournalError) || error.code !== 'CANCELLED' || !limit.over) {
        throw error;
      }
      throw new JournalError(
        'DEADLINE_EXCEEDED',
        `${body.kind} of journal ${host.name} was not answered in time`,
        {},
        error.outcome,
      );
    } finally {
      limit.done();
    }
  }

  /** Waits until this replica knows everything up to `through` as committed. */
  async committed(host: Host, through: Lsn, signal: AbortSignal): Promise<void> {
    const limit = deadline(this.#clock, REQUEST_MAX, signal);
    try {
      while (host.committedLsn < through) {
        if (host.closed) throw deleted(host.name);
        if (limit.signal.aborted) {
          throw new JournalError(
            'DEADLINE_EXCEEDED',
            `this replica knows journal ${host.name} up to ${host.committedLsn}, not ${through}`,
          );
        }
        await host.bell.wait(this.#clock, REQUEST_MAX, limit.signal);
      }
    } finally {
      limit.done();
    }
  }
}

function isKind<Name extends Kind>(reply: ChainReply, kind: Name): reply is Reply<Name> {
  return reply.kind === kind;
}
