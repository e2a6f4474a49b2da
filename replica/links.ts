// The links to all peers that the journals of this replica name: one dialled to each, frames out;
// one accepted from each, frames in. Both being up is told to the machines as `linked`.

import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import { bidiStream, type Handler, type Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { decodeBatch } from '../log/batch.ts';
import type { ChainMessage } from '../protocol/chain/messages.ts';
import { type MemberKey, MIB } from '../protocol/configuration.ts';
import {
  acceptLinks,
  type ChainFrame,
  type Link,
  openLink,
  type PeerHello,
} from '../transport/link.ts';
import { peerMethods } from '../transport/methods.ts';
import type { PeerFrame } from '../transport/peer.ts';
import type { Driver } from './drive/driver.ts';
import type { Host } from './drive/host.ts';
import type { PeerLinks } from './drive/outbox.ts';
import type { Room } from './room.ts';
import type { Access } from './service/access.ts';

/** Small messages that may wait behind a link that is full; runs of the log wait for room. */
const WAITING_BYTES_MAX = 4 * MIB;

export interface LinksParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly driver: Driver;
  readonly access: Access;
  hello(): PeerHello;
  find(journal: ChainMessage['journal']): Host | undefined;
  hosts(): readonly Host[];
  readonly room: Pick<Room, 'full' | 'heard'>;
}

export class Links implements PeerLinks {
  readonly #parts: LinksParts;
  readonly #links = new Map<string, Link>();

  constructor(parts: LinksParts) {
    this.#parts = parts;
  }

  handler(): Handler {
    const { clock, hello, access, room } = this.#parts;
    const accept = acceptLinks({
      clock,
      hello,
      onFrame: (frame, { from }) =>
        frame.kind === 'room' ? room.heard(from.store, frame.full) : this.#take(frame),
      onUp: ({ from }) => {
        room.heard(from.store, '');
        this.#linked(from);
      },
      onDown: ({ from }) => room.heard(from.store, ''),
    });
    return bidiStream(peerMethods.link, (stream, context) => {
      access(context, 'member', null);
      return accept(stream, context);
    });
  }

  /** Dials who is new, lets go of who is named no longer. */
  retain(addresses: ReadonlySet<string>): void {
    for (const [address, link] of this.#links) {
      if (addresses.has(address)) continue;
      this.#links.delete(address);
      link.close();
      this.#reset(address);
      this.#parts.network.forget(address);
    }
    for (const address of addresses) {
      if (!this.#links.has(address)) this.#links.set(address, this.#dial(address));
    }
  }

  #dial(address: string): Link {
    const { network, clock, random, logger, hello, room } = this.#parts;
    return openLink({
      network,
      clock,
      random,
      logger,
      address,
      hello,
      bytesBound: WAITING_BYTES_MAX,
      onUp: ({ from }) => {
        logger.info({ address, store: from.store }, 'link to a peer is up');
        this.#reset(address);
        this.#linked(from);
        if (room.full !== '') this.#links.get(address)?.send({ kind: 'room', full: room.full });
      },
      onDown: () => this.#reset(address),
    });
  }

  /** What waits for a link that is no more is not sent: the machines begin anew with the next. */
  #reset(address: string): void {
    for (const { outboxes } of this.#parts.hosts()) {
      for (const outbox of outboxes.values()) if (outbox.address === address) outbox.reset();
    }
  }

  #linked(peer: MemberKey): void {
    const { driver, hosts } = this.#parts;
    for (const host of hosts()) {
      if (host.state.live) driver.post(host, { kind: 'linked', peer });
    }
  }

  /** A frame that cannot be read throws, and so breaks the link: nothing is passed over. */
  #take({ message }: ChainFrame): void | Promise<void> {
    const { driver, find } = this.#parts;
    const host = find(message.journal);
    if (host === undefined) return undefined;
    const { body } = message;
    if (body.kind !== 'replicate') {
      driver.post(host, { kind: 'message', message: { ...message, body } });
      return undefined;
    }
    const batches = body.batches.map((bytes) => decodeBatch(bytes));
    driver.post(host, { kind: 'message', message: { ...message, body: { ...body, batches } } });
    return driver.roomy();
  }

  send(address: string, frame: PeerFrame): boolean {
    const link = this.#links.get(address);
    return link !== undefined && frame.kind === 'chain' && link.send(frame);
  }

  /** Tells every peer whether this volume takes records; one that is not linked hears it then. */
  announce(full: string): void {
    for (const link of this.#links.values()) link.send({ kind: 'room', full });
  }

  async writable(address: string): Promise<boolean> {
    return (await this.#links.get(address)?.writable()) ?? false;
  }

  break(address: string, reason: string): void {
    this.#links.get(address)?.break(reason);
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}
