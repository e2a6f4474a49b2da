// How much room the disk has left: asked for now and then, and reckoned in between.

import type { Clock } from '../../io/clock.ts';
import type { StoreOptions } from '../segments/store.ts';

/** How old what is known may be. */
const AGE_MICROS_MAX = 1_000_000;

export class Space {
  readonly #options: StoreOptions;
  readonly #clock: Clock;
  readonly #reserveBytes: number;
  #freeBytes = 0;
  #askedAt = 0;
  #asking: Promise<void> | null = null;

  constructor(options: StoreOptions, clock: Clock, reserveBytes: number) {
    this.#options = options;
    this.#clock = clock;
    this.#reserveBytes = reserveBytes;
  }

  /** Free when it was asked for, less what was written since. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Refusal where `bytes` more would eat into the reserve. */
  admit(bytes: number): { readonly code: 'DISK_FULL'; readonly message: string } | null {
    this.refresh();
    if (this.#freeBytes - bytes >= this.#reserveBytes) return null;
    const kept = `${this.#reserveBytes} are kept in reserve`;
    const message = `the disk has ${Math.max(0, this.#freeBytes)} bytes free, ${kept}`;
    return { code: 'DISK_FULL', message };
  }

  /** Whether `bytes` may be taken for something that only makes things faster. */
  hasRoom(bytes: number): boolean {
    return this.#freeBytes - bytes > this.#reserveBytes;
  }

  wrote(bytes: number): void {
    this.#freeBytes -= bytes;
  }

  /** Asks in the background where what is known is old. */
  refresh(): void {
    if (this.#clock.now() - this.#askedAt > AGE_MICROS_MAX) void this.ask();
  }

  /** Never rejects. */
  ask(): Promise<void> {
    this.#asking ??= this.#ask();
    return this.#asking;
  }

  async #ask(): Promise<void> {
    const { disk, layout, logger } = this.#options;
    this.#askedAt = this.#clock.now();
    try {
      const { freeBytes } = await disk.space(layout.directory);
      this.#freeBytes = freeBytes;
    } catch (error) {
      logger.warn({ error: String(error) }, 'the free space is not known');
    }
    this.#asking = null;
  }
}
