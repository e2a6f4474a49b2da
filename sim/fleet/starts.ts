// Which controllers have the start of another one on their disks: they refuse every copy of its
// volume that is older than that start.

import type { Actor } from '../world.ts';

export class Starts {
  readonly #known = new Map<Actor, Set<string>>();

  /** The peer of this name has confirmed the start of this process. */
  known(process: Actor, peer: string): void {
    const peers = this.#known.get(process) ?? new Set();
    this.#known.set(process, peers.add(peer));
  }

  /** Names of the controllers that have confirmed it. */
  peersOf(process: Actor | null): ReadonlySet<string> {
    return (process === null ? undefined : this.#known.get(process)) ?? new Set();
  }
}
