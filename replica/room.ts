// Whether there is room for records of users: each member watches its own volume and tells its
// peers, and a head refuses appends (DISK_FULL) while any member of its epoch has none.
//
// The reserve of a volume begins where it says that it is full, so what was under way then, trims
// and cursors still fit. Where even that is used up, or something else filled the disk, nothing can
// be written at all: what waits for it is answered, and may be there once there is room again.

import type { Clock } from '../io/clock.ts';
import type { Volume } from '../log/log.ts';
import { order } from '../protocol/configuration.ts';
import { JournalError, refusal } from '../protocol/errors.ts';
import { type Micros, micros, type StoreId } from '../protocol/types.ts';
import type { Driver } from './drive/driver.ts';
import type { Host } from './drive/host.ts';

/** How often a volume is looked at on which nothing is synced. */
const LOOK_EVERY = micros(500_000);
/** What waits for longer while a member has no room is answered. */
const PATIENCE = 1_000_000;

export interface RoomParts {
  readonly clock: Clock;
  readonly volume: Volume;
  readonly driver: Driver;
  hosts(): readonly Host[];
  /** Tells every peer: why this volume takes no records, empty where it does. */
  announce(full: string): void;
}

export class Room {
  readonly #parts: RoomParts;
  readonly #peers = new Map<StoreId, string>();
  #full = '';

  constructor(parts: RoomParts) {
    this.#parts = parts;
  }

  /** Why this volume takes no records, as peers were told last; empty where it does. */
  get full(): string {
    return this.#full;
  }

  /** What a peer said of its volume; empty: it has room, or its link is gone. */
  heard(store: StoreId, full: string): void {
    if (full === '') this.#peers.delete(store);
    else this.#peers.set(store, full);
  }

  /** Why no append of `bytes` may be taken for this journal; null where it may. */
  refusing(host: Host, bytes: number): JournalError | null {
    const own = this.#parts.volume.admit(bytes)?.message ?? this.#stopped();
    if (own !== '') return new JournalError('DISK_FULL', own);
    const why = this.#peerOf(host);
    return why === '' ? null : new JournalError('DISK_FULL', why);
  }

  #peerOf(host: Host): string {
    const configuration = host.state.record?.configuration;
    for (const { id, store } of configuration === undefined ? [] : order(configuration)) {
      const full = this.#peers.get(store);
      if (full !== undefined) return `of member ${id}: ${full}`;
    }
    return '';
  }

  #stopped(): string {
    return this.#parts.driver.waitsForRoom ? 'the disk is full' : '';
  }

  /** Looks after every sync, and now and then, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, driver, volume, announce, hosts } = this.#parts;
    while (!signal.aborted) {
      const full = volume.admit(0)?.message ?? this.#stopped();
      // The words change with the bytes that are left: peers hear of it once.
      const turned = (full === '') !== (this.#full === '');
      this.#full = full;
      if (turned) announce(full);
      for (const host of hosts()) if (host.isHead) this.#answer(host);
      await driver.syncBell.wait(clock, LOOK_EVERY, signal);
    }
  }

  #answer(host: Host): void {
    if (host.requests.size === 0) return;
    const why = this.#stopped() || this.#peerOf(host);
    if (why === '') return;
    const before: Micros = micros(Math.max(0, this.#parts.clock.now() - PATIENCE));
    this.#parts.driver.giveUp(host, before, refusal('DISK_FULL', why));
  }
}
