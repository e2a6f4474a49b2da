// How long to wait for another controller: longer for one that was late, until it is quick again.
//
// On a machine that is starved every answer is late, and who gives up at a fixed time asks again,
// which makes it worse: the controllers would lose each other for as long as the load lasts, and
// then some. Pure: what happened is an argument.

import { TIMING } from '../config.ts';

/** Greatest factor on what is usually waited. */
export const STRETCH_MAX = 8;
/** An answer may take this much longer than the last one. */
const MARGIN = 4;

export class Patience {
  readonly #factors = new Map<string, number>();

  /** Factor on the usual wait for this controller, from 1 on. */
  of(id: string): number {
    return this.#factors.get(id) ?? 1;
  }

  /** The greatest of all of them. */
  get most(): number {
    return Math.max(1, ...this.#factors.values());
  }

  /** It answered after `micros`. */
  answered(id: string, micros: number): void {
    const asked = Math.ceil((MARGIN * micros) / TIMING.acceptor);
    this.#set(id, Math.max(this.of(id) / 2, Math.min(asked, this.of(id))));
  }

  /** Its answer did not come in time. */
  late(id: string): void {
    this.#set(id, this.of(id) * 2);
  }

  /** It left the set. */
  retain(ids: readonly string[]): void {
    for (const id of this.#factors.keys()) if (!ids.includes(id)) this.#factors.delete(id);
  }

  #set(id: string, factor: number): void {
    if (factor <= 1) this.#factors.delete(id);
    else this.#factors.set(id, Math.min(STRETCH_MAX, factor));
  }
}
