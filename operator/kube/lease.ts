// Who of several operators works: a Lease, judged by the time at which changes of it were seen.
//
// Only to save work: two operators at once are harmless, since every change of a chain is a
// conditional step in a register and every object is applied. Clocks of other machines are never
// compared: a lease is over when it was not renewed for its length as this process measured it.
//
// A holder gives up earlier than that, by a timer beside its requests: an API server that says
// nothing holds up a request, and must not hold up the end. A request about the Lease is given a
// third of that time, so that one whose connection is dead leaves room for another.

import type { Cancel, Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Random } from '../../io/random.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import { isStatus, type KubeApi, KubeError, type KubeObject, RESOURCES } from './api.ts';
import { numberAt, textAt } from './fields.ts';
import { createObject, getObject, replaceObject } from './objects.ts';

/** Of all operators of one namespace. */
export const OPERATOR_LEASE = 'journal-operator';

export interface LeaseOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly namespace: string;
  readonly name: string;
  /** Unique among all operators that ever run. */
  readonly holder: string;
  /** How long others wait without a renewal; 15 s. */
  readonly length?: Micros;
  /** How long this one goes on without a renewal; 10 s. */
  readonly deadline?: Micros;
  readonly interval?: Micros;
  readonly onGained: () => void;
  /** The lease is lost: whatever is under way must end. */
  readonly onLost: () => void;
}

export class LeaseHolder {
  readonly #options: LeaseOptions;
  readonly #length: Micros;
  readonly #deadline: Micros;
  readonly #interval: Micros;
  /** Of one request. */
  readonly #timeout: Micros;
  /** What was last seen in the lease, and when it was first seen so. */
  #seen = { record: '', at: micros(0) };
  #holds = false;
  #renewedAt = micros(0);
  #cancelDeadline: Cancel = () => {};
  #stopped = false;
  #wake: () => void = () => {};
  #ended: Promise<void> = Promise.resolve();

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#length = options.length ?? micros(15_000_000);
    this.#deadline = options.deadline ?? micros(10_000_000);
    this.#interval = options.interval ?? micros(2_000_000);
    this.#timeout = micros(Math.ceil(this.#deadline / 3));
  }

  /** False as soon as the deadline is over, even where the timer for it comes late. */
  get holds(): boolean {
    return this.#holds && this.#options.clock.now() - this.#renewedAt <= this.#deadline;
  }

  start(): void {
    this.#ended = this.#run();
  }

  /** Gives the lease back, so that the next one need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#ended;
    this.#cancelDeadline();
    if (!this.#holds) return;
    this.#holds = false;
    await this.#giveBack().catch(() => undefined);
  }

  /** Unless somebody else holds it by now, who did not see this one renew it. */
  async #giveBack(): Promise<void> {
    const lease = await this.#read();
    if (textAt(lease, 'spec', 'holderIdentity') === this.#options.holder) {
      await this.#write('', lease);
    }
  }

  async #run(): Promise<void> {
    const { clock, random, logger } = this.#options;
    while (!this.#stopped) {
      let asked = 0;
      try {
        await this.#step();
      } catch (error) {
        logger.warn({ error: String(error) }, 'the lease could not be renewed');
        // Whoever asks for more than a length is asked again all the same.
        if (error instanceof KubeError) asked = Math.min(error.retryAfter, this.#length);
      }
      if (this.#stopped) return;
      const delay = asked + this.#interval * (0.75 + 0.5 * random.fraction());
      await new Promise<void>((resolve) => {
        const cancel = clock.after(micros(Math.round(delay)), resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  async #step(): Promise<void> {
    const { clock, holder, onGained } = this.#options;
    const began = clock.now();
    const lease = await this.#read();
    const held = textAt(lease, 'spec', 'holderIdentity') ?? '';
    if (held !== holder) {
      this.#lose();
      const record = JSON.stringify(lease?.spec ?? null);
      if (record !== this.#seen.record) this.#seen = { record, at: clock.now() };
      const over = held === '' || clock.now() - this.#seen.at > this.#length;
      if (!over) return;
    }
    if (!(await this.#write(holder, lease))) return;
    // The time before the request counts: the server may have taken it at once. With an answer that
    // came too late, others may have waited long enough: the next step sees.
    const left = began + this.#deadline - clock.now();
    if (left <= 0) return;
    this.#renewedAt = began;
    this.#cancelDeadline();
    this.#cancelDeadline = clock.after(micros(left), () => this.#lose());
    if (this.#holds) return;
    this.#holds = true;
    if (!this.#stopped) onGained();
  }

  #lose(): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#cancelDeadline();
    this.#options.logger.warn({}, 'the lease was lost');
    this.#options.onLost();
  }

  #read(): Promise<KubeObject | null> {
    const { api, namespace, name } = this.#options;
    return getObject(api, RESOURCES.Lease, namespace, name, this.#timeout);
  }

  /** In the place of what was read, or of nothing; false where somebody else was quicker. */
  async #write(holder: string, lease: KubeObject | null): Promise<boolean> {
    const { api, clock, namespace, name } = this.#options;
    const timeout = this.#timeout;
    const now = new Date(clock.wall() / 1000).toISOString().replace('Z', '000Z');
    const same = textAt(lease, 'spec', 'holderIdentity') === holder;
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: holder === '' ? 1 : Math.ceil(this.#length / 1_000_000),
      acquireTime: same ? (textAt(lease, 'spec', 'acquireTime') ?? now) : now,
      renewTime: now,
      leaseTransitions: (numberAt(lease, 'spec', 'leaseTransitions') ?? 0) + (same ? 0 : 1),
    };
    const metadata = lease?.metadata ?? { name, namespace };
    const { apiVersion, kind } = RESOURCES.Lease;
    const object: KubeObject = { apiVersion, kind, metadata, spec };
    try {
      if (lease === null) await createObject(api, object, timeout);
      else await replaceObject(api, object, timeout);
      return true;
    } catch (error) {
      if (isStatus(error, 409)) return false;
      throw error;
    }
  }
}
