// One ordered, bounded link to a peer, which comes back by itself. Frames go one way: from the side
// that dialled to the side that accepted; two members that talk have two links.
//
//   dialler ──hello──▶ acceptor        up on both sides: what was sent on an older link may be lost
//           ◀──hello──
//           ──frame──▶ … in order, none missing in the middle, or the link breaks
//
// A link runs over any Network, so the simulator runs the same code. It breaks rather than drop a
// frame: when more waits than its bound, when a frame cannot be sent, when the peer says what is
// not understood. Left out: proof that the peer is alive. The network tells of a dead connection
// (limits.ts), and whether a member makes progress is judged by the controllers.

import type { Cancel, Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { Duplex, DuplexHandler, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import type { MemberKey } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';
import { peerMethods } from './methods.ts';
import type { PeerFrame } from './peer.ts';

export type PeerHello = Extract<PeerFrame, { kind: 'hello' }>;
export type ChainFrame = Extract<PeerFrame, { kind: 'chain' }>;
export type RoomFrame = Extract<PeerFrame, { kind: 'room' }>;

export interface LinkOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly address: string;
  /** What this side says of itself, asked for at each attempt. */
  readonly hello: () => PeerHello;
  /** A new link is up: `linked` to the machine. Nothing is sent before. */
  readonly onUp: (peer: PeerHello) => void;
  /** The link that was up is lost. Not called for one that this side closed. */
  readonly onDown: (reason: JournalError) => void;
  /** Bytes of frames that may wait beyond what the stream takes; more break the link. */
  readonly bytesBound: number;
}

export interface Link {
  readonly up: boolean;
  /** False where the link is not up, or just broke because too much waited: the frame is lost. */
  send(frame: ChainFrame | RoomFrame): boolean;
  /** Resolves to true once the stream takes more, to false where the link is down. */
  writable(): Promise<boolean>;
  /** Gives the present stream up; a new one is dialled. */
  break(reason: string): void;
  close(): void;
}

/** Waits between attempts: the first, the longest, and for the answer to a hello. */
const RETRY_MIN = micros(50_000);
const RETRY_MAX = micros(1_000_000);
const HELLO_TIMEOUT = micros(1_000_000);

export function openLink(options: LinkOptions): Link {
  const link = new DialledLink(options);
  void link.run();
  return link;
}

class DialledLink implements Link {
  readonly #options: LinkOptions;
  #stream: Duplex<PeerFrame, PeerFrame> | undefined;
  #up = false;
  #upSince: Micros | undefined;
  #closed = false;
  /** The stream has enough: `#over` counts what was sent nevertheless. */
  #full = false;
  #over = 0;
  /** Why this side broke the stream, where it did. */
  #reason: JournalError | undefined;
  #stopWaiting: () => void = () => {};
  /** What was logged last: a peer that stays away is named once. */
  #said = '';

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get up(): boolean {
    return this.#up;
  }

  send(frame: ChainFrame | RoomFrame): boolean {
    const stream = this.#stream;
    if (!this.#up || stream === undefined) return false;
    if (this.#full) {
      this.#over += bytesOf(frame);
      if (this.#over > this.#options.bytesBound) {
        this.break(`more than ${this.#options.bytesBound} bytes wait`);
        return false;
      }
    }
    if (!stream.send(frame) && !this.#full) {
      this.#full = true;
      void stream.drained().then(() => {
        if (this.#stream !== stream) return;
        this.#full = false;
        this.#over = 0;
      });
    }
    return true;
  }

  async writable(): Promise<boolean> {
    const stream = this.#stream;
    if (!this.#up || stream === undefined) return false;
    if (this.#full) await stream.drained();
    return this.#up && this.#stream === stream;
  }

  break(reason: string): void {
    const { address } = this.#options;
    this.#lose(new JournalError('UNAVAILABLE', `link to ${address}: ${reason}`));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#up = false;
    this.#stream?.cancel();
    this.#stopWaiting();
  }

  async run(): Promise<void> {
    const { clock } = this.#options;
    let wait = RETRY_MIN;
    while (!this.#closed) {
      this.#upSince = undefined;
      await this.#attempt();
      // One that lasted was a good link; one that breaks at once is dialled ever less often.
      const lasted = this.#upSince === undefined ? 0 : clock.now() - this.#upSince;
      if (lasted > RETRY_MAX) wait = RETRY_MIN;
      await this.#pause(wait);
      wait = micros(Math.min(RETRY_MAX, wait * 2));
    }
  }

  async #attempt(): Promise<void> {
    const { network, address, hello, onUp } = this.#options;
    const stream = network.duplex(address, peerMethods.link, { timeout: HELLO_TIMEOUT });
    this.#stream = stream;
    this.#reason = undefined;
    this.#full = false;
    this.#over = 0;
    try {
      const mine = hello();
      stream.send(mine);
      for await (const frame of stream.incoming) {
        if (this.#closed) return;
        if (this.#up || frame.kind !== 'hello') {
          throw new JournalError(
            'INCOMPATIBLE',
            `${address} sent ${frame.kind} where none belongs`,
          );
        }
        checkHello(mine, frame);
        this.#up = true;
        this.#upSince = this.#options.clock.now();
        this.#said = '';
        onUp(frame);
      }
      this.#lose(new JournalError('UNAVAILABLE', `${address} ended the link`));
    } catch (error) {
      this.#lose(asRefusal(error));
    } finally {
      stream.cancel();
    }
  }

  #lose(error: JournalError): void {
    if (this.#closed || this.#reason !== undefined) return;
    this.#reason = error;
    const wasUp = this.#up;
    this.#up = false;
    this.#stream?.cancel();
    const { address, logger, onDown } = this.#options;
    if (this.#said !== error.code) {
      this.#said = error.code;
      logger.warn({ address, code: error.code, error: error.message }, 'link to a peer is down');
    }
    if (wasUp) onDown(error);
  }

  #pause(wait: Micros): Promise<void> {
    const { clock, random } = this.#options;
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      // Between half of it and all of it, so that peers do not dial in step.
      const delay = micros(Math.round(wait * (0.5 + random.fraction() / 2)));
      const cancel = clock.after(delay, resolve);
      this.#stopWaiting = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** About what a frame takes, for bounds: its batches and a little. */
function bytesOf(frame: ChainFrame | RoomFrame): number {
  if (frame.kind === 'room') return 256;
  const { body } = frame.message;
  if (body.kind !== 'replicate') return 256;
  return body.batches.reduce((sum, batch) => sum + batch.length, 256);
}

/** Throws INCOMPATIBLE where the two cannot talk. */
function checkHello(mine: PeerHello, theirs: PeerHello): void {
  if (theirs.cluster !== mine.cluster) {
    const message = `cluster is "${theirs.cluster}", allowed is "${mine.cluster}"`;
    throw new JournalError('INCOMPATIBLE', message);
  }
  const [low, high] = [mine.featureLevelMin, mine.featureLevelMax];
  if (theirs.featureLevelMax < low || theirs.featureLevelMin > high) {
    const given = `${theirs.featureLevelMin} to ${theirs.featureLevelMax}`;
    throw new JournalError(
      'INCOMPATIBLE',
      `feature level is ${given}, allowed is what overlaps ${low} to ${high}`,
    );
  }
}

function asRefusal(error: unknown): JournalError {
  if (error instanceof JournalError) return error;
  // A bug of this side, not of the peer: it must not look like a broken line.
  throw error;
}

export interface AcceptOptions {
  readonly clock: Clock;
  readonly hello: () => PeerHello;
  /** Frames of one link in order; a promise holds the next one back. */
  readonly onFrame: (frame: ChainFrame | RoomFrame, peer: PeerHello) => void | Promise<void>;
  readonly onUp: (peer: PeerHello) => void;
  /** The link from this peer is lost; not called where a newer one from it took its place. */
  readonly onDown: (peer: PeerHello) => void;
}

/** Answers `peerMethods.link`: at most one link from each store, the newest. */
export function acceptLinks(options: AcceptOptions): DuplexHandler<PeerFrame, PeerFrame>['handle'] {
  const links = new Map<string, Accepted>();
  return async (stream, { signal }) => {
    const frames = stream.incoming[Symbol.asyncIterator]();
    const peer = await firstHello(stream, frames, options.clock);
    const mine = options.hello();
    checkHello(mine, peer);
    const link: Accepted = { from: peer.from, cancel: () => stream.cancel() };
    supersede(links, link);
    try {
      stream.send(mine);
      options.onUp(peer);
      for (;;) {
        const next = await frames.next();
        // What an older link still brings after a newer one is up would break the order.
        if (links.get(peer.from.store) !== link || signal.aborted || next.done === true) return;
        if (next.value.kind === 'hello') {
          throw new JournalError('INCOMPATIBLE', 'a second hello on one link');
        }
        await options.onFrame(next.value, peer);
      }
    } finally {
      if (links.get(peer.from.store) === link) {
        links.delete(peer.from.store);
        options.onDown(peer);
      }
    }
  };
}

interface Accepted {
  readonly from: MemberKey;
  cancel(): void;
}

function supersede(links: Map<string, Accepted>, link: Accepted): void {
  const { store, incarnation } = link.from;
  const old = links.get(store);
  if (old !== undefined && old.from.incarnation > incarnation) {
    const message = `incarnation is ${incarnation}, allowed is ${old.from.incarnation} or more`;
    throw new JournalError('STALE_EPOCH', message);
  }
  links.set(store, link);
  old?.cancel();
}

async function firstHello(
  stream: Duplex<PeerFrame, PeerFrame>,
  frames: AsyncIterator<PeerFrame>,
  clock: Clock,
): Promise<PeerHello> {
  const stop: Cancel = clock.after(HELLO_TIMEOUT, () => stream.cancel());
  try {
    const first = await frames.next();
    if (first.done === true) throw new JournalError('CANCELLED', 'the link ended before it began');
    if (first.value.kind === 'hello') return first.value;
    throw new JournalError('INCOMPATIBLE', 'the first frame of a link is a hello');
  } finally {
    stop();
  }
}
