// The replay beside an explored world of a chain, where every site may be looked at.

import type { ChainEffect } from '../../protocol/chain/messages.ts';
import type { BatchHeader, StoreId } from '../../protocol/types.ts';
import type { ChainWorldState } from '../explore/chain-parts.ts';
import { type Entry, entryAfter, type Log, upTo } from './chain-log.ts';
import { ChainReplay } from './chain-replay.ts';

export class ExploredReplay {
  readonly replay = new ChainReplay();
  readonly #world: ChainWorldState;
  /** Entries of headers, by what came before them. */
  readonly #entries = new WeakMap<BatchHeader, Map<string, Entry>>();
  #effects: { readonly store: StoreId; readonly effect: ChainEffect }[] = [];

  constructor(world: ChainWorldState) {
    this.#world = world;
    const before = world.observe;
    world.observe = (store, effect) => {
      before?.(store, effect);
      this.#effects.push({ store, effect });
    };
  }

  /** Call after each step of the world. */
  step(): void {
    const effects = this.#effects;
    this.#effects = [];
    const { decided, sites, nextRequest } = this.#world;
    const members = sites.map(({ written, durable: whole, ...site }) => {
      const { state } = site;
      const disk = this.#log(whole);
      // While a cut is under way the disk still holds, and may still be given, what it will drop.
      const cutting = state !== null && state.cutting !== 0;
      const durable = cutting ? upTo(disk, state.shape.endLsn) : disk;
      return { ...site, written: this.#log(written), durable, nextRequest };
    });
    this.replay.step({ decided, members, effects });
  }

  #log(headers: readonly BatchHeader[]): Log {
    const log: Entry[] = [];
    for (const header of headers) {
      const before = log.at(-1);
      const known = this.#entries.get(header) ?? new Map<string, Entry>();
      this.#entries.set(header, known);
      const entry = known.get(before?.id ?? '') ?? entryAfter(before, header);
      known.set(before?.id ?? '', entry);
      log.push(entry);
    }
    return log;
  }
}
