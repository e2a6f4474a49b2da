// Whether trims take effect: a member carries out what it knows to be committed, one that started
// anew with the trim in its log as well; and who is told that a trim is done has it done.
//
// Of what a log held when it was opened or cut, nobody says at which entry it was asked for: that
// is due once the whole of it is committed.

import type { ChainEffect, ChainReply } from '../../protocol/chain/messages.ts';
import { invariant } from '../../protocol/errors.ts';
import { higher, type Lsn, lastLsn, NO_LSN, type StoreId } from '../../protocol/types.ts';
import type { ChainWorldState, Site } from './chain-parts.ts';

/** What is committed up to some batch, as far as trims go. */
interface Trimmed {
  readonly endLsn: Lsn;
  readonly trimmedLsn: Lsn;
}

/** Of one process. */
interface Carried {
  readonly incarnation: number;
  /** What it told its log to drop. */
  through: Lsn;
  /** Below this commit nothing is due. */
  dueLsn: Lsn;
  /** The newest trim that it was held to. */
  heldTo: Lsn;
}

interface Asked {
  readonly through: Lsn;
  /** Facts that were known when it was asked for. */
  readonly from: number;
}

export class ChainTrims {
  readonly #world: ChainWorldState;
  /** After each committed batch, and of the empty log first. */
  readonly #facts: readonly Trimmed[];
  readonly #carried = new Map<StoreId, Carried>();
  readonly #asked = new Map<number, Asked>();
  /** Trims that a member was seen to carry out, and answers to those who asked for one. */
  readonly looked = { carried: 0, answered: 0 };

  constructor(world: ChainWorldState, facts: readonly Trimmed[]) {
    this.#world = world;
    this.#facts = facts;
  }

  asked(request: number, through: Lsn): void {
    this.#asked.set(request, { through, from: this.#facts.length - 1 });
  }

  /** Call with every effect, after what it commits was taken in. */
  observe(site: Site, effect: ChainEffect): void {
    const carried = this.#of(site);
    if (effect.kind === 'trim') carried.through = higher(carried.through, effect.through);
    if (effect.kind === 'truncate') carried.dueLsn = effect.endLsn;
    if (effect.kind === 'reply') this.#answered(effect.request, effect.reply);
  }

  /** Call after each step: within one, a member says first what is committed. */
  check(): void {
    for (const site of this.#world.sites) {
      // While a log is cut nobody knows yet which trims what is left of it holds.
      const { state } = site;
      if (state !== null && state.cutting === 0) this.#check(site, state.committedLsn);
    }
  }

  #check(site: Site, committedLsn: Lsn): void {
    const carried = this.#of(site);
    if (committedLsn < carried.dueLsn) return;
    const known = this.#facts.findLast(({ endLsn }) => endLsn <= committedLsn);
    const trimmedLsn = known?.trimmedLsn ?? NO_LSN;
    const { through } = carried;
    const at = (): string =>
      `${Number(site.store)} dropped up to ${through}, trimmed is ${trimmedLsn} at ${committedLsn}`;
    invariant(through <= trimmedLsn, 'a member drops what it knows to be trimmed', at);
    // A base that was cut before the process started needs no further word.
    const done = higher(through, site.baseLsn) >= trimmedLsn;
    invariant(done, 'a member carries out what it knows to be trimmed', at);
    if (trimmedLsn <= carried.heldTo) return;
    carried.heldTo = trimmedLsn;
    this.looked.carried += 1;
  }

  /** Asked for at the first word of a process: until then its log is as it was opened. */
  #of({ store, incarnation, written, baseLsn }: Site): Carried {
    const known = this.#carried.get(store);
    if (known?.incarnation === incarnation) return known;
    const last = written.at(-1);
    const dueLsn = last === undefined ? baseLsn : lastLsn(last);
    const carried = { incarnation, through: NO_LSN, dueLsn, heldTo: NO_LSN };
    this.#carried.set(store, carried);
    return carried;
  }

  #answered(request: number, reply: ChainReply): void {
    const asked = this.#asked.get(request);
    if (asked === undefined) return;
    this.#asked.delete(request);
    if (reply.kind !== 'applied') return;
    const since = this.#facts.slice(asked.from).map(({ trimmedLsn }) => trimmedLsn);
    const told = reply.firstLsn - 1;
    const at = (): string => `${asked.through}, told ${told}, since then ${since.join(' ')}`;
    const done = since.some((trimmedLsn) => trimmedLsn >= asked.through);
    invariant(done, 'a trim is answered once it is committed', at);
    const was = since.some((trimmedLsn) => trimmedLsn === told);
    invariant(was, 'what is said to be left was so meanwhile', at);
    this.looked.answered += 1;
  }
}
