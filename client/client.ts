// A client of one cluster: its journals, and what is asked of the cluster as a whole.

import type { Cancel, Clock } from '../io/clock.ts';
import { type Logger, silent } from '../io/logger.ts';
import type { Method, Network } from '../io/network.ts';
import { hash128 } from '../io/node-hash.ts';
import type { Random } from '../io/random.ts';
import { FIRST_LSN_LIMIT, type JournalSettings } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import {
  FIRST_LSN,
  type JournalId,
  journalId,
  lsn,
  type Micros,
  RangeViolation,
  zone,
} from '../protocol/types.ts';
import { partialSettingsIn, settingsOut } from '../transport/convert/configuration.ts';
import { clusterMethods, journalMethods } from '../transport/methods.ts';
import type {
  AdminAnswer,
  AdminRequest,
  ClusterStatus,
  JournalDescription,
} from '../transport/public.ts';
import { ask, QUICK_MICROS, SLOW_MICROS, type World } from './calls.ts';
import { type CallOptions, checked, checkName, checkTimeout, whole } from './input.ts';
import { type Defaults, Journal, within } from './journal.ts';
import { hear, learn, openRouting } from './routing.ts';
import { asJournalError, Holds } from './waiting.ts';

/** What every client is told. */
export interface ClientOptions {
  /** Some of the cluster's replicas, `host:port`, at least one; the others are found through them. */
  readonly endpoints: readonly string[];
  /** How long a call may take, tries included, milliseconds; 10,000 by default. */
  readonly timeoutMillis?: number | undefined;
  /** Where this process runs: reads and subscriptions go to a replica of the same zone. */
  readonly zone?: string | undefined;
  /** What a lease says of its holder, for people to read. */
  readonly node?: string | undefined;
  /** Silent by default. */
  readonly logger?: Logger | undefined;
}

/** A client over seams that the caller gives: the simulator's, or a network of one's own. */
export interface ClientSeams extends ClientOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Closed with the client. */
  readonly network: Network;
  /** Keeps the process running while a call is on its way; the result lets it go. */
  readonly hold?: (() => Cancel) | undefined;
}

export interface CreateOptions extends CallOptions {
  /** Answers what is there, whatever its settings, instead of ALREADY_EXISTS. */
  readonly ifAbsent?: boolean | undefined;
  /** What is left out takes its default. */
  readonly settings?: Partial<JournalSettings> | undefined;
  /** Position of the first record, for imports; 1 by default. */
  readonly firstLsn?: number | undefined;
}

export interface JournalName {
  readonly name: string;
  readonly id: JournalId;
}

const TIMEOUT_MILLIS = 10_000;
const ENDPOINTS_MAX = 100;
const ENDPOINT = /^(?:\[[0-9a-f:.]+\]|[^\s:,/[\]]+):(\d{1,5})$/i;
const ENDPOINT_ALLOWED = 'host:port with a port from 1 to 65535';

/** Opens a client; nothing is sent before the first call. INVALID_ARGUMENT names what is wrong. */
export function connectWith(seams: ClientSeams): Client {
  const { clock, random, network, logger = silent } = seams;
  const { endpoints, timeoutMillis, inZone } = checked(() => ({
    endpoints: checkEndpoints(seams.endpoints),
    timeoutMillis: checkTimeout(seams.timeoutMillis ?? TIMEOUT_MILLIS),
    inZone: seams.zone === undefined ? null : zone(seams.zone),
  }));
  const routing = openRouting(endpoints, inZone);
  const holds = new Holds(seams.hold ?? (() => () => undefined));
  const hold = (): Cancel => holds.take();
  const node = seams.node ?? `client-${random.hex(4)}`;
  const world = { clock, random, network, logger, routing, hold };
  return new Client(world, { timeoutMillis, node }, holds);
}

function checkEndpoints(endpoints: readonly string[]): readonly string[] {
  // What JavaScript passes may be anything, whatever the type says.
  const count = isList(endpoints) ? endpoints.length : 0;
  if (count === 0 || count > ENDPOINTS_MAX) {
    const given = isList(endpoints) ? `${count} of them` : typeof endpoints;
    throw new RangeViolation('endpoints', given, `1 to ${ENDPOINTS_MAX} of ${ENDPOINT_ALLOWED}`);
  }
  for (const [index, endpoint] of endpoints.entries()) {
    const port = Number(ENDPOINT.exec(String(endpoint))?.[1] ?? 0);
    if (port >= 1 && port <= 65_535) continue;
    throw new RangeViolation(`endpoints[${index}]`, String(endpoint), ENDPOINT_ALLOWED);
  }
  return [...endpoints];
}

const isList = (value: unknown): boolean => Array.isArray(value);

export class Client implements AsyncDisposable {
  readonly #world: World;
  readonly #holds: Holds;
  readonly #defaults: Defaults;
  readonly #closing = new AbortController();
  readonly #journals = new Map<string, Journal>();

  constructor(
    world: World,
    { timeoutMillis, node }: Pick<Defaults, 'timeoutMillis' | 'node'>,
    holds: Holds,
  ) {
    this.#world = world;
    this.#holds = holds;
    this.#defaults = { timeoutMillis, node, hash: hash128, closing: this.#closing.signal };
  }

  /** A handle; whether the journal exists shows with its first call. */
  journal(name: string): Journal {
    checked(() => checkName(name));
    const known = this.#journals.get(name);
    if (known !== undefined) return known;
    const journal = new Journal(this.#world, this.#defaults, name);
    this.#journals.set(name, journal);
    return journal;
  }

  /** ALREADY_EXISTS, with `outcome: 'unknown'` where an earlier try may have made it. */
  async createJournal(name: string, options: CreateOptions = {}): Promise<JournalDescription> {
    const { ifAbsent = false, settings = {} } = options;
    const firstLsn = checked(() => {
      checkName(name);
      partialSettingsIn(settingsOut(settings));
      return lsn(whole('firstLsn', options.firstLsn ?? FIRST_LSN, FIRST_LSN, FIRST_LSN_LIMIT));
    });
    const id = journalId(this.#world.random.hex(16));
    const request = { name, ifAbsent, settings, firstLsn, journalId: id };
    const { createJournal } = journalMethods;
    const made = await this.#ask(createJournal, request, options, SLOW_MICROS);
    learn(this.#world.routing, made.configuration);
    return made;
  }

  /** Drops the journal and all its records, for good. NOT_FOUND. */
  async deleteJournal(name: string, options: CallOptions = {}): Promise<void> {
    checked(() => checkName(name));
    try {
      const { deleteJournal } = journalMethods;
      await this.#ask(deleteJournal, { journal: name }, options, SLOW_MICROS);
    } catch (caught) {
      const { code, outcome } = asJournalError(caught);
      // An earlier try, whose answer was lost, may have done it: it is gone, as was asked.
      if (code !== 'NOT_FOUND' || outcome !== 'unknown') throw caught;
    }
    this.#world.routing.configurations.delete(name);
  }

  async listJournals(options: CallOptions = {}): Promise<readonly JournalName[]> {
    return (await this.#ask(journalMethods.listJournals, {}, options)).names;
  }

  /** Settings, members, positions and cursors of a journal. NOT_FOUND. */
  async describeJournal(name: string, options: CallOptions = {}): Promise<JournalDescription> {
    checked(() => checkName(name));
    // Cursors are answered by the head alone.
    return await within(this.#world, this.#defaults, options, (deadline) =>
      ask(this.#world, {
        method: journalMethods.describeJournal,
        request: { journal: name },
        journal: name,
        preference: 'head',
        writes: false,
        patience: QUICK_MICROS,
        deadline,
      }),
    );
  }

  /** Every process and journal of the cluster, as far as they can be reached. */
  async status(options: CallOptions = {}): Promise<ClusterStatus> {
    const status = await this.#ask(clusterMethods.status, {}, options);
    const replicas = status.processes.filter(({ kind }) => kind === 'replica');
    hear(
      this.#world.routing,
      replicas.map(({ address }) => address),
    );
    return status;
  }

  /** What only an operator asks; PERMISSION_DENIED for others. */
  admin(request: AdminRequest, options: CallOptions = {}): Promise<AdminAnswer> {
    return this.#ask(clusterMethods.admin, this.#numbered(request), options, SLOW_MICROS);
  }

  /** It is sent again where its answer was lost: no copy may undo what was ordered after it. */
  #numbered(request: AdminRequest): AdminRequest {
    if (request.kind === 'moveHead' || request.kind === 'controllerReplace') return request;
    return { requestId: this.#world.random.hex(16), ...request };
  }

  /** Gives up what is under way and closes the connections. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new JournalError('CANCELLED', 'the client was closed'));
    try {
      await this.#world.network.close();
    } finally {
      this.#holds.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ask<Q, A>(
    method: Method<Q, A, 'unary'>,
    request: Q,
    options: CallOptions,
    /** Given for what changes the cluster: it goes through the controllers. */
    patience?: Micros,
  ): Promise<A> {
    return within(this.#world, this.#defaults, options, (deadline) =>
      ask(this.#world, {
        method,
        request,
        journal: null,
        preference: 'nearest',
        writes: patience !== undefined,
        patience: patience ?? QUICK_MICROS,
        deadline,
      }),
    );
  }
}
