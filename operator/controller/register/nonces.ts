// Start nonces: how an old copy of an acceptor's volume is told from the acceptor itself.
//
// A copy forgets promises, and no register can tell, since the registers are what it forgot. So at
// every start an acceptor draws a nonce, saves it, and tells each peer. A peer replaces the nonce
// that it holds only if that one is among those offered: an old copy cannot offer what was drawn
// after it was taken. Peers that were away confirm later, so for each peer every nonce is kept
// that was drawn since it last confirmed one, that one included.
//
// Not covered, and said in docs/register.md: a copy younger than the last start that the answering
// peers know of; a group of one.

import type { Metadata } from '../../../log/metadata.ts';
import { fields, list, parse, text } from '../../../protocol/fields.ts';

const OWN = 'nonce/own/';
const HELD = 'nonce/held/';
/** Starts that a peer may miss; beyond, the acceptor is refused there and must be replaced. */
const OFFERS_MAX = 4_096;

const bytesOf = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What is held for a peer: the store that it was seen with first, and its newest nonce. */
interface Held {
  readonly store: string;
  readonly nonce: string;
}

export class Nonces {
  readonly #metadata: Metadata;
  readonly current: string;

  constructor(metadata: Metadata, current: string) {
    this.#metadata = metadata;
    this.current = current;
  }

  /** Draws the nonce of this start; durable when it resolves. */
  static async draw(metadata: Metadata, nonce: string, peers: readonly string[]): Promise<Nonces> {
    const known = metadata.keys(OWN).map((key) => key.slice(OWN.length));
    const changes = new Map<string, Uint8Array>();
    for (const peer of new Set([...known, ...peers])) {
      const before = readOffers(metadata, peer);
      changes.set(OWN + peer, bytesOf([...before, nonce].slice(-OFFERS_MAX)));
    }
    await metadata.save(changes);
    return new Nonces(metadata, nonce);
  }

  /** What a peer is to be offered, the newest last; durable before it is told. */
  async offers(peer: string): Promise<readonly string[]> {
    const offers = readOffers(this.#metadata, peer);
    if (offers.length > 0) return offers;
    await this.#metadata.save(new Map([[OWN + peer, bytesOf([this.current])]]));
    return [this.current];
  }

  /** The peer holds the nonce of this start from now on. */
  async confirmed(peer: string): Promise<void> {
    await this.#metadata.save(new Map([[OWN + peer, bytesOf([this.current])]]));
  }

  /**
   * Judges what a peer offers: true where it may be who it says, and then its newest nonce is held,
   * durably. `seatStore` is the store that the acceptor set names for it, empty for none.
   */
  async take(
    peer: string,
    seatStore: string,
    store: string,
    offered: readonly string[],
  ): Promise<boolean> {
    const newest = offered.at(-1);
    if (newest === undefined || (seatStore !== '' && seatStore !== store)) return false;
    const held = this.#held(peer);
    // A seat that was given to another store: what is held belongs to the one before it.
    const replaced = held !== null && seatStore !== '' && held.store !== seatStore;
    if (held !== null && !replaced) {
      if (held.store !== store || !offered.includes(held.nonce)) return false;
      if (held.nonce === newest) return true;
    }
    const next: Held = { store, nonce: newest };
    await this.#metadata.save(new Map([[HELD + peer, bytesOf(next)]]));
    return true;
  }

  /** The store that a peer was first seen with; empty before. */
  storeOf(peer: string): string {
    return this.#held(peer)?.store ?? '';
  }

  #held(peer: string): Held | null {
    const bytes = this.#metadata.get(HELD + peer);
    if (bytes === undefined) return null;
    const all = fields('held nonce', parse('held nonce', textOf(bytes)));
    return { store: text('store', all.store), nonce: text('nonce', all.nonce) };
  }
}

function readOffers(metadata: Metadata, peer: string): readonly string[] {
  const bytes = metadata.get(OWN + peer);
  return bytes === undefined ? [] : list('nonces', parse('nonces', textOf(bytes)), text);
}
