// What the registers said last: every decision begins here, and is checked by the register's CAS.
//
// Read whole at the start and now and then; in between one key at a time, when it is hinted that
// it changed (by our own acceptor, by another controller, by a member that knows a newer epoch).

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import { type Configuration, compareConfigurations } from '../../protocol/configuration.ts';
import { type JournalId, type Micros, micros, type StoreId } from '../../protocol/types.ts';
import { FEATURE_LEVEL_MIN, TIMING } from './config.ts';
import {
  decodeConfiguration,
  decodeFeature,
  decodeGrant,
  decodeName,
  decodeNode,
  FEATURE_KEY,
  type GrantRecord,
  isRebuilding,
  type NameRecord,
  type NodeRecord,
  RECOVERY_KEY,
} from './register/records.ts';
import type { Register } from './register/register.ts';

const GATHER = micros(5_000);
const RETRY = micros(200_000);
const RECENT = 2_000_000;
const PREFIXES = ['journal/', 'node/', 'member/', 'name/'];
const SINGLE = [FEATURE_KEY, RECOVERY_KEY];

export interface CatalogParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly register: Register;
  readonly onConfiguration: (next: Configuration, before: Configuration | null) => void;
  readonly onNode: (node: NodeRecord) => void;
  readonly onGrant: () => void;
}

export class Catalog {
  readonly #parts: CatalogParts;
  readonly #configurations = new Map<JournalId, { value: Configuration; at: Micros }>();
  readonly #nodes = new Map<StoreId, NodeRecord>();
  readonly #grants = new Map<string, GrantRecord>();
  readonly #names = new Map<string, NameRecord>();
  readonly #touched = new Set<string>();
  #reading = false;
  #closed = false;
  feature = FEATURE_LEVEL_MIN;
  /** The registers are being rebuilt: nothing may be decided from them. */
  rebuilding = false;
  /** All registers were read once. */
  complete = false;

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  close(): void {
    this.#closed = true;
  }

  configuration(journal: JournalId): Configuration | undefined {
    return this.#configurations.get(journal)?.value;
  }

  /** When it was learned here. */
  decidedAt(journal: JournalId): Micros {
    return this.#configurations.get(journal)?.at ?? micros(0);
  }

  /** Our own loop was late: what was decided lately was so for a shorter time. */
  excuse(late: Micros): void {
    const now = this.#parts.clock.now();
    for (const entry of this.#configurations.values()) {
      if (now - entry.at < RECENT) entry.at = micros(Math.min(now, entry.at + late));
    }
  }

  configurations(): readonly Configuration[] {
    return [...this.#configurations.values()].map(({ value }) => value);
  }

  node(store: StoreId): NodeRecord | undefined {
    return this.#nodes.get(store);
  }

  nodes(): readonly NodeRecord[] {
    return [...this.#nodes.values()];
  }

  grant(member: string): GrantRecord | undefined {
    return this.#grants.get(member);
  }

  grants(): readonly GrantRecord[] {
    return [...this.#grants.values()];
  }

  names(): readonly NameRecord[] {
    return [...this.#names.values()];
  }

  /** Reads all registers, and again every few seconds. */
  async start(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#readAll();
        this.complete = true;
        return;
      } catch (error) {
        this.#parts.logger.warn({ error: String(error) }, 'the registers were not read yet');
        await this.#wait(RETRY);
      }
    }
  }

  async keepFresh(): Promise<void> {
    while (!this.#closed) {
      await this.#wait(TIMING.refresh);
      if (this.#closed) return;
      await this.#readAll().catch((error: unknown) => {
        this.#parts.logger.warn({ error: String(error) }, 'the registers were not read again');
      });
    }
  }

  async #readAll(): Promise<void> {
    const { register } = this.#parts;
    const lists = await Promise.all(PREFIXES.map((prefix) => register.readAll(prefix)));
    for (const list of lists) for (const [key, value] of list) this.note(key, value);
    const singles = await Promise.all(SINGLE.map((key) => register.read(key)));
    for (const [at, key] of SINGLE.entries()) this.note(key, singles[at] ?? null);
  }

  /** A register may have changed: reads it, soon, with all that are touched meanwhile. */
  touch(key: string): void {
    if (!PREFIXES.some((prefix) => key.startsWith(prefix)) && !SINGLE.includes(key)) return;
    this.#touched.add(key);
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    void this.#readTouched();
  }

  async #readTouched(): Promise<void> {
    const { register, logger } = this.#parts;
    while (this.#touched.size > 0 && !this.#closed) {
      await this.#wait(GATHER);
      const keys = [...this.#touched];
      this.#touched.clear();
      const read = async (key: string): Promise<void> => this.note(key, await register.read(key));
      const results = await Promise.allSettled(keys.map(read));
      for (const [at, result] of results.entries()) {
        const key = keys[at];
        if (result.status === 'fulfilled' || key === undefined) continue;
        logger.debug({ key, error: String(result.reason) }, 'a register was not read');
        this.#touched.add(key);
      }
      if (results.some(({ status }) => status === 'rejected')) await this.#wait(RETRY);
    }
    this.#reading = false;
  }

  /** A value that is known to be decided. Older ones that come late are passed over. */
  note(key: string, value: string | null): void {
    if (key === RECOVERY_KEY) this.#noteRecovery(isRebuilding(value));
    else if (key === FEATURE_KEY) this.feature = Math.max(this.feature, decodeFeature(value));
    else if (value === null) return;
    else if (key.startsWith('journal/')) this.#noteConfiguration(decodeConfiguration(value));
    else if (key.startsWith('node/')) this.#noteNode(decodeNode(value));
    else if (key.startsWith('member/')) {
      const grant = decodeGrant(value);
      if ((this.#grants.get(grant.member)?.revision ?? 0) >= grant.revision) return;
      this.#grants.set(grant.member, grant);
      this.#parts.onGrant();
    } else if (key.startsWith('name/')) {
      const name = decodeName(value);
      if ((this.#names.get(name.name)?.revision ?? 0) >= name.revision) return;
      this.#names.set(name.name, name);
    }
  }

  /** What was rebuilt may not have been hinted at, one key at a time. */
  #noteRecovery(open: boolean): void {
    const over = this.rebuilding && !open;
    this.rebuilding = open;
    if (over) void this.start();
  }

  #noteConfiguration(next: Configuration): void {
    const before = this.#configurations.get(next.journal)?.value ?? null;
    if (before !== null && compareConfigurations(next, before) <= 0) return;
    this.#configurations.set(next.journal, { value: next, at: this.#parts.clock.now() });
    this.#parts.onConfiguration(next, before);
  }

  #noteNode(next: NodeRecord): void {
    const before = this.#nodes.get(next.store);
    if (before !== undefined && before.generation > next.generation) return;
    this.#nodes.set(next.store, next);
    this.#parts.onNode(next);
  }

  #wait(delay: Micros): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(delay, resolve);
    });
  }
}
