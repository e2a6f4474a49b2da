// The least that a replica needs to live: registers in memory behind the controllers' calls, and
// an observer that says what it is told to say. Tests decide configurations by hand with it.

import { type Duplex, type Listener, type Network, unary } from '../../io/network.ts';
import { nodeClock } from '../../io/node.ts';
import type { ChainReport } from '../../protocol/chain/messages.ts';
import {
  type Configuration,
  DEFAULT_SETTINGS,
  type JournalSettings,
  type Member,
} from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  epoch,
  FIRST_LSN,
  type JournalId,
  journalId,
  memberId,
  micros,
  type StoreId,
  zone,
} from '../../protocol/types.ts';
import type {
  Directive,
  LostJournal,
  Ping,
  Pong,
  RegisterAnswer,
  RegisterChange,
  ReplicaHello,
} from '../../transport/control.ts';
import { controllerMethods, replicaMethods } from '../../transport/methods.ts';

export const CLUSTER = 'c0';
const PING_MILLIS = 20;

export class Shepherd {
  readonly #network: Network;
  readonly #starts = new Map<StoreId, { incarnation: number; startId: string }>();
  readonly configurations = new Map<JournalId, Configuration>();
  readonly flock = new Map<string, Sheep>();
  /** Members that asked for their grant. */
  readonly granted: string[] = [];
  /** Journals that no member with the whole log is left of, as the controllers would say. */
  lost: readonly LostJournal[] = [];
  #listener: Listener | undefined;
  #made = 0;

  constructor(network: Network) {
    this.#network = network;
  }

  async serve(): Promise<string> {
    this.#listener = await this.#network.serve('127.0.0.1:0', [
      unary(controllerMethods.change, async (change) => this.#change(change)),
      unary(controllerMethods.journals, async ({ name }) => ({
        configurations: [...this.configurations.values()].filter(
          (one) => !one.deleted && (name === '' || one.name === name),
        ),
        lost: this.lost,
      })),
      unary(controllerMethods.status, async () => ({
        cluster: CLUSTER,
        featureLevel: 1,
        ready: true,
        partial: false,
        processes: [],
        journals: [],
      })),
    ]);
    return this.#listener.address;
  }

  #change(change: RegisterChange): RegisterAnswer {
    switch (change.kind) {
      case 'format':
        this.granted.push(change.member);
        return { kind: 'formatted', cluster: CLUSTER };
      case 'start': {
        const incarnation = (this.#starts.get(change.store)?.incarnation ?? 0) + 1;
        this.#starts.set(change.store, { incarnation, startId: change.startId });
        return { kind: 'started', incarnation, startId: change.startId };
      }
      case 'createJournal': {
        const { journal, name, settings, firstLsn } = change;
        const live = [...this.flock.values()].filter(({ hello }) => (hello?.incarnation ?? 0) > 0);
        const serving = live.slice(0, settings.replicationFactor).map(memberOf);
        if ([...this.configurations.values()].some((one) => one.name === name && !one.deleted)) {
          return { kind: 'refused', code: 'ALREADY_EXISTS', message: `journal ${name} exists` };
        }
        const made = first(journal, name, settings, serving);
        this.decide({ ...made, firstLsn });
        return { kind: 'configuration', configuration: made };
      }
      case 'deleteJournal': {
        const found = [...this.configurations.values()].find(({ name }) => name === change.name);
        if (found === undefined) {
          return { kind: 'refused', code: 'NOT_FOUND', message: `no journal ${change.name}` };
        }
        const gone = { ...found, epoch: epoch(found.epoch + 1), deleted: true };
        this.decide(gone);
        return { kind: 'configuration', configuration: gone };
      }
      case 'propose':
        return { kind: 'refused', code: 'INTERNAL', message: 'nobody proposes here' };
    }
  }

  /** From now on every replica is told of this configuration with every ping. */
  decide(configuration: Configuration): void {
    this.configurations.set(configuration.journal, configuration);
  }

  /** The configuration of a new journal with these members, head first. */
  create(
    name: string,
    members: readonly Sheep[],
    settings: Partial<JournalSettings> = {},
  ): Configuration {
    this.#made += 1;
    const journal = journalId(this.#made.toString(16).padStart(32, '0'));
    const all = { ...DEFAULT_SETTINGS, minReplicas: 1, ...settings };
    const made = first(journal, name, all, members.map(memberOf));
    this.decide(made);
    return made;
  }

  /** The next epoch with these members; the last one joins if asked. */
  change(name: string, serving: readonly Sheep[], joining?: Sheep): Configuration {
    const before = this.named(name);
    const next = {
      ...before,
      epoch: epoch(before.epoch + 1),
      serving: serving.map(memberOf),
      joining: joining === undefined ? null : memberOf(joining),
    };
    this.decide(next);
    return next;
  }

  named(name: string): Configuration {
    const found = [...this.configurations.values()].find((one) => one.name === name);
    if (found === undefined) throw new Error(`no journal ${name}`);
    return found;
  }

  watch(address: string): Sheep {
    const sheep = new Sheep(this.#network, address, this);
    this.flock.set(address, sheep);
    return sheep;
  }

  async close(): Promise<void> {
    for (const sheep of this.flock.values()) sheep.close();
    await this.#listener?.close(micros(0));
  }
}

function first(
  journal: JournalId,
  name: string,
  settings: JournalSettings,
  serving: readonly Member[],
): Configuration {
  return {
    journal,
    name,
    settings,
    lineage: 1,
    epoch: epoch(1),
    mode: 'chain',
    firstLsn: FIRST_LSN,
    serving,
    joining: null,
    deleted: false,
  };
}

function memberOf({ hello }: Sheep): Member {
  if (hello === undefined) throw new Error('a replica that has not answered is no member');
  const { store, incarnation, address } = hello;
  return { store, incarnation, id: memberId(hello.member), zone: zone(hello.zone), address };
}

/** One replica as its observer sees it. */
export class Sheep {
  readonly address: string;
  readonly #network: Network;
  readonly #shepherd: Shepherd;
  readonly reports = new Map<JournalId, ChainReport>();
  hello: ReplicaHello | undefined;
  pong: Pong | undefined;
  /** Said with every ping beside the configurations. */
  directives: readonly Directive[] = [];
  featureLevel = 1;
  /** Told nothing, and not even pinged. */
  silent = false;
  #stream: Duplex<Ping, Pong> | undefined;
  #closed = false;
  #sequence = 0;

  constructor(network: Network, address: string, shepherd: Shepherd) {
    this.#network = network;
    this.address = address;
    this.#shepherd = shepherd;
    void this.#observe();
  }

  async #observe(): Promise<void> {
    while (!this.#closed) {
      const stream = this.#network.duplex(this.address, replicaMethods.observe, {
        timeout: micros(10_000_000),
      });
      this.#stream = stream;
      const greeting = {
        cluster: CLUSTER,
        featureLevelMin: 1,
        featureLevelMax: 1,
        sender: 'shepherd',
      };
      stream.send(this.#ping(greeting));
      const timer = setInterval(() => {
        if (!this.silent) stream.send(this.#ping());
      }, PING_MILLIS);
      try {
        for await (const pong of stream.incoming) this.#take(pong);
      } catch (error) {
        if (!(error instanceof JournalError)) throw error;
        this.pong = undefined;
      } finally {
        clearInterval(timer);
        stream.cancel();
      }
      await sleep(PING_MILLIS);
    }
  }

  #ping(hello?: Ping['hello']): Ping {
    this.#sequence += 1;
    const started = (this.hello?.incarnation ?? 0) > 0;
    const configurations = started ? [...this.#shepherd.configurations.values()] : [];
    return {
      sequence: this.#sequence,
      hello,
      directives: [
        ...configurations.map((configuration) => ({ kind: 'configure', configuration }) as const),
        ...this.directives,
      ],
      featureLevel: this.featureLevel,
      controllers: [],
    };
  }

  #take(pong: Pong): void {
    this.pong = pong;
    if (pong.hello !== undefined) {
      this.hello = pong.hello;
      this.reports.clear();
    }
    for (const report of pong.reports) this.reports.set(report.journal, report);
    for (const journal of pong.gone) this.reports.delete(journal);
  }

  close(): void {
    this.#closed = true;
    this.#stream?.cancel();
  }
}

const sleep = (millis: number): Promise<void> =>
  new Promise((resolve) => {
    nodeClock.after(micros(millis * 1_000), resolve);
    // The clock of io/ keeps nothing running; a test does.
    setTimeout(resolve, millis);
  });

/** Looks again and again until `what` holds. */
export async function until(what: string, holds: () => boolean, millis = 30_000): Promise<void> {
  const end = Date.now() + millis;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${millis} ms: ${what}`);
    await sleep(5);
  }
}

/** As `until`, for what has to be asked. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean>,
  millis = 30_000,
): Promise<void> {
  const end = Date.now() + millis;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${millis} ms: ${what}`);
    await sleep(20);
  }
}
