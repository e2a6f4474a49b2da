// Files that mean something together, and may change while the process runs.
//
// They are looked at every few seconds. A set that cannot be used (a certificate whose key has not
// come yet, a file half written) is reported once, and the last good one stays in use.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Cancel, Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';

export interface WatchOptions<Value> {
  /** What the files are, for messages: `tls`. */
  readonly what: string;
  readonly paths: readonly string[];
  /** Contents in the order of the paths. Throws where they are of no use. */
  readonly parse: (contents: readonly Buffer[]) => Value;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often they are looked at; 2 s by default. */
  readonly refresh?: Micros | undefined;
  readonly onChange?: ((value: Value) => void) | undefined;
}

const REFRESH = micros(2_000_000);

export class WatchedFiles<Value> {
  readonly #options: WatchOptions<Value>;
  #contents: readonly Buffer[];
  #value: Value;
  #complaint = '';
  #stop: Cancel = () => {};
  #closed = false;

  /** Throws JournalError INVALID_ARGUMENT where a file cannot be read or used. */
  constructor(options: WatchOptions<Value>) {
    this.#options = options;
    const { what, paths, parse } = options;
    try {
      this.#contents = paths.map((path) => readFileSync(path));
      this.#value = parse(this.#contents);
    } catch (error) {
      const message = `${what} (${paths.join(', ')}): ${messageOf(error)}`;
      throw new JournalError('INVALID_ARGUMENT', message, {}, 'none', { cause: error });
    }
    this.#again();
  }

  get value(): Value {
    return this.#value;
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  #again(): void {
    if (this.#closed) return;
    const { clock, refresh } = this.#options;
    this.#stop = clock.after(refresh ?? REFRESH, () => {
      void this.#look().finally(() => this.#again());
    });
  }

  async #look(): Promise<void> {
    const { what, paths, parse, logger, onChange } = this.#options;
    try {
      const contents: Buffer[] = [];
      for (const path of paths) contents.push(await readFile(path));
      if (contents.every((one, at) => this.#contents[at]?.equals(one))) return;
      const value = parse(contents);
      this.#contents = contents;
      this.#value = value;
      this.#complaint = '';
      onChange?.(value);
      logger.info({ what, paths }, 'files were reloaded');
    } catch (error) {
      const message = messageOf(error);
      if (message === this.#complaint) return;
      this.#complaint = message;
      logger.warn({ what, paths, error: message }, 'files are of no use, the last good ones stay');
    }
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
