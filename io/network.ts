// What processes can say to each other: calls, streams, and a place to answer them. gRPC carries it
// in production (transport/grpc.ts), the simulator in tests (sim/network.ts); both pass every
// message through its codec, so nothing is shared by accident.
//
// Every call has a deadline. A stream is ordered, and is lost as a whole: after an error nothing
// that was sent on it is known to have arrived. Refusals travel as JournalError.

import type { JournalError } from '../protocol/errors.ts';
import type { Micros } from '../protocol/types.ts';

export interface Codec<Message> {
  encode(message: Message): Uint8Array;
  decode(bytes: Uint8Array): Message;
}

export type MethodKind = 'unary' | 'serverStream' | 'bidiStream';

/** One method of one service, typed: both sides name it, nobody spells its path again. */
export interface Method<Request, Response, Kind extends MethodKind = MethodKind> {
  /** As gRPC has it: `/journal.v1.Journal/Append`. */
  readonly path: string;
  readonly kind: Kind;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
}

export interface CallOptions {
  /** From now; required, since every wait has one. Streams: until the first message. */
  readonly timeout: Micros;
  readonly signal?: AbortSignal | undefined;
}

/** One side of a bidirectional stream. */
export interface Duplex<Out, In> {
  /**
   * Queues a message; false once more bytes wait than the stream's bound allows, after which the
   * sender waits for `drained`. Never throws: a broken stream shows in `incoming`.
   */
  send(message: Out): boolean;
  drained(): Promise<void>;
  /** Ends with the stream; throws a JournalError where it broke. Read it once. */
  readonly incoming: AsyncIterable<In>;
  /**
   * False while the other side was surely never reached, so that nothing sent has arrived; left out
   * where nobody can say.
   */
  readonly reached?: () => boolean;
  /** No more from this side; the other may go on. */
  end(): void;
  /** Gives up at once. */
  cancel(): void;
}

export interface Network {
  /** Rejects with a JournalError; `outcome` is `unknown` where the request may have been carried out. */
  call<Q, A>(
    address: string,
    method: Method<Q, A, 'unary'>,
    request: Q,
    options: CallOptions,
  ): Promise<A>;
  stream<Q, A>(
    address: string,
    method: Method<Q, A, 'serverStream'>,
    request: Q,
    options: CallOptions,
  ): AsyncIterable<A>;
  duplex<Q, A>(
    address: string,
    method: Method<Q, A, 'bidiStream'>,
    options: CallOptions,
  ): Duplex<Q, A>;
  /** Answers calls at `address` (`host:port`, port 0 for any free one). */
  serve(address: string, handlers: readonly Handler[]): Promise<Listener>;
  /** Drops the connections to an address that is no longer of use. */
  forget(address: string): void;
  close(): Promise<void>;
}

export interface Listener {
  /** `host:port` as it is reached. */
  readonly address: string;
  /** Takes no new calls, ends the open ones within `grace`, closes. */
  close(grace: Micros): Promise<void>;
}

/** What a handler knows of who asks. */
export interface CallContext {
  /** Aborted when the caller is gone or its deadline is over. */
  readonly signal: AbortSignal;
  /** Names of the verified client certificate (common name, then DNS names); empty without one. */
  readonly identities: readonly string[];
  readonly peer: string;
}

export interface UnaryHandler<Q, A> {
  readonly method: Method<Q, A, 'unary'>;
  readonly handle: (request: Q, context: CallContext) => Promise<A>;
}

export interface StreamHandler<Q, A> {
  readonly method: Method<Q, A, 'serverStream'>;
  /** The next message is asked for only when the last one was taken: that is the back-pressure. */
  readonly handle: (request: Q, context: CallContext) => AsyncIterable<A>;
}

export interface DuplexHandler<Q, A> {
  readonly method: Method<Q, A, 'bidiStream'>;
  /** The stream ends when the promise settles. */
  readonly handle: (stream: Duplex<A, Q>, context: CallContext) => Promise<void>;
}

/** Built by the three makers below, which keep request and answer of one method together. */
export type Handler =
  | ({ readonly kind: 'unary' } & UnaryHandler<unknown, unknown>)
  | ({ readonly kind: 'serverStream' } & StreamHandler<unknown, unknown>)
  | ({ readonly kind: 'bidiStream' } & DuplexHandler<unknown, unknown>);

// cast: a handler is only ever called with what its own method decoded.
export const unary = <Q, A>(
  method: Method<Q, A, 'unary'>,
  handle: UnaryHandler<Q, A>['handle'],
): Handler => ({ kind: 'unary', method, handle }) as unknown as Handler;

// cast: as above.
export const serverStream = <Q, A>(
  method: Method<Q, A, 'serverStream'>,
  handle: StreamHandler<Q, A>['handle'],
): Handler => ({ kind: 'serverStream', method, handle }) as unknown as Handler;

// cast: as above.
export const bidiStream = <Q, A>(
  method: Method<Q, A, 'bidiStream'>,
  handle: DuplexHandler<Q, A>['handle'],
): Handler => ({ kind: 'bidiStream', method, handle }) as unknown as Handler;

/** A network error that is no refusal of the other side is turned into this. */
export type NetworkError = JournalError & { readonly code: 'UNAVAILABLE' | 'DEADLINE_EXCEEDED' };
