// The journals of this replica: opened from the volume, made and changed by what the controllers
// decide, dropped by their tombstones.
//
// Metadata of the volume: `journal/<id>` what the machine saved, `known/<id>` the newest
// configuration heard of, `deleted/<id>` the tombstone, so that no late message brings it back.

import type { Logger } from '../io/logger.ts';
import type { Base, JournalLog, Volume } from '../log/log.ts';
import type { Metadata } from '../log/metadata.ts';
import type { ChainRecord, ChainReport } from '../protocol/chain/messages.ts';
import { reportUnopened } from '../protocol/chain/state.ts';
import { snapshotTables, tablesFrom } from '../protocol/chain/tables.ts';
import {
  type Configuration,
  compareConfigurations,
  findMember,
  type Member,
  type MemberKey,
  order,
} from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import {
  after,
  type Epoch,
  type JournalId,
  journalId,
  type Lsn,
  NO_EPOCH,
  NO_LSN,
} from '../protocol/types.ts';
import type { Driver } from './drive/driver.ts';
import { recordKey } from './drive/durable.ts';
import { Host } from './drive/host.ts';

export interface JournalsParts {
  readonly logger: Logger;
  readonly volume: Volume;
  readonly metadata: Metadata;
  readonly driver: Driver;
  /** Copies committed entries from a serving member until the host is a member itself. */
  follow(host: Host, source: Member): void;
  /** Tries once to mend what is damaged in a log, and pauses. */
  mend(log: JournalLog): Promise<void>;
  /** The peers that any journal names changed. */
  peersChanged(): void;
  /** A newer configuration came, or a tombstone. */
  heard(configuration: Configuration): void;
}

interface Opening {
  readonly log: JournalLog;
  readonly record: ChainRecord | null;
  readonly known: Configuration | null;
}

/** A log that no peer could mend so often is given up where a member offers its own. */
const MEND_ATTEMPTS = 3;

export interface RepairTarget {
  readonly log: JournalLog;
  readonly configuration: Configuration | null;
  /** What may be trimmed: a log that is not open yet goes by what its peers did. */
  readonly committedLsn: Lsn;
}

export class Journals {
  readonly #parts: JournalsParts;
  #me: MemberKey;
  readonly #hosts = new Map<JournalId, Host>();
  readonly #names = new Map<string, Host>();
  readonly #tombstones = new Map<JournalId, Configuration>();
  /** Journals that cannot be opened before a peer has mended their log. */
  readonly #damaged = new Map<JournalId, Opening>();
  /** How often each of those was tried. */
  readonly #attempts = new Map<JournalId, number>();
  /** The tries that are under way; none of them rejects. */
  readonly #mending = new Map<JournalId, Promise<void>>();
  /** One order at a time: what the controllers say arrives on several streams. */
  #orders: Promise<unknown> = Promise.resolve();

  /** `me` names incarnation 0 until `begin`: reports can be given, nothing is taken part in. */
  constructor(parts: JournalsParts, me: MemberKey) {
    this.#parts = parts;
    this.#me = me;
  }

  /** Opens what the volume holds. */
  async open(): Promise<void> {
    const { metadata } = this.#parts;
    for (const key of metadata.keys('deleted/')) {
      const tombstone = readJson<Configuration>(metadata.get(key));
      if (tombstone !== null) this.#tombstones.set(tombstone.journal, tombstone);
    }
    await this.#openHosts();
  }

  /** The process has its incarnation: the machines are made anew under it. */
  async begin(me: MemberKey): Promise<void> {
    this.#me = me;
    await this.#openHosts();
  }

  async #openHosts(): Promise<void> {
    const { volume, metadata } = this.#parts;
    for (const host of this.all()) this.#parts.driver.remove(host);
    const named = ['journal/', 'known/'].flatMap((prefix) =>
      metadata.keys(prefix).map((key) => journalId(key.slice(prefix.length))),
    );
    for (const journal of new Set([...named, ...volume.journals().map((log) => log.journal)])) {
      if (this.#tombstones.has(journal)) {
        // The process ended between the tombstone and the drop.
        if (volume.find(journal) !== undefined) await volume.drop(journal);
        continue;
      }
      const record = readRecord(metadata.get(recordKey({ journal })));
      const known = readJson<Configuration>(metadata.get(`known/${journal}`));
      const newest = newer(known, record?.configuration ?? null);
      if (newest === null && volume.find(journal) === undefined) continue;
      await this.#open(journal, record, newest);
    }
  }

  /** Null where the log is damaged: then the journal opens by itself once that is mended. */
  async #open(
    journal: JournalId,
    record: ChainRecord | null,
    known: Configuration | null,
  ): Promise<Host | null> {
    const { volume } = this.#parts;
    const base = known === null ? undefined : firstBase(known);
    const log = volume.find(journal) ?? volume.create(journal, base);
    const opening = { log, record, known };
    try {
      return await this.#host(opening);
    } catch (error) {
      if (!(error instanceof JournalError) || error.code !== 'DAMAGED') throw error;
      if (!this.#damaged.has(journal)) {
        const mending = this.#mend(opening).catch((failure: unknown) => {
          const { logger } = this.#parts;
          logger.error({ journal, error: String(failure) }, 'a damaged log cannot be opened');
        });
        this.#mending.set(journal, mending);
      }
      this.#damaged.set(journal, opening);
      return null;
    }
  }

  async #host({ log, record, known }: Opening): Promise<Host> {
    const tables = log.recoveredTables();
    const { trimmedLsn } = await log.base();
    const host = new Host({ log, record, known, tables, trimmedLsn }, this.#me);
    this.#hosts.set(host.journal, host);
    this.#names.set(host.name, host);
    this.#parts.driver.add(host);
    return host;
  }

  async #mend({ log }: Opening): Promise<void> {
    const { journal } = log;
    this.#attempts.set(journal, 0);
    for (;;) {
      await this.#parts.mend(log);
      this.#attempts.set(journal, (this.#attempts.get(journal) ?? 0) + 1);
      // An order may just be giving the log up: it is opened before that, or not at all.
      if (await this.#order(() => this.#mended(log))) return;
    }
  }

  /** False where some of it is still bad. */
  async #mended(log: JournalLog): Promise<boolean> {
    const { driver, peersChanged } = this.#parts;
    const { journal } = log;
    const opening = this.#damaged.get(journal);
    if (opening === undefined || driver.halted !== null) return true;
    if (log.damages().length > 0) return false;
    this.#damaged.delete(journal);
    await this.#open(journal, opening.record, opening.known);
    peersChanged();
    return true;
  }

  /** What is needed to mend the log of a journal, open or not. */
  repairable(journal: JournalId): RepairTarget | undefined {
    const host = this.#hosts.get(journal);
    if (host !== undefined) {
      const { log, state, known, committedLsn } = host;
      return { log, configuration: state.record?.configuration ?? known, committedLsn };
    }
    const opening = this.#damaged.get(journal);
    if (opening === undefined) return undefined;
    const { log, known } = opening;
    return { log, configuration: known, committedLsn: log.durableLsn };
  }

  all(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  find(journal: JournalId): Host | undefined {
    return this.#hosts.get(journal);
  }

  byName(name: string): Host | undefined {
    return this.#names.get(name);
  }

  /** What the controllers are told of journals that wait for their logs to be mended. */
  unopened(): readonly ChainReport[] {
    return [...this.#damaged.values()].map(({ log, record }) =>
      reportUnopened(log.journal, record, log.shape()),
    );
  }

  /** Newest configuration of each journal that this volume has heard of, tombstones too. */
  inventory(): readonly Configuration[] {
    const openings = [...this.all(), ...this.#damaged.values()];
    const known = openings.flatMap((one) => (one.known === null ? [] : [one.known]));
    return [...known, ...this.#tombstones.values()];
  }

  /** Addresses of all peers that a journal of this replica has. */
  peers(): ReadonlySet<string> {
    const addresses = new Set<string>();
    const records = this.all().flatMap(({ state }) => state.record?.configuration ?? []);
    const known = [...this.all(), ...this.#damaged.values()].flatMap((one) => one.known ?? []);
    for (const member of [...records, ...known].flatMap(order)) {
      if (member.store !== this.#me.store) addresses.add(member.address);
    }
    return addresses;
  }

  #order<Result>(task: () => Promise<Result>): Promise<Result> {
    const done = this.#orders.then(task);
    this.#orders = done.catch(() => undefined);
    return done;
  }

  /** The control plane decided this. One that does not name this replica makes no journal here. */
  configure(configuration: Configuration): Promise<void> {
    return this.#order(() => this.#configure(configuration));
  }

  /** Catch up from `source`, without being a member. */
  learn(configuration: Configuration, source: Member): Promise<void> {
    return this.#order(() => this.#learn(configuration, source));
  }

  async #configure(configuration: Configuration): Promise<void> {
    const { journal } = configuration;
    if (this.#tombstones.has(journal)) return;
    if (configuration.deleted) {
      await this.#delete(configuration);
      return;
    }
    const host = this.#hosts.get(journal) ?? (await this.#make(configuration));
    if (host === null) return;
    this.#hear(host, configuration);
    this.#parts.driver.post(host, { kind: 'configure', configuration });
  }

  async #learn(configuration: Configuration, source: Member): Promise<void> {
    const { journal } = configuration;
    if (this.#tombstones.has(journal) || configuration.deleted) return;
    if (this.#damaged.has(journal) && !(await this.#giveUp(journal))) return;
    const host = this.#hosts.get(journal) ?? (await this.#open(journal, null, configuration));
    if (host === null) return;
    this.#hear(host, configuration);
    this.#parts.driver.post(host, { kind: 'learn', configuration });
    this.#parts.follow(host, source);
  }

  /**
   * The journal goes on without this replica, and what it holds cannot be mended: its peers have
   * trimmed the range, or never committed it. The log is kept aside, and all is copied anew.
   */
  async #giveUp(journal: JournalId): Promise<boolean> {
    const opening = this.#damaged.get(journal);
    if (opening === undefined) return true;
    if ((this.#attempts.get(journal) ?? 0) < MEND_ATTEMPTS) return false;
    this.#parts.logger.error({ journal }, 'a damaged log is put aside, and copied from a member');
    await opening.log.setAside();
    this.#damaged.delete(journal);
    return true;
  }

  wedge(journal: JournalId, epoch: Epoch): void {
    const host = this.#hosts.get(journal);
    if (host !== undefined) this.#parts.driver.post(host, { kind: 'wedge', epoch });
  }

  async #make(configuration: Configuration): Promise<Host | null> {
    const { journal } = configuration;
    if (findMember(configuration, this.#me) === undefined || this.#damaged.has(journal)) {
      return null;
    }
    return await this.#open(journal, null, configuration);
  }

  #hear(host: Host, configuration: Configuration): void {
    const { metadata, logger, peersChanged, heard } = this.#parts;
    const fresh = host.known === configuration;
    if (!host.hear(configuration) && !fresh) return;
    this.#names.set(configuration.name, host);
    peersChanged();
    heard(configuration);
    const { journal, name, lineage, epoch } = configuration;
    logger.info({ journal, name, lineage, epoch }, 'a configuration came');
    const saving = metadata.save(new Map([[`known/${journal}`, toJson(configuration)]]));
    // Only names and settings of journals that this replica does not serve hang on it.
    saving.catch((error: unknown) => {
      logger.warn({ journal, error: String(error) }, 'a configuration was not saved');
      this.#parts.driver.unsaved(error);
    });
  }

  async #delete(tombstone: Configuration): Promise<void> {
    const { journal, name } = tombstone;
    const host = this.#hosts.get(journal);
    // One that waits to be mended is here as well.
    const held = host ?? this.#damaged.get(journal);
    if (held === undefined) return;
    if (held.known !== null && compareConfigurations(tombstone, held.known) < 0) return;
    const { driver, metadata, logger, peersChanged, heard } = this.#parts;
    // First of all the tombstone: whatever comes after it may be done again at the next start.
    await metadata.save(new Map([[`deleted/${journal}`, toJson(tombstone)]]));
    this.#tombstones.set(journal, tombstone);
    if (host !== undefined) driver.remove(host);
    this.#hosts.delete(journal);
    this.#damaged.delete(journal);
    if (this.#names.get(name) === host) this.#names.delete(name);
    await host?.disk;
    await metadata.save(
      new Map([
        [`known/${journal}`, null],
        [recordKey({ journal }), null],
      ]),
    );
    peersChanged();
    heard(tombstone);
    await this.#drop(journal);
    logger.info({ journal, name }, 'a journal was deleted');
  }

  /** Behind a repair that is under way, which other orders do not wait for. */
  async #drop(journal: JournalId): Promise<void> {
    const { driver, volume, logger } = this.#parts;
    const drop = (): Promise<void> => driver.whenRoom(() => volume.drop(journal));
    const mending = this.#mending.get(journal);
    if (mending === undefined) return await drop();
    this.#mending.delete(journal);
    void mending.then(drop).catch((error: unknown) => {
      // The next start sees the tombstone and drops it.
      logger.error({ journal, error: String(error) }, 'a damaged log was not dropped');
    });
  }
}

/** What an empty log starts from: right below the first position, with the limits it was given. */
function firstBase(configuration: Configuration): Base {
  const { journal, firstLsn, settings } = configuration;
  const at = after(firstLsn, -1);
  const tables = snapshotTables(tablesFrom(at, settings.limits));
  return { journal, lsn: at, epoch: NO_EPOCH, crc: 0, trimmedLsn: at, tables };
}

function newer(one: Configuration | null, other: Configuration | null): Configuration | null {
  if (one === null || other === null) return one ?? other;
  return compareConfigurations(one, other) >= 0 ? one : other;
}

const toJson = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** `elderLsn` came later than the other fields: where it was not saved there is nothing elder. */
function readRecord(bytes: Uint8Array | undefined): ChainRecord | null {
  type Saved = Omit<ChainRecord, 'elderLsn'> & Partial<Pick<ChainRecord, 'elderLsn'>>;
  const saved = readJson<Saved>(bytes);
  return saved === null ? null : { elderLsn: NO_LSN, ...saved };
}

function readJson<Value>(bytes: Uint8Array | undefined): Value | null {
  if (bytes === undefined) return null;
  // cast: metadata are only ever written by this room, under a checksum.
  return JSON.parse(new TextDecoder().decode(bytes)) as Value;
}
