// What a client asks of the cluster through any replica: journals made, deleted, listed, the state
// of everything, and the orders of operators. The controllers decide; each order is logged here
// with who gave it.

import type { Logger } from '../../io/logger.ts';
import { type CallContext, type Handler, unary } from '../../io/network.ts';
import type { Random } from '../../io/random.ts';
import {
  type Configuration,
  DEFAULT_SETTINGS,
  type JournalSettings,
} from '../../protocol/configuration.ts';
import { ERROR_CODES, type ErrorCode, JournalError } from '../../protocol/errors.ts';
import { after, FIRST_LSN, journalId, type Lsn, micros, NO_LSN } from '../../protocol/types.ts';
import type { RegisterAnswer, RegisterChange } from '../../transport/control.ts';
import { clusterMethods, controllerMethods, journalMethods } from '../../transport/methods.ts';
import type {
  AdminAnswer,
  AdminRequest,
  ClusterStatus,
  CreateJournalRequest,
  JournalDescription,
  JournalNames,
  Named,
  Nothing,
} from '../../transport/public.ts';
import type { Controllers } from '../controllers.ts';
import type { Access } from './access.ts';
import type { Directory } from './directory.ts';

const CHANGE = micros(20_000_000);
const QUESTION = micros(5_000_000);

export interface AdminParts {
  readonly logger: Logger;
  readonly random: Random;
  readonly access: Access;
  readonly controllers: Controllers;
  readonly directory: Directory;
  /** For journals that are created without them; else those of protocol/configuration.ts. */
  readonly defaults: Partial<JournalSettings>;
}

export function adminHandlers(parts: AdminParts): readonly Handler[] {
  const service = new AdminService(parts);
  return [
    unary(journalMethods.createJournal, (request, context) => service.create(request, context)),
    unary(journalMethods.deleteJournal, (request, context) => service.delete(request, context)),
    unary(journalMethods.listJournals, (_, context) => service.list(context)),
    unary(clusterMethods.status, (_, context) => service.status(context)),
    unary(clusterMethods.admin, (request, context) => service.admin(request, context)),
  ];
}

class AdminService {
  readonly #parts: AdminParts;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  async create(request: CreateJournalRequest, context: CallContext): Promise<JournalDescription> {
    const { access, random, directory } = this.#parts;
    const { name, ifAbsent, firstLsn } = request;
    access(context, 'admin', name);
    this.#log(context, { kind: 'createJournal', ...request });
    const settings = settle(request.settings, this.#parts.defaults);
    const journal = request.journalId ?? journalId(random.hex(16));
    const change = { kind: 'createJournal', journal, name, settings, firstLsn } as const;
    try {
      const answer = await this.#change(change, context);
      directory.forget(name);
      if (answer.kind === 'configuration') return describe(answer.configuration);
      throw unexpected(answer);
    } catch (error) {
      if (!(error instanceof JournalError) || error.code !== 'ALREADY_EXISTS') throw error;
      directory.forget(name);
      const present = await directory.find(name);
      // Ours, made by an attempt whose answer was lost, or one that is welcome.
      if (present !== null && (ifAbsent || present.journal === journal)) return describe(present);
      throw error;
    }
  }

  async delete({ journal }: Named, context: CallContext): Promise<Nothing> {
    this.#parts.access(context, 'admin', journal);
    const { directory } = this.#parts;
    this.#log(context, { kind: 'deleteJournal', name: journal });
    // By its id: the question is repeated, and a copy of it that comes late must not take away what
    // was made under the name since.
    directory.forget(journal);
    const present = await directory.find(journal);
    if (present === null) throw new JournalError('NOT_FOUND', `no journal is called ${journal}`);
    const which = { name: journal, journal: present.journal };
    await this.#change({ kind: 'deleteJournal', ...which }, context);
    directory.forget(journal);
    return {};
  }

  async list(context: CallContext): Promise<JournalNames> {
    this.#parts.access(context, 'read', null);
    const options = { timeout: QUESTION, signal: context.signal };
    const lookup = { name: '' };
    const { configurations } = await this.#parts.controllers.ask(
      controllerMethods.journals,
      lookup,
      options,
    );
    const names = configurations.map(({ name, journal: id }) => ({ name, id }));
    return { names: names.sort((one, other) => (one.name < other.name ? -1 : 1)) };
  }

  async status(context: CallContext): Promise<ClusterStatus> {
    this.#parts.access(context, 'read', null);
    const options = { timeout: QUESTION, signal: context.signal };
    return await this.#parts.controllers.ask(controllerMethods.status, {}, options);
  }

  async admin(request: AdminRequest, context: CallContext): Promise<AdminAnswer> {
    this.#parts.access(context, 'admin', null);
    this.#log(context, request);
    const options = { timeout: CHANGE, signal: context.signal };
    const answer = await this.#parts.controllers.ask(controllerMethods.admin, request, options);
    this.#parts.logger.info({ kind: request.kind, done: answer.done }, 'an order was carried out');
    return answer;
  }

  async #change(change: RegisterChange, context: CallContext): Promise<RegisterAnswer> {
    const options = { timeout: CHANGE, signal: context.signal };
    const answer = await this.#parts.controllers.ask(controllerMethods.change, change, options);
    if (answer.kind !== 'refused') return answer;
    throw new JournalError(knownCode(answer.code), answer.message);
  }

  #log({ identities, peer }: CallContext, request: object): void {
    this.#parts.logger.info({ identities, peer, request }, 'an operator gave an order');
  }
}

/** A code that only a newer controller knows says no more than that it refused. */
export function knownCode(code: string): ErrorCode {
  // cast: hasOwn has just shown that the code is one of the keys.
  return Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'INTERNAL';
}

function unexpected(answer: RegisterAnswer): JournalError {
  return new JournalError('INTERNAL', `a controller answered ${answer.kind}`);
}

/** The settings of a new journal: what was left out follows what was given. */
function settle(
  given: Partial<JournalSettings>,
  defaults: Partial<JournalSettings>,
): JournalSettings {
  const usual = { ...DEFAULT_SETTINGS, ...defaults };
  const { replicationFactor = usual.replicationFactor } = given;
  const minReplicas = given.minReplicas ?? Math.min(usual.minReplicas, replicationFactor);
  if (minReplicas > replicationFactor) {
    throw invalid('min_replicas', minReplicas, `at most replication_factor, ${replicationFactor}`);
  }
  const recordBytesMax =
    given.recordBytesMax ??
    Math.min(DEFAULT_SETTINGS.recordBytesMax, given.batchBytesMax ?? Number.POSITIVE_INFINITY);
  const batchBytesMax =
    given.batchBytesMax ?? Math.max(DEFAULT_SETTINGS.batchBytesMax, recordBytesMax);
  if (batchBytesMax < recordBytesMax) {
    throw invalid('batch_bytes_max', batchBytesMax, `at least record_bytes_max, ${recordBytesMax}`);
  }
  const settled = { replicationFactor, minReplicas, recordBytesMax, batchBytesMax };
  return { ...DEFAULT_SETTINGS, ...given, ...settled };
}

function invalid(field: string, value: number, allowed: string): JournalError {
  return new JournalError('INVALID_ARGUMENT', `${field} is ${value}, allowed is ${allowed}`);
}

/** A journal that was just made, or that nobody has been asked about. */
function describe(configuration: Configuration): JournalDescription {
  const { firstLsn = FIRST_LSN } = configuration;
  const end: Lsn = firstLsn > NO_LSN ? after(firstLsn, -1) : NO_LSN;
  return { configuration, firstLsn, tailLsn: end, committedLsn: end, bytes: 0, cursors: [] };
}
