// Who operates a simulated cluster: asks for one thing after another, each again and again until it
// is done, and takes away the machines that are of no use any more.

import type { Client } from '../../client/client.ts';
import { JournalError } from '../../protocol/errors.ts';
import type { Zone } from '../../protocol/types.ts';
import type { AdminRequest, ClusterStatus, JournalStatus } from '../../transport/public.ts';
import type { Loss } from '../checkers/losses.ts';
import type { Machine } from '../machine.ts';
import type { World } from '../world.ts';
import { CONTROLLER_PORT } from './programs.ts';

/** The cluster as its operator has it in hand. */
export interface Estate {
  readonly client: Client;
  readonly status: ClusterStatus | null;
  /** When the question was asked that `status` answers. */
  readonly statusAt: number;
  readonly controllers: readonly Machine[];
  newController(): Machine;
  newReplica(at: Zone): Machine;
  startJoining(machine: Machine): Promise<void>;
  /** Another controller has confirmed the last start of this one. */
  isBack(machine: Machine): boolean;
  retire(machine: Machine): void;
}

/** How often what cannot be told to be done is repeated; each time takes up to 10 s. */
const ASKED_TIMES = 20;
const AGAIN_MICROS = 200_000;
const LOOK_MICROS = 100_000;
/** A controller that has not come back by itself after so long is replaced. */
const COMES_BACK_MICROS = 5_000_000;

export class Operator {
  readonly #world: World;
  readonly #estate: Estate;
  /** Losses that were forced, in order. */
  readonly losses: Loss[] = [];
  /** Journals that were deleted, since the copy that is left has nothing of them. */
  readonly givenUp = new Set<string>();
  /** What was carried out, by kind and by the member that it names. */
  readonly #done = new Map<string, number>();
  #pending = 0;
  /** One after another: a repeated order must not overtake the one that takes it back. */
  #orders: Promise<void> = Promise.resolve();

  constructor(world: World, estate: Estate) {
    this.#world = world;
    this.#estate = estate;
  }

  /** Something that was ordered is not done yet. */
  get busy(): boolean {
    return this.#pending > 0;
  }

  /** How often such an order was carried out, for this member or for any. */
  done(kind: AdminRequest['kind'], member = ''): number {
    return this.#done.get(`${kind} ${member}`) ?? 0;
  }

  #carriedOut({ kind, ...about }: { readonly kind: AdminRequest['kind'] }): void {
    const member = 'member' in about ? ` ${about.member}` : ' ';
    for (const key of new Set([`${kind} `, `${kind}${member}`])) {
      this.#done.set(key, (this.#done.get(key) ?? 0) + 1);
    }
  }

  /** Asks until there is an answer: done, or refused for good. */
  ask(request: AdminRequest): void {
    this.#order(async () => {
      for (let left = ASKED_TIMES; left > 0; left -= 1) {
        if ((await this.#attempt(request)) !== 'again') return;
      }
    });
  }

  /** Lets a member in on a machine of its own. */
  addMember(at: Zone): Machine {
    const machine = this.#estate.newReplica(at);
    machine.start();
    this.#order(() => this.#untilDone({ kind: 'memberAdd', member: machine.name, zone: at }));
    return machine;
  }

  /** Sends a member away, and takes its machine once no journal names it any more. */
  removeMember(machine: Machine): void {
    const member = machine.name;
    this.#order(async () => {
      await this.#untilDone({ kind: 'memberRemove', member });
      await this.#gone(machine);
    });
  }

  replaceMember(machine: Machine, at: Zone): void {
    const successor = this.#estate.newReplica(at);
    successor.start();
    const request = { kind: 'memberReplace', member: machine.name, by: successor.name } as const;
    this.#order(async () => {
      await this.#untilDone(request);
      await this.#gone(machine);
    });
  }

  /**
   * Takes controllers out of the set, and lets as many new ones in as asked for. What is taken out
   * goes on for `lingerMicros`, as a process does that nobody has told.
   */
  changeControllers(out: readonly Machine[], count: number, lingerMicros: number): void {
    this.#order(() => this.#changeControllers(out, count, lingerMicros));
  }

  /** Waits for a controller that was started anew; another one comes where it does not. */
  attend(machine: Machine): void {
    this.#order(async () => {
      const until = this.#world.now + COMES_BACK_MICROS;
      while (this.#estate.controllers.includes(machine) && !this.#estate.isBack(machine)) {
        if (this.#world.now > until) return await this.#changeControllers([machine], 1, 0);
        await this.#world.sleep(LOOK_MICROS);
      }
    });
  }

  async #changeControllers(
    out: readonly Machine[],
    count: number,
    lingerMicros: number,
  ): Promise<void> {
    const added: Machine[] = [];
    for (let at = 0; at < count; at += 1) {
      const machine = this.#estate.newController();
      await this.#estate.startJoining(machine);
      added.push(machine);
    }
    const remove = out.map(({ name }) => name).join(',');
    const add = added.map(({ name }) => `${name}=${name}:${CONTROLLER_PORT}`).join(',');
    const done = ({ processes }: ClusterStatus): boolean => {
      const seats = processes.filter(({ kind }) => kind === 'controller').map(({ id }) => id);
      const isIn = ({ name }: Machine): boolean => seats.includes(name);
      return added.every(isIn) && !out.some(isIn);
    };
    // An answer that was lost says nothing: only who is in the set tells whether it was done.
    for (;;) {
      await this.#attempt({ kind: 'controllerReplace', remove, add });
      if (done(await this.#look())) break;
      await this.#world.sleep(AGAIN_MICROS);
    }
    this.#carriedOut({ kind: 'controllerReplace' });
    await this.#world.sleep(lingerMicros);
    for (const machine of out) this.#estate.retire(machine);
  }

  /**
   * Only an old copy of one member is left: where a journal does not go on with that by itself, the
   * loss of what the copy lacks is forced. Journals that the copy does not know are given up. The
   * others have new volumes; or their machines come back afterwards, with all that they had.
   */
  forceLosses(
    machine: Machine,
    names: readonly string[],
    others: readonly Machine[],
    comeBack: boolean,
  ): void {
    for (const name of names) this.#order(() => this.#forceLoss(name, machine.name));
    if (comeBack) {
      this.#order(async () => {
        for (const other of others) other.start();
      });
      return;
    }
    for (const { name } of others) {
      this.#order(() => this.#untilDone({ kind: 'memberReplace', member: name, by: name }));
    }
  }

  async #forceLoss(name: string, member: string): Promise<void> {
    for (;;) {
      const journal = (await this.#look()).journals.find((one) => one.name === name);
      // Dropped meanwhile, or no copy was lost that it needs.
      if (journal === undefined || journal.members.some(({ live }) => live)) return;
      if (isLost(journal)) {
        const keptLsn = journal.members.find(({ id }) => id === member)?.endLsn ?? 0;
        const reason = 'all other copies are gone';
        const request = { kind: 'forceLoss', journal: name, member, reason } as const;
        const asked = keptLsn === 0 ? 'refused' : await this.#attempt(request);
        if (asked === 'done') {
          this.losses.push({ journal: name, keptLsn, at: this.#world.now });
          return;
        }
        if (keptLsn === 0) {
          this.givenUp.add(name);
          await this.#estate.client.deleteJournal(name).catch(() => undefined);
        }
      }
      await this.#world.sleep(AGAIN_MICROS);
    }
  }

  /** No journal names the member any more: its machine may go. */
  async #gone(machine: Machine): Promise<void> {
    // One who does not know the registers yet knows of no journal.
    const named = ({ partial, journals }: ClusterStatus): boolean =>
      partial || journals.some(({ members }) => members.some(({ id }) => id === machine.name));
    while (named(await this.#look())) await this.#world.sleep(LOOK_MICROS);
    this.#estate.retire(machine);
  }

  #order(task: () => Promise<void>): void {
    this.#pending += 1;
    this.#orders = this.#orders.then(task).finally(() => {
      this.#pending -= 1;
    });
  }

  async #untilDone(request: AdminRequest): Promise<void> {
    while ((await this.#attempt(request)) !== 'done') await this.#world.sleep(AGAIN_MICROS);
  }

  async #attempt(request: AdminRequest): Promise<'done' | 'again' | 'refused'> {
    try {
      await this.#estate.client.admin(request);
      this.#carriedOut(request);
      return 'done';
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      return error.retryable ? 'again' : 'refused';
    }
  }

  /** The status as it is from now on. */
  async #look(): Promise<ClusterStatus> {
    const since = this.#world.now;
    for (;;) {
      const { status, statusAt } = this.#estate;
      if (status !== null && statusAt > since) return status;
      await this.#world.sleep(LOOK_MICROS);
    }
  }
}

const isLost = ({ note }: JournalStatus): boolean => note.startsWith('NO_SURVIVOR');
