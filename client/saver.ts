// Remembers a named cursor: saves what was consumed at most once a second, and once at the end.

import type { JournalError } from '../protocol/errors.ts';
import { type Lsn, micros } from '../protocol/types.ts';
import { journalMethods } from '../transport/methods.ts';
import { ask, QUICK_MICROS, type World } from './calls.ts';
import { asJournalError, Deadline } from './waiting.ts';

const SAVE_MICROS = 1_000_000;
const SAVE_TIMEOUT_MILLIS = 2_000;

export class CursorSaver {
  readonly #world: World;
  readonly #journal: string;
  readonly #name: string;
  #consumed: Lsn;
  #saved: Lsn;
  #savedAt = Number.NEGATIVE_INFINITY;
  #saving: Promise<void> | null = null;
  #cancel: (() => void) | null = null;
  #failure: JournalError | null = null;

  /** `saved` is where the journal has the cursor now, 0 where it does not know it. */
  constructor(world: World, journal: string, name: string, saved: Lsn) {
    this.#world = world;
    this.#journal = journal;
    this.#name = name;
    this.#consumed = saved;
    this.#saved = saved;
  }

  /** All up to `lsn` was consumed. Throws what a save in the background was refused for good. */
  consumed(lsn: Lsn): void {
    if (this.#failure !== null) throw this.#failure;
    if (lsn <= this.#consumed) return;
    this.#consumed = lsn;
    if (this.#saving !== null || this.#cancel !== null) return;
    const { clock } = this.#world;
    const wait = this.#savedAt + SAVE_MICROS - clock.now();
    if (wait <= 0) this.#saveSoon();
    else this.#cancel = clock.after(micros(Math.ceil(wait)), () => this.#saveSoon());
  }

  /** Saves what was consumed and resolves once it is committed. */
  async save(): Promise<void> {
    while (this.#saving !== null) await this.#saving;
    this.#cancel?.();
    this.#cancel = null;
    if (this.#consumed > this.#saved) await this.#save();
  }

  #saveSoon(): void {
    this.#cancel = null;
    this.#saving = this.#save()
      .catch((caught: unknown) => {
        const error = asJournalError(caught);
        this.#world.logger.warn(
          { cursor: this.#name, journal: this.#journal, code: error.code },
          'a cursor was not saved',
        );
        if (!error.retryable) this.#failure = error;
      })
      .finally(() => {
        this.#saving = null;
      });
  }

  async #save(): Promise<void> {
    const consumed = this.#consumed;
    const { clock } = this.#world;
    this.#savedAt = clock.now();
    const deadline = new Deadline(clock, SAVE_TIMEOUT_MILLIS);
    try {
      await setCursor(this.#world, this.#journal, this.#name, consumed, deadline);
      this.#saved = consumed;
    } finally {
      deadline.close();
    }
  }
}

/** Registers or moves a cursor, or deletes it (`null`); the same twice is the same once. */
export async function setCursor(
  world: World,
  journal: string,
  name: string,
  lsn: Lsn | null,
  deadline: Deadline,
): Promise<void> {
  await ask(world, {
    method: journalMethods.setCursor,
    request: { journal, name, lsn },
    journal,
    preference: 'head',
    patience: QUICK_MICROS,
    deadline,
  });
}

/** Where the journal has the cursor; undefined where it does not know it. */
export async function savedCursor(
  world: World,
  journal: string,
  name: string,
  deadline: Deadline,
): Promise<Lsn | undefined> {
  const { cursors } = await ask(world, {
    method: journalMethods.cursors,
    request: { journal },
    journal,
    preference: 'head',
    patience: QUICK_MICROS,
    deadline,
  });
  return cursors.find((cursor) => cursor.name === name)?.lsn;
}
