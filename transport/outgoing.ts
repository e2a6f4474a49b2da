// One call under way at the caller: its deadline, its cancellation, and how it ended.

import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  status as grpcStatus,
  Metadata,
  type StatusObject,
} from '@grpc/grpc-js';
import type { Cancel, Clock } from '../io/clock.ts';
import type { Codec } from '../io/network.ts';
import { type ErrorCode, JournalError } from '../protocol/errors.ts';
import type { Micros } from '../protocol/types.ts';
import { bytesOf, chunksOf } from './flow.ts';
import { PROTOCOL_KEY, PROTOCOL_VERSION } from './services/health.ts';
import { fromStatus } from './status.ts';

type Incoming = ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;

/** What every kind of call of grpc-js can do. */
interface Call {
  cancel(): void;
  getPeer(): string;
}

interface Reason {
  readonly code: ErrorCode;
  readonly message: string;
}

export class Outgoing {
  readonly metadata = new Metadata();
  readonly #client: Client;
  /** Names the other side and the method in errors. */
  readonly #where: string;
  readonly #signal: AbortSignal | undefined;
  readonly #open: Set<Outgoing>;
  #call: Call | undefined;
  /** Why this side gave up, where it did. */
  #reason: Reason | undefined;
  #stopTimer: Cancel = () => {};
  readonly #abort = (): void => this.giveUp({ code: 'CANCELLED', message: 'the caller gave up' });

  /** `open` holds the call while it lasts. */
  constructor(client: Client, where: string, signal: AbortSignal | undefined, open: Set<Outgoing>) {
    this.metadata.set(PROTOCOL_KEY, PROTOCOL_VERSION);
    this.#client = client;
    this.#where = where;
    this.#signal = signal;
    this.#open = open;
  }

  started(call: Call): void {
    this.#call = call;
    this.#open.add(this);
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
    // A caller that gave up while the request was written hears of it as one that gives up now.
    if (this.#signal?.aborted === true) this.#abort();
  }

  finish(): void {
    this.#open.delete(this);
    this.#stopTimer();
    this.#signal?.removeEventListener('abort', this.#abort);
  }

  giveUp(reason: Reason): void {
    this.#reason ??= reason;
    this.#call?.cancel();
  }

  /** How a call that failed is told to its caller. */
  broken(status: StatusObject): JournalError {
    const sent = this.reached;
    if (this.#reason === undefined) return fromStatus(status, sent, this.#where);
    const { code, message } = this.#reason;
    return new JournalError(code, `${this.#where}: ${message}`, {}, sent ? 'unknown' : 'none');
  }

  /** A call that never found a connection still has the name of its channel for its peer. */
  get reached(): boolean {
    return (
      this.#call !== undefined && this.#call.getPeer() !== this.#client.getChannel().getTarget()
    );
  }

  decode<Message>(codec: Codec<Message>, bytes: Uint8Array): Message {
    try {
      return codec.decode(bytesOf(bytes));
    } catch (error) {
      throw this.unreadable(error instanceof Error ? error.message : String(error));
    }
  }

  unreadable(why: string): JournalError {
    const message = `${this.#where}: the answer cannot be read: ${why}`;
    return new JournalError('INTERNAL', message, {}, 'unknown');
  }

  /** Gives a stream up unless its first message comes in time. */
  untilFirst(stream: Incoming, clock: Clock, timeout: Micros): void {
    const message = `no message within ${timeout / 1_000_000} s`;
    this.#stopTimer = clock.after(timeout, () =>
      this.giveUp({ code: 'DEADLINE_EXCEEDED', message }),
    );
    // The header comes with the first message; unlike `data`, asking for it starts no reading.
    stream.once('metadata', () => this.#stopTimer());
  }

  /** Resolves once, with what a broken stream broke with. */
  ending(stream: Incoming): Promise<JournalError | null> {
    // The error comes with the status too; without a listener it would end the process.
    stream.on('error', () => {});
    return new Promise((resolve) => {
      stream.once('status', (status) => {
        this.finish();
        resolve(status.code === grpcStatus.OK ? null : this.broken(status));
      });
    });
  }

  async *messages<Message>(
    stream: Incoming,
    codec: Codec<Message>,
    ending: Promise<JournalError | null>,
  ): AsyncGenerator<Message, void, void> {
    let left = true;
    try {
      for await (const bytes of chunksOf(stream)) yield this.decode(codec, bytes);
      left = false;
    } finally {
      if (left) this.giveUp({ code: 'CANCELLED', message: 'the reader left' });
    }
    // However it ended, its status says so.
    const error = await ending;
    if (error !== null) throw error;
  }
}
