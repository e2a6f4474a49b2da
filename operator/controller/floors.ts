// The floor of every disk in every journal, as this controller was told: what it last acknowledged.
//
// Members report it with their pongs; it reaches the disk here at most half a second later, all
// journals in one sync. What counts is the highest over a majority of controllers. A copy of a
// volume that is younger than that delay passes for the volume: docs/register.md says so.

import type { Cancel, Clock } from '../../io/clock.ts';
import type { Metadata } from '../../log/metadata.ts';
import type { Floor } from '../../protocol/chain/messages.ts';
import { parse } from '../../protocol/fields.ts';
import type { JournalId, StoreId } from '../../protocol/types.ts';
import { TIMING } from './config.ts';
import { higherFloor } from './decide/succession.ts';
import { type FloorEntry, readFloor } from './register/wire.ts';

const FLOOR = 'floor/';
const encoder = new TextEncoder();
const keyOf = (journal: JournalId, store: StoreId): string => `${FLOOR}${journal}/${store}`;

export class Floors {
  readonly #metadata: Metadata;
  readonly #onFailed: (error: Error) => void;
  readonly #floors = new Map<JournalId, Map<StoreId, Floor>>();
  /** What the disk does not have yet; null for what is to go. */
  readonly #dirty = new Map<string, FloorEntry | null>();
  #cancel: Cancel | null = null;
  /** Settles when the last flush that was asked for does. */
  #flushed: Promise<void> = Promise.resolve();
  /** Why nothing is kept any more: what a failed save held is not known to be on the disk. */
  #failed: Error | null = null;
  readonly #clock: Clock;

  constructor(metadata: Metadata, clock: Clock, onFailed: (error: Error) => void) {
    this.#metadata = metadata;
    this.#clock = clock;
    this.#onFailed = onFailed;
    for (const key of metadata.keys(FLOOR)) {
      const bytes = metadata.get(key);
      if (bytes === undefined) continue;
      const entry = readFloor(key, parse(key, new TextDecoder().decode(bytes)));
      this.#take(entry);
    }
  }

  /** Written within half a second. */
  note(journal: JournalId, store: StoreId, floor: Floor): void {
    if (this.#take({ journal, store, floor })) this.#later();
  }

  /** As `note`, and durable when it resolves; rejects where the disk refused it. */
  async keep(entries: readonly FloorEntry[]): Promise<void> {
    for (const entry of entries) this.#take(entry);
    await this.#flush();
  }

  /** A deleted journal has no survivors to choose. */
  forget(journal: JournalId): void {
    for (const store of this.#floors.get(journal)?.keys() ?? []) {
      this.#dirty.set(keyOf(journal, store), null);
    }
    if (this.#floors.delete(journal)) this.#later();
  }

  of(journal: JournalId | null): readonly FloorEntry[] {
    const journals = journal === null ? [...this.#floors.keys()] : [journal];
    return journals.flatMap((one) =>
      [...(this.#floors.get(one) ?? [])].map(([store, floor]) => ({ journal: one, store, floor })),
    );
  }

  async close(): Promise<void> {
    this.#cancel?.();
    await this.#flush().catch(() => undefined);
  }

  #take(entry: FloorEntry): boolean {
    const { journal, store, floor } = entry;
    const stores = this.#floors.get(journal) ?? new Map<StoreId, Floor>();
    const before = stores.get(store);
    const after = before === undefined ? floor : higherFloor(before, floor);
    if (after === before) return false;
    stores.set(store, after);
    this.#floors.set(journal, stores);
    this.#dirty.set(keyOf(journal, store), { ...entry, floor: after });
    return true;
  }

  #later(): void {
    this.#cancel ??= this.#clock.after(TIMING.floors, () => {
      this.#cancel = null;
      void this.#flush().catch(() => undefined);
    });
  }

  /**
   * One save after the other: all that was taken before is durable when it resolves, whoever has
   * asked for the save that holds it. `onFailed` was told of what it rejects with.
   */
  #flush(): Promise<void> {
    const save = (): Promise<void> => this.#save();
    this.#flushed = this.#flushed.then(save, save);
    return this.#flushed;
  }

  async #save(): Promise<void> {
    if (this.#failed !== null) throw this.#failed;
    if (this.#dirty.size === 0) return;
    const changes = new Map<string, Uint8Array | null>();
    for (const [key, entry] of this.#dirty) {
      changes.set(key, entry === null ? null : encoder.encode(JSON.stringify(entry)));
    }
    this.#dirty.clear();
    try {
      await this.#metadata.save(changes);
    } catch (error) {
      this.#failed = error instanceof Error ? error : new Error(String(error));
      this.#onFailed(this.#failed);
      throw this.#failed;
    }
  }
}

/** The highest of each disk, of what several controllers know. */
export function mergeFloors(lists: readonly (readonly FloorEntry[])[]): Map<StoreId, Floor> {
  const merged = new Map<StoreId, Floor>();
  for (const { store, floor } of lists.flat()) {
    const before = merged.get(store);
    merged.set(store, before === undefined ? floor : higherFloor(before, floor));
  }
  return merged;
}
