// What only an operator asks: members in and out, heads moved, losses forced, controllers replaced.
// Every one of them is a change of a register, written to the log with what was asked.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import { type Configuration, order } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { AcceptorSet, Seat } from '../../protocol/paxos/messages.ts';
import { memberId, zone } from '../../protocol/types.ts';
import type { AdminAnswer, AdminRequest, Numbered } from '../../transport/public.ts';
import type { Catalog } from './catalog.ts';
import { following, withHead } from './decide/chains.ts';
import { survivorOf } from './decide/forced.ts';
import type { MemberFacts } from './decide/situation.ts';
import type { Reconfigurer } from './reconfigure/reconfigure.ts';
import { followUp } from './register/answers.ts';
import { forceLoss, wasForced } from './register/loss.ts';
import {
  checkSeats,
  decodeConfiguration,
  decodeGrant,
  decodeName,
  encode,
  type GrantRecord,
  journalKey,
  memberKey,
  nameKey,
} from './register/records.ts';
import type { Register } from './register/register.ts';

export interface AdminParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly register: Register;
  readonly catalog: Catalog;
  readonly reconfigurer: Reconfigurer;
  /** Who answers at an address: its seat, as far as it knows. */
  readonly hello: (address: string) => Promise<{ readonly id: string; readonly store: string }>;
  /** The store that a seat was first seen with; empty before. */
  readonly storeOf: (id: string) => string;
}

type AdminOf<Kind extends AdminRequest['kind']> = Extract<AdminRequest, { kind: Kind }>;

const listOf = (given: string): readonly string[] =>
  given === '' ? [] : given.split(',').map((one) => one.trim());

const invalid = (message: string): JournalError => new JournalError('INVALID_ARGUMENT', message);

/** Orders that a grant remembers: so many later ones about its member still tell a late copy. */
const ORDERS_KEPT = 8;

export class Admin {
  readonly #parts: AdminParts;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  /**
   * Nothing is changed any more once whoever asked has given up (`signal`): an order is asked for
   * again, of another controller, and may be done and taken back before this one gets to it.
   * Rejects with JournalError: a refusal, CANCELLED, or UNAVAILABLE without a majority.
   */
  async carryOut(request: AdminRequest, signal: AbortSignal): Promise<AdminAnswer> {
    const { logger, catalog } = this.#parts;
    if (!catalog.complete || catalog.rebuilding) {
      throw new JournalError(
        'UNAVAILABLE',
        'the registers were not read yet, or are to be rebuilt',
      );
    }
    logger.warn({ request }, 'admin');
    switch (request.kind) {
      case 'memberAdd':
        return await this.#addMember(request, signal);
      case 'memberRemove':
        return await this.#removeMember({ ...request, by: null }, signal);
      case 'memberReplace':
        return await this.#replaceMember(request, signal);
      case 'forceLoss':
        return await this.#forceLoss(request, signal);
      case 'moveHead':
        return await this.#moveHead(request);
      case 'controllerReplace':
        return await this.#replaceController(request);
    }
  }

  async #addMember(request: AdminOf<'memberAdd'>, signal: AbortSignal): Promise<AdminAnswer> {
    const label = memberId(request.member);
    const place = zone(request.zone);
    const after = await this.#changeGrant(label, { ...request, signal }, (before) => {
      if (before === null) return { member: label, zone: place, store: null, leaving: null };
      return { ...before, zone: place, leaving: null };
    });
    const state =
      after.store === null ? 'it may format one volume' : `it keeps store ${after.store}`;
    return { done: [`member ${label} is let in, in zone ${place}: ${state}`] };
  }

  async #removeMember(
    { member, by, requestId }: Numbered & { readonly member: string; readonly by: string | null },
    signal: AbortSignal,
  ): Promise<AdminAnswer> {
    const label = memberId(member);
    await this.#knownGrant(label);
    await this.#changeGrant(label, { requestId, signal }, (before) => {
      if (before === null) throw new JournalError('NOT_FOUND', `no member is called ${label}`);
      return { ...before, leaving: { by } };
    });
    const inside = this.#journalsOf(label).length;
    const how = `it leaves ${inside} journals, each as soon as the others are enough`;
    return { done: [`member ${label} is to leave: ${how}`] };
  }

  /** The same label again lets a new volume take the place of its old one. */
  async #replaceMember(
    request: AdminOf<'memberReplace'>,
    signal: AbortSignal,
  ): Promise<AdminAnswer> {
    const { member, by, requestId } = request;
    const label = memberId(member);
    const successor = memberId(by);
    const grant = await this.#knownGrant(label);
    if (label === successor) {
      // Where its answer was lost, the volume that is there now may be the new one.
      await this.#changeGrant(label, { requestId, signal }, (before) => {
        const place = before?.zone ?? grant.zone;
        return { member: label, zone: place, store: null, leaving: null };
      });
      const done = `member ${label} may format a new volume; store ${grant.store} is to leave`;
      return { done: [done] };
    }
    const order = requestId === undefined ? {} : { requestId };
    const newcomer = { kind: 'memberAdd', member: by, zone: grant.zone, ...order } as const;
    const added = await this.#addMember(newcomer, signal);
    const removed = await followUp(this.#removeMember({ member, by, ...order }, signal));
    return { done: [...added.done, ...removed.done] };
  }

  async #knownGrant(member: string): Promise<GrantRecord> {
    const value = await this.#parts.register.read(memberKey(member));
    if (value === null) throw new JournalError('NOT_FOUND', `no member is called ${member}`);
    return decodeGrant(value);
  }

  /** An order whose id the grant remembers was carried out: it is left as it is. */
  async #changeGrant(
    member: string,
    { requestId, signal }: { requestId?: string | undefined; readonly signal: AbortSignal },
    update: (before: GrantRecord | null) => Omit<GrantRecord, 'revision' | 'orders'>,
  ): Promise<GrantRecord> {
    const { register, catalog } = this.#parts;
    const key = memberKey(member);
    const changed = await register.change(key, (current) => {
      signal.throwIfAborted();
      const before = current === null ? null : decodeGrant(current);
      const known = before?.orders ?? [];
      if (requestId !== undefined && known.includes(requestId)) return current;
      const { member: label, zone: place, store, leaving } = update(before);
      const orders = requestId === undefined ? known : [...known, requestId].slice(-ORDERS_KEPT);
      const kept = orders.length === 0 ? {} : { orders };
      const at = (revision: number): string =>
        encode({ member: label, zone: place, store, revision, leaving, ...kept });
      if (before !== null && at(before.revision) === encode(before)) return current;
      return at((before?.revision ?? 0) + 1);
    });
    catalog.note(key, changed.value);
    if (changed.value === null) throw new JournalError('INTERNAL', `${key} is empty`);
    return decodeGrant(changed.value);
  }

  #journalsOf(member: string): readonly Configuration[] {
    return this.#parts.catalog
      .configurations()
      .filter((configuration) => order(configuration).some(({ id }) => id === member));
  }

  /**
   * The explicit way out: `member` goes on alone, with what it has. Recorded with its reason before
   * it takes effect; lineage and epoch rise so that no fork of the journal is ever mixed with it.
   */
  async #forceLoss(request: AdminOf<'forceLoss'>, signal: AbortSignal): Promise<AdminAnswer> {
    const { member, reason, requestId } = request;
    if (reason.trim() === '') throw invalid('reason is empty, allowed is why the loss is accepted');
    const { register, catalog, logger } = this.#parts;
    await this.#knownGrant(memberId(member));
    const latest = await this.#newest(request.journal);
    if (await wasForced(register, latest, { requestId, member })) {
      return { done: [`journal ${latest.name} went on from ${member} already`] };
    }
    const members = this.#membersOf(latest);
    const holder = survivorOf(latest, members, member);
    const { store, incarnation, id, zone: place, address } = holder;
    const survivor = { store, incarnation, id, zone: place, address };
    const lost = { latest, member: survivor, reason, requestId, signal };
    const next = await forceLoss(register, lost, logger);
    const { journal, lineage } = next;
    catalog.note(journalKey(journal), encode(next));
    logger.error({ journal, member, reason, lineage }, 'a loss was forced');
    const name = `journal ${latest.name}`;
    return {
      done: [
        `${name} goes on from ${member} alone, lineage ${lineage}, epoch ${next.epoch}`,
        `its log has entries up to LSN ${holder.report?.endLsn}`,
        `what only other members held is given up; their logs are set aside when they come back`,
      ],
    };
  }

  async #moveHead(request: AdminOf<'moveHead'>): Promise<AdminAnswer> {
    const { reconfigurer } = this.#parts;
    const latest = await this.#newest(request.journal);
    const to = latest.serving.find(({ id }) => id === request.member);
    if (to === undefined) {
      const allowed = latest.serving.map(({ id }) => id).join(', ');
      throw invalid(`member is ${request.member}, allowed are the serving ones: ${allowed}`);
    }
    if (latest.serving[0] === to && latest.chosenHead === to.id) {
      return { done: [`${to.id} is the head of ${latest.name} already`] };
    }
    const situation = reconfigurer.situation(reconfigurer.world(), latest);
    if (situation.members.get(to.store)?.verdict !== 'fine') {
      throw new JournalError('UNAVAILABLE', `${to.id} does not answer`);
    }
    const chosen = { ...latest, chosenHead: to.id };
    const next = following(chosen, withHead(latest.serving, to), latest.joining);
    const won = await reconfigurer.propose(situation, next, 'handOver', 'asked for');
    if (!won) throw new JournalError('STALE_EPOCH', 'the configuration changed meanwhile');
    return { done: [`${to.id} is the head of ${latest.name} in epoch ${next.epoch}`] };
  }

  /**
   * Other acceptors: `add` lists `id=host:port` of controllers that were formatted to join
   * (`format --join`), `remove` ids, both with commas; what is left are 1, 3 or 5.
   */
  async #replaceController(request: AdminOf<'controllerReplace'>): Promise<AdminAnswer> {
    const { register, storeOf, logger } = this.#parts;
    const { set, needed } = register;
    const isIn = (id: string): boolean => set.seats.some((seat) => seat.id === id);
    const [removed, added] = [listOf(request.remove), listOf(request.add)];
    const stranger = removed.find((id) => !needed.some((seat) => seat.id === id));
    if (stranger !== undefined) {
      const allowed = needed.map((seat) => seat.id).join(', ');
      throw invalid(`remove is ${stranger}, allowed is one of ${allowed}`);
    }
    const isSo =
      !removed.some(isIn) &&
      added.every((one) => set.seats.some(({ id, address }) => one === `${id}=${address}`));
    if (isSo && removed.length + added.length > 0) {
      // Asked for again, since the answer was lost or the new ones have not got the registers yet.
      await register.settle();
      return { done: [`controllers are so already, set version ${set.version}`] };
    }
    const newcomers = await Promise.all(added.map((one) => this.#newcomer(one)));
    const staying = set.seats
      .filter(({ id }) => !removed.includes(id))
      .map((seat) => ({ ...seat, store: seat.store === '' ? storeOf(seat.id) : seat.store }));
    const seats: readonly Seat[] = [...staying, ...newcomers];
    checkSeats(seats);
    const decided: AcceptorSet = await register.replace(seats);
    if (JSON.stringify(decided.seats) !== JSON.stringify(seats)) {
      throw new JournalError('STALE_EPOCH', 'another change of the controllers was ahead');
    }
    logger.warn({ version: decided.version }, 'the controllers were changed');
    const names = (list: readonly string[]): string => (list.length === 0 ? 'none' : list.join());
    const came = newcomers.map(({ id }) => id);
    const done = `in: ${names(came)}, out: ${names(removed)}, set version ${decided.version}`;
    return { done: [`controllers changed: ${done}`] };
  }

  async #newcomer(given: string): Promise<Seat> {
    const [id, address, ...more] = given.split('=');
    if (id === undefined || address === undefined || address === '' || more.length > 0) {
      throw invalid(`add is ${given}, allowed is ID=HOST:PORT`);
    }
    const newcomer = await this.#parts.hello(address);
    if (newcomer.id !== id) throw invalid(`${newcomer.id} answers at ${address}, not ${id}`);
    return { id, store: newcomer.store, address };
  }

  async #newest(name: string): Promise<Configuration> {
    const { register, catalog } = this.#parts;
    const text = await register.read(nameKey(name));
    const record = text === null ? null : decodeName(text);
    const missing = new JournalError('NOT_FOUND', `no journal is called ${name}`);
    if (record === null || record.deleted) throw missing;
    const key = journalKey(record.journal);
    const value = await register.read(key);
    if (value === null) throw missing;
    catalog.note(key, value);
    const latest = decodeConfiguration(value);
    if (latest.deleted) throw missing;
    return latest;
  }

  #membersOf(latest: Configuration): readonly MemberFacts[] {
    const { reconfigurer } = this.#parts;
    return [...reconfigurer.situation(reconfigurer.world(), latest).members.values()];
  }
}
