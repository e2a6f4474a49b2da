// The group of controllers as one of them lives in it: its acceptor, the registers, the floors, and
// what the others say over the method `acceptor`.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import type { Random } from '../../io/random.ts';
import type { Metadata } from '../../log/metadata.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { AcceptorView } from '../../protocol/paxos/invariants.ts';
import {
  type AcceptorAnswer,
  type AcceptorRequest,
  type AcceptorSet,
  majorityOf,
  type Seat,
} from '../../protocol/paxos/messages.ts';
import { type JournalId, type Micros, micros } from '../../protocol/types.ts';
import { controllerMethods } from '../../transport/methods.ts';
import { TIMING } from './config.ts';
import { Floors } from './floors.ts';
import { CONTACTS, type ControllerHome, readContacts } from './format.ts';
import { Acceptor, type Told } from './register/acceptor.ts';
import { enough } from './register/answers.ts';
import { Handshake } from './register/handshake.ts';
import { Nonces } from './register/nonces.ts';
import { Patience } from './register/patience.ts';
import { Register } from './register/register.ts';
import {
  type ControllerAnswer,
  type ControllerRequest,
  decodeAnswer,
  encodeRequest,
  type FloorEntry,
  type Gossip,
} from './register/wire.ts';

export interface GroupParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly home: ControllerHome;
  readonly metadata: Metadata;
  readonly onOpen: () => void;
  readonly onHint: (key: string) => void;
  /** Another controller is about to change a register. */
  readonly onOther: (key: string) => void;
  readonly onSet: (set: AcceptorSet) => void;
  /** A register was changed from here: what it took. */
  readonly changed?: ((took: Micros) => void) | undefined;
  readonly onGossip: (gossip: Gossip) => Gossip;
  /** The group has gone on without this controller: `set` serves, and does not name it. */
  readonly onReplaced: (set: AcceptorSet) => void;
  readonly onFailed: (error: Error) => void;
  /** Told of each step of the acceptor. */
  readonly stepped?: ((key: string, acceptor: AcceptorView) => void) | undefined;
  /** Told of each answer about a register: the ballots that it lets others know of. */
  readonly answered?: ((key: string, told: Told) => void) | undefined;
  /** Told of each peer that has the start of this process on its disk. */
  readonly known?: ((peer: string) => void) | undefined;
}

/** A seat that carries floors and registers to others may be big: it gets more time. */
const INSTALL_FACTOR = 4;
const COPY_ATTEMPTS = 3;
/** How often one whose start nobody confirms asks whether the group has gone on without it. */
const SEEK = micros(1_000_000);

export class Group {
  readonly #parts: GroupParts;
  readonly #acceptor: Acceptor;
  readonly #nonces: Nonces;
  readonly #handshake: Handshake;
  readonly #patience = new Patience();
  readonly floors: Floors;
  readonly register: Register;
  #copying = false;
  #opened = false;
  #closed = false;

  private constructor(parts: GroupParts, nonces: Nonces, acceptor: Acceptor) {
    const { home, metadata, clock, random, logger, onFailed } = parts;
    this.#parts = parts;
    this.#nonces = nonces;
    this.#acceptor = acceptor;
    this.floors = new Floors(metadata, clock, onFailed);
    this.register = new Register(
      {
        clock,
        random,
        logger,
        proposer: `${home.store}.${nonces.current}`,
        ask: (seat, requests) => this.#askAcceptor(seat, requests),
        prepareSeat: (from, seat) => this.#prepareSeat(from, seat),
        onSet: (set) => this.#adopt(set),
        changed: parts.changed,
        stretch: () => this.#patience.most,
      },
      acceptor.newest ?? contactsOf(metadata),
    );
    for (let version = 1; version < this.register.set.version; version += 1) {
      const known = acceptor.known(version);
      if (known !== undefined) this.register.learn(known);
    }
    this.#handshake = new Handshake({
      clock,
      random,
      logger,
      id: home.id,
      store: home.store,
      nonces,
      ask: (seat, request, timeout) => this.ask(seat, request, timeout),
      known: parts.known,
      onOpen: () => this.#open(),
      onRefused: (by) => {
        const message =
          `controller ${by} knows that this is an old copy of ${home.id}: its promises are ` +
          'forgotten. Format a new directory with --join and replace this controller by it';
        this.#acceptor.close(message);
        onFailed(new JournalError('DAMAGED', message));
      },
    });
  }

  static async open(parts: GroupParts): Promise<Group> {
    const { home, metadata, logger, random, onFailed } = parts;
    const nonce = random.hex(16);
    const acceptor = new Acceptor({
      id: home.id,
      store: home.store,
      metadata,
      logger,
      stepped: parts.stepped,
      answered: parts.answered,
      onAccepted: (key) => parts.onHint(key),
      onPrepared: (key, proposer) => {
        if (proposer !== `${home.store}.${nonce}`) parts.onOther(key);
      },
      onFailed,
    });
    const set = acceptor.newest ?? contactsOf(metadata);
    const peers = set.seats.map(({ id }) => id).filter((id) => id !== home.id);
    const nonces = await Nonces.draw(metadata, nonce, peers);
    return new Group(parts, nonces, acceptor);
  }

  /** Tells the peers of this start; `onOpen` follows. */
  start(): void {
    if (this.#acceptor.newest !== undefined) {
      this.#handshake.tell(this.register.set.seats);
      void this.#seek();
    }
    // Without a set there is nothing that could have been forgotten.
    else void this.#joinLater();
  }

  /** While it was away others may have taken seats, its own or those of the peers that it knows. */
  async #seek(): Promise<void> {
    const { clock, home, onReplaced } = this.#parts;
    for (let attempt = 0; ; attempt += 1) {
      await new Promise<void>((resolve) => {
        clock.after(SEEK, resolve);
      });
      if (this.#opened || this.#closed) return;
      const others = this.register.set.seats.filter(({ id }) => id !== home.id);
      const peer = others[attempt % others.length];
      if (peer === undefined) continue;
      const set = await this.#setOf(peer);
      if (set === null || this.#closed) continue;
      this.register.learn(set);
      const named = set.seats.some(({ id }) => id === home.id);
      if (!named && set.version >= this.register.set.version) onReplaced(set);
    }
  }

  /**
   * Formatted to join: finds the set that it is to be let into, and waits. It may be let in before
   * anybody has answered it, and whom it asks may be gone since.
   */
  async #joinLater(): Promise<void> {
    const { clock } = this.#parts;
    this.#acceptor.open();
    const asked = this.register.set.seats.filter(({ id }) => id !== this.#parts.home.id);
    for (let attempt = 0; !this.#closed; attempt += 1) {
      const peer = asked[attempt % asked.length];
      if (peer === undefined) return;
      const told = await this.#setOf(peer);
      const set = this.#acceptor.newest ?? told;
      if (set !== null && !this.#closed) {
        this.#join(set);
        return;
      }
      await new Promise<void>((resolve) => {
        clock.after(TIMING.acceptor, resolve);
      });
    }
  }

  /** The set that a peer serves; null where it has none, or does not answer. */
  async #setOf(peer: Seat): Promise<AcceptorSet | null> {
    const answer = await this.ask(peer, { kind: 'hello' }, TIMING.acceptor).catch(() => null);
    return answer?.kind === 'hello' ? answer.set : null;
  }

  #join(set: AcceptorSet): void {
    const { home, onOpen } = this.#parts;
    this.register.reset(set);
    onOpen();
    // In already: nobody tells it of the set once more.
    if (set.seats.some(({ id, store }) => id === home.id && store === home.store)) this.#adopt(set);
  }

  /** The store that a peer was first seen with; empty before. */
  storeOf(id: string): string {
    const { home } = this.#parts;
    return id === home.id ? home.store : this.#nonces.storeOf(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#handshake.close();
    this.register.close();
    this.#acceptor.close('it ends');
    await this.floors.close();
  }

  #open(): void {
    this.#opened = true;
    this.#acceptor.open();
    this.#parts.onOpen();
    // Sealed into a set that it was not installed for yet, before it was started again.
    void this.#catchUp(this.register.set);
  }

  async ask(seat: Seat, request: ControllerRequest, timeout: Micros): Promise<ControllerAnswer> {
    const { home, network, clock } = this.#parts;
    if (seat.id === home.id) return await this.talk(request);
    const json = encodeRequest(home.cluster, request);
    const call = { timeout: micros(Math.round(timeout * this.#patience.of(seat.id))) };
    const sent = clock.now();
    try {
      const answer = await network.call(seat.address, controllerMethods.acceptor, { json }, call);
      this.#patience.answered(seat.id, clock.now() - sent);
      return decodeAnswer(answer.json);
    } catch (error) {
      const late = error instanceof JournalError && error.code === 'DEADLINE_EXCEEDED';
      if (late) this.#patience.late(seat.id);
      throw error;
    }
  }

  async talk(request: ControllerRequest): Promise<ControllerAnswer> {
    const { home, onGossip } = this.#parts;
    switch (request.kind) {
      case 'paxos':
        return { kind: 'paxos', answers: await this.#answer(request.requests) };
      case 'start':
        return await this.#confirm(request.id, request.store, request.nonces);
      case 'gossip':
        return { kind: 'gossip', gossip: onGossip(request.gossip) };
      case 'floors':
        return { kind: 'floors', floors: this.floors.of(request.journal) };
      case 'keepFloors':
        await this.floors.keep(request.floors);
        return { kind: 'kept' };
      case 'hello':
        return {
          kind: 'hello',
          id: home.id,
          store: home.store,
          set: this.#acceptor.newest ?? null,
        };
    }
  }

  async #answer(requests: readonly AcceptorRequest[]): Promise<readonly AcceptorAnswer[]> {
    const answers = await this.#acceptor.answer(requests);
    const { newest } = this.#acceptor;
    if (newest !== undefined) this.register.learn(newest);
    return answers;
  }

  async #confirm(id: string, store: string, offered: readonly string[]): Promise<ControllerAnswer> {
    const seat = this.register.set.seats.find((one) => one.id === id);
    if (seat === undefined) {
      throw new JournalError('UNAVAILABLE', `${id} is no controller of the set known here`);
    }
    const confirmed = await this.#nonces.take(id, seat.store, store, offered);
    if (!confirmed) {
      this.#parts.logger.error(
        { id, store },
        'a controller runs on an old copy, or a wiped volume',
      );
    }
    const nonces = await this.#nonces.offers(id);
    return { kind: 'start', store: this.#parts.home.store, confirmed, nonces };
  }

  /** What a controller knows of the floors of a journal. */
  async floorsOf(seat: Seat, journal: JournalId | null): Promise<readonly FloorEntry[]> {
    const answer = await this.ask(seat, { kind: 'floors', journal }, TIMING.acceptor);
    return answer.kind === 'floors' ? answer.floors : [];
  }

  async #askAcceptor(
    seat: Seat,
    requests: readonly AcceptorRequest[],
  ): Promise<readonly AcceptorAnswer[]> {
    const big = requests.some(({ kind }) => kind === 'install' || kind === 'seal');
    const timeout = micros(TIMING.acceptor * (big ? INSTALL_FACTOR : 1));
    const answer = await this.ask(seat, { kind: 'paxos', requests }, timeout);
    return answer.kind === 'paxos' ? answer.answers : [];
  }

  /** Floors travel with the registers: what a majority of the old set knows goes to each new seat. */
  async #prepareSeat(from: AcceptorSet, seat: Seat): Promise<void> {
    const asked = from.seats.map((old) => this.floorsOf(old, null).catch(() => null));
    const floors = (await enough(asked, majorityOf(from.seats.length))).flat();
    await this.ask(seat, { kind: 'keepFloors', floors }, TIMING.register);
  }

  #adopt(set: AcceptorSet): void {
    const { onSet, logger } = this.#parts;
    logger.warn({ version: set.version, seats: set.seats }, 'another acceptor set is served');
    onSet(set);
    this.#patience.retain(set.seats.map(({ id }) => id));
    this.#handshake.tell(set.seats);
    void this.#catchUp(set);
  }

  /** AcceptorSet.tla: Copy. A late member takes the registers of one that serves the set. */
  async #catchUp(set: AcceptorSet): Promise<void> {
    const { home, clock, logger } = this.#parts;
    const others = set.seats.filter(({ id }) => id !== home.id);
    const mine = set.seats.find(({ id }) => id === home.id);
    if (mine === undefined || this.#copying) return;
    this.#copying = true;
    for (let attempt = 0; attempt < COPY_ATTEMPTS * others.length; attempt += 1) {
      if (this.#acceptor.served?.version === set.version) break;
      const peer = others[attempt % others.length];
      if (peer === undefined) break;
      try {
        const [answer] = await this.#askAcceptor(peer, [{ kind: 'copy', set }]);
        if (answer?.kind === 'copied') {
          await this.#prepareSeat(set, mine);
          const { registers } = answer;
          await this.#acceptor.answer([{ kind: 'install', next: answer.set, registers }]);
        }
      } catch (error) {
        logger.debug({ peer: peer.id, error: String(error) }, 'registers were not copied');
      }
      await new Promise<void>((resolve) => {
        clock.after(TIMING.acceptor, resolve);
      });
    }
    this.#copying = false;
  }
}

const contactsOf = (metadata: Metadata): AcceptorSet => readContacts(metadata.get(CONTACTS));
