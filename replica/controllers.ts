// The controllers as a replica sees them: a few addresses, any of which may answer. A call goes to
// one after another until one answers, with pauses that grow and vary, until its time is over.

import type { Clock } from '../io/clock.ts';
import type { Method, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { type ErrorCode, JournalError } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';
import { pause } from './wait.ts';

const ATTEMPT = micros(1_500_000);
const PAUSE_MIN = 25_000;
const PAUSE_MAX = 1_000_000;
const ADDRESSES_MAX = 16;

/** What another controller, or the same one a moment later, may answer better. */
const TRY_AGAIN: readonly ErrorCode[] = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'OVERLOADED'];

export interface AskOptions {
  /** From now, over all attempts. */
  readonly timeout: Micros;
  readonly signal?: AbortSignal | undefined;
}

export class Controllers {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #random: Random;
  #addresses: readonly string[];
  /** Where the last call was answered: the next one goes there first. */
  #last = 0;

  constructor(
    world: { readonly network: Network; readonly clock: Clock; readonly random: Random },
    addresses: readonly string[],
  ) {
    this.#network = world.network;
    this.#clock = world.clock;
    this.#random = world.random;
    this.#addresses = addresses;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Takes the addresses that a ping brought; true where they are new and worth saving. */
  learn(addresses: readonly string[]): boolean {
    const wanted = [...new Set(addresses)].slice(0, ADDRESSES_MAX);
    if (wanted.length === 0) return false;
    const same = wanted.length === this.#addresses.length;
    if (same && wanted.every((one) => this.#addresses.includes(one))) return false;
    this.#addresses = wanted;
    return true;
  }

  /**
   * The answer of any controller. Requests must be such that asking twice does no harm, since an
   * answer may be lost. Rejects with the refusal of a controller, UNAVAILABLE when time is over, or
   * CANCELLED: `unknown` where one of the attempts may have taken effect.
   */
  async ask<Q, A>(method: Method<Q, A, 'unary'>, request: Q, options: AskOptions): Promise<A> {
    const deadline = this.#clock.now() + options.timeout;
    let wait = PAUSE_MIN;
    let reason = 'none is known';
    let outcome: 'none' | 'unknown' = 'none';
    const failed = (code: 'CANCELLED' | 'UNAVAILABLE', message: string): JournalError =>
      new JournalError(code, message, {}, outcome);
    for (let attempt = 0; ; attempt += 1) {
      const left = deadline - this.#clock.now();
      if (options.signal?.aborted === true) throw failed('CANCELLED', 'the caller left');
      const address = this.#addresses[(this.#last + attempt) % (this.#addresses.length || 1)];
      if (left <= 0 || address === undefined) break;
      try {
        const timeout = micros(Math.min(left, ATTEMPT));
        const call = { timeout, signal: options.signal };
        const answer = await this.#network.call(address, method, request, call);
        this.#last = Math.max(0, this.#addresses.indexOf(address));
        return answer;
      } catch (error) {
        if (!(error instanceof JournalError) || !TRY_AGAIN.includes(error.code)) throw error;
        reason = `${address}: ${error.message}`;
        if (error.outcome === 'unknown') outcome = 'unknown';
      }
      // A round over all of them is quick; only the next round waits.
      if ((attempt + 1) % this.#addresses.length !== 0) continue;
      const jittered = Math.round(wait * (0.5 + this.#random.fraction()));
      await pause(this.#clock, micros(jittered), options.signal);
      wait = Math.min(PAUSE_MAX, wait * 2);
    }
    throw failed('UNAVAILABLE', `no controller answered (${reason})`);
  }
}
