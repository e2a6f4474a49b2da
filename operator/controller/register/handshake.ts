// The start of an acceptor: every peer is told its nonces, and nothing is served before enough of
// them have confirmed that this is not an old copy of its volume (nonces.ts).
//
// All peers confirmed, or one second passed and at least one did. The others go on being told. A
// contradiction, at any time, stops the acceptor for good: it is replaced by a set change. The word
// of a peer that contradicts itself does not count, or else one old copy would stop the others.

import type { Clock } from '../../../io/clock.ts';
import type { Logger } from '../../../io/logger.ts';
import type { Random } from '../../../io/random.ts';
import type { Seat } from '../../../protocol/paxos/messages.ts';
import { type Micros, micros } from '../../../protocol/types.ts';
import { TIMING } from '../config.ts';
import type { Nonces } from './nonces.ts';
import type { ControllerAnswer, ControllerRequest } from './wire.ts';

const ENOUGH_AFTER = micros(1_000_000);
const PAUSE_MIN = 20_000;
const PAUSE_MAX = 500_000;

export interface HandshakeParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly id: string;
  readonly store: string;
  readonly nonces: Nonces;
  readonly ask: (
    seat: Seat,
    request: ControllerRequest,
    timeout: Micros,
  ) => Promise<ControllerAnswer>;
  /** May be served from now on. */
  readonly onOpen: () => void;
  readonly onRefused: (by: string) => void;
  /** A peer has the nonce of this start on its disk: an older copy is refused there from now on. */
  readonly known?: ((peer: string) => void) | undefined;
}

export class Handshake {
  readonly #parts: HandshakeParts;
  readonly #telling = new Set<string>();
  #peers: readonly Seat[] = [];
  readonly #confirmed = new Set<string>();
  #waited = false;
  #open = false;
  #closed = false;

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

  /** Begins, or goes on with the peers of a newer set. */
  tell(seats: readonly Seat[]): void {
    this.#peers = seats.filter(({ id }) => id !== this.#parts.id);
    for (const peer of this.#peers) {
      const name = `${peer.id} ${peer.address} ${peer.store}`;
      if (this.#telling.has(name)) continue;
      this.#telling.add(name);
      void this.#tell(peer);
    }
    if (this.#peers.length === 0) this.#openNow();
    else {
      this.#parts.clock.after(ENOUGH_AFTER, () => {
        this.#waited = true;
        this.#judge();
      });
    }
  }

  close(): void {
    this.#closed = true;
  }

  async #tell(peer: Seat): Promise<void> {
    const { clock, random } = this.#parts;
    let wait = PAUSE_MIN;
    while (!this.#closed) {
      if (await this.#ask(peer)) return;
      const pause = micros(Math.round(wait / 2 + random.below(wait)));
      wait = Math.min(PAUSE_MAX, wait * 2);
      await new Promise<void>((resolve) => {
        clock.after(pause, resolve);
      });
    }
  }

  /** True when there is nothing more to tell this peer. */
  async #ask(peer: Seat): Promise<boolean> {
    const { id, store, nonces, ask, logger, onRefused, known } = this.#parts;
    try {
      const offered = await nonces.offers(peer.id);
      const request = { kind: 'start', id, store, nonces: offered } as const;
      const answer = await ask(peer, request, TIMING.acceptor);
      if (answer.kind !== 'start' || this.#closed) return false;
      if (!(await nonces.take(peer.id, peer.store, answer.store, answer.nonces))) {
        logger.error({ peer: peer.id }, 'another controller runs on an old copy: replace it');
        return false;
      }
      if (!answer.confirmed) {
        this.#closed = true;
        onRefused(peer.id);
        return true;
      }
      await nonces.confirmed(peer.id);
      known?.(peer.id);
      this.#confirmed.add(peer.id);
      this.#judge();
      return true;
    } catch (error) {
      logger.debug({ peer: peer.id, error: String(error) }, 'a controller was not told yet');
      return false;
    }
  }

  #judge(): void {
    const all = this.#peers.every(({ id }) => this.#confirmed.has(id));
    if (all || (this.#waited && this.#confirmed.size > 0)) this.#openNow();
  }

  #openNow(): void {
    if (this.#open || this.#closed) return;
    this.#open = true;
    this.#parts.onOpen();
  }
}
