// What replicas and the operator ask of the registers: start, format, create, delete, propose.
//
// Each may be asked twice, since an answer may be lost: the same question gets the same answer.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import {
  type Configuration,
  compareConfigurations,
  type JournalSettings,
  MIB,
} from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import {
  epoch,
  type JournalId,
  type Micros,
  memberId,
  micros,
  RangeViolation,
  type StoreId,
  zone,
} from '../../protocol/types.ts';
import type { RegisterAnswer, RegisterChange } from '../../transport/control.ts';
import type { Catalog } from './catalog.ts';
import { TIMING } from './config.ts';
import { type Place, place } from './decide/placement.ts';
import { whyNot } from './decide/succession.ts';
import type { Observer } from './observe/observer.ts';
import { evidenceOf, type Reconfigurer } from './reconfigure/reconfigure.ts';
import { followUp } from './register/answers.ts';
import {
  decodeConfiguration,
  decodeGrant,
  decodeName,
  decodeNode,
  encode,
  type GrantRecord,
  journalKey,
  memberKey,
  type NameRecord,
  type NodeRecord,
  nameKey,
  naming,
  nodeKey,
} from './register/records.ts';
import type { Register } from './register/register.ts';

export interface ChangesParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cluster: string;
  readonly register: Register;
  readonly catalog: Catalog;
  readonly observer: Observer;
  readonly reconfigurer: Reconfigurer;
}

type ChangeOf<Kind extends RegisterChange['kind']> = Extract<RegisterChange, { kind: Kind }>;

const refused = (code: string, message: string): RegisterAnswer => ({
  kind: 'refused',
  code,
  message,
});

/** What is wrong with the volume that came as this member, and what to do about it. */
function notTheOne(what: string, member: string, grant: GrantRecord | null): string {
  if (grant === null) return `${what}, and no member is called ${member}`;
  const { store, leaving } = grant;
  if (leaving !== null) return `${what}, and member ${member} is to leave`;
  if (store === null) return `${what}, and member ${member} may format an empty one`;
  const named = `the registers name store ${store} for member ${member}`;
  return `${what}, and ${named}: bring that volume back, or have the member replaced`;
}

/** How long a new journal may take until its head answers; appends would wait longer for it. */
const ADOPTED_MAX = micros(1_500_000);
const ADOPTED_POLL = micros(10_000);

/** A process that is refused asks again every few seconds. */
const REFUSAL_AGE = 60_000_000;

export class Changes {
  readonly #parts: ChangesParts;
  /** Processes that asked to start or to format a volume lately, and why they may not. */
  readonly #refusals = new Map<string, { readonly why: string; readonly at: Micros }>();

  constructor(parts: ChangesParts) {
    this.#parts = parts;
  }

  /**
   * Rejects with JournalError UNAVAILABLE where the registers cannot be reached, and CANCELLED
   * where whoever asked has given up (`signal`) before a journal was deleted.
   */
  async carryOut(change: RegisterChange, signal: AbortSignal): Promise<RegisterAnswer> {
    const { catalog } = this.#parts;
    if (!catalog.complete || catalog.rebuilding) {
      const what = catalog.rebuilding ? 'are to be rebuilt first' : 'were not read yet';
      throw new JournalError('UNAVAILABLE', `the registers ${what}`);
    }
    switch (change.kind) {
      case 'start':
        return this.#remember(change.member, await this.#start(change));
      case 'format':
        return this.#remember(change.member, await this.#format(change));
      case 'createJournal':
        return await this.#create(change);
      case 'deleteJournal':
        return await this.#delete(change, signal);
      case 'propose':
        return await this.#propose(change);
    }
  }

  /** Why the volume that came lately as this member may not serve; empty where none came. */
  refusal(member: string): string {
    const found = this.#refusals.get(member);
    const fresh = found !== undefined && this.#parts.clock.now() - found.at < REFUSAL_AGE;
    return fresh ? found.why : '';
  }

  /** Only of members that are known: nobody else's names are kept. */
  #remember(member: string, answer: RegisterAnswer): RegisterAnswer {
    const known = this.#parts.catalog.grants().some((grant) => grant.member === member);
    if (answer.kind !== 'refused' || !known) this.#refusals.delete(member);
    else this.#refusals.set(member, { why: answer.message, at: this.#parts.clock.now() });
    return answer;
  }

  async #start(change: ChangeOf<'start'>): Promise<RegisterAnswer> {
    const { store, startId, after, member, zone: given, address } = change;
    const { register, catalog } = this.#parts;
    const value = await register.read(memberKey(member));
    const grant = value === null ? null : decodeGrant(value);
    if (grant?.store !== store) {
      return refused('PERMISSION_DENIED', notTheOne(`it is store ${store}`, member, grant));
    }
    const key = nodeKey(store);
    const changed = await register.change(key, (current) => {
      const before = current === null ? null : decodeNode(current);
      if (before?.startId === startId) return current;
      // It was asked for before another start took place: whoever asked may be dead by now.
      if ((before?.generation ?? 0) !== after) return current;
      const next: NodeRecord = {
        store,
        generation: (before?.generation ?? 0) + 1,
        startId,
        member: memberId(member),
        zone: zone(given),
        address,
      };
      return encode(next);
    });
    catalog.note(key, changed.value);
    // No start is known here: then the process comes after none, whatever it remembers.
    if (changed.value === null) return { kind: 'started', incarnation: 0, startId: '' };
    const { generation, startId: taken } = decodeNode(changed.value);
    if (taken === startId) {
      this.#parts.logger.info({ member, store, generation, address }, 'a replica started');
    }
    return { kind: 'started', incarnation: generation, startId: taken };
  }

  async #format({ store, member, zone: given }: ChangeOf<'format'>): Promise<RegisterAnswer> {
    const { register, catalog, cluster, logger } = this.#parts;
    const key = memberKey(member);
    const known = await register.read(key);
    if (known === null) {
      return refused(
        'PERMISSION_DENIED',
        `member ${member} is not known; \`journal admin member add ${member} --zone ${given}\``,
      );
    }
    const before = decodeGrant(known);
    if (before.zone !== given) {
      const allowed = `allowed is ${before.zone}`;
      return refused('INVALID_ARGUMENT', `zone of member ${member} is ${given}, ${allowed}`);
    }
    const changed = await register.change(key, (current) => {
      const grant = current === null ? before : decodeGrant(current);
      if (grant.store !== null || grant.leaving !== null) return current;
      return encode({ ...grant, store, revision: grant.revision + 1 });
    });
    catalog.note(key, changed.value);
    const after: GrantRecord = changed.value === null ? before : decodeGrant(changed.value);
    if (after.store === store) {
      logger.info({ member, store }, 'a volume was formatted');
      return { kind: 'formatted', cluster };
    }
    return refused('PERMISSION_DENIED', notTheOne('it is empty', member, after));
  }

  async #create(change: ChangeOf<'createJournal'>): Promise<RegisterAnswer> {
    const { journal, name, settings, firstLsn } = change;
    checkSettings(settings);
    if (firstLsn < 1) throw new RangeViolation('firstLsn', firstLsn, 'at least 1');
    const { register, catalog } = this.#parts;
    const places = this.#places();
    const enough = Math.min(settings.minReplicas, settings.replicationFactor);
    if (places.length < enough) {
      return refused(
        'UNDER_REPLICATED',
        `${places.length} members answer, a journal with minReplicas ${enough} needs as many`,
      );
    }
    // A caller may have drawn the id, so that a retry of its finds its own journal.
    const taken = await register.read(journalKey(journal));
    const owner = taken === null ? null : decodeConfiguration(taken);
    if (owner !== null && (owner.name !== name || owner.deleted)) {
      const message = `journal_id is ${journal}, allowed is one that was never used`;
      return refused('INVALID_ARGUMENT', message);
    }
    const key = nameKey(name);
    const free = await this.#isFree(key, journal);
    if (!free) return refused('ALREADY_EXISTS', `journal ${name} exists`);
    const changed = await register.change(key, naming(change));
    catalog.note(key, changed.value);
    if (changed.value === null) throw new JournalError('INTERNAL', `${key} is empty`);
    const record = decodeName(changed.value);
    if (record.journal !== journal) return refused('ALREADY_EXISTS', `journal ${name} exists`);
    const configuration = await followUp(this.finish(record));
    await this.#adopted(configuration);
    return { kind: 'configuration', configuration };
  }

  /** A name whose journal was deleted, but whose own tombstone is missing, is free as well. */
  async #isFree(key: string, journal: JournalId): Promise<boolean> {
    const { register, catalog } = this.#parts;
    const value = await register.read(key);
    if (value === null) return true;
    const record = decodeName(value);
    if (record.deleted || record.journal === journal) return true;
    const text = await register.read(journalKey(record.journal));
    if (text === null || !decodeConfiguration(text).deleted) return false;
    catalog.note(key, await this.#bury(key, record.journal));
    return true;
  }

  async #bury(key: string, journal: JournalId): Promise<string | null> {
    const changed = await this.#parts.register.change(key, (current) => {
      const before = current === null ? null : decodeName(current);
      if (before === null || before.deleted || before.journal !== journal) return current;
      return encode({ ...before, deleted: true, revision: before.revision + 1 });
    });
    return changed.value;
  }

  /** The first configuration of a journal that has its name; one that exists is left alone. */
  async finish(record: NameRecord): Promise<Configuration> {
    const { register, catalog } = this.#parts;
    const { journal, name, settings, firstLsn } = record;
    const serving = place(this.#places(), settings.replicationFactor);
    if (serving.length === 0) throw new JournalError('UNAVAILABLE', 'no member answers');
    const first: Configuration = {
      journal,
      name,
      settings,
      lineage: 1,
      epoch: epoch(1),
      mode: 'chain',
      firstLsn,
      serving,
      joining: null,
      deleted: false,
    };
    const key = journalKey(journal);
    const { value } = await register.change(key, (current) => current ?? encode(first));
    catalog.note(key, value);
    return value === null ? first : decodeConfiguration(value);
  }

  async #adopted({ journal, epoch: decided, serving }: Configuration): Promise<void> {
    const { clock, observer } = this.#parts;
    const deadline = clock.now() + ADOPTED_MAX;
    const isUp = (store: StoreId): boolean => {
      const report = observer.find(store)?.reports.get(journal)?.report;
      return report?.live === true && report.epoch >= decided && report.synced;
    };
    while (clock.now() < deadline && !serving.every(({ store }) => isUp(store))) {
      await new Promise<void>((resolve) => {
        clock.after(ADOPTED_POLL, resolve);
      });
    }
  }

  /** Members that may take a journal now. */
  #places(): readonly Place[] {
    const { catalog, observer, reconfigurer } = this.#parts;
    const { now } = reconfigurer.world();
    const configurations = catalog.configurations().filter(({ deleted }) => !deleted);
    return catalog.nodes().flatMap((node) => {
      const { store } = node;
      const seen = observer.find(store);
      const grant = catalog.grant(node.member);
      const incarnation = seen?.hello?.incarnation ?? 0;
      const fine = (reconfigurer.verdicts.get(store) ?? 'fine') === 'fine';
      const heard = seen !== undefined && now - seen.lastPong < TIMING.suspect;
      const granted = grant?.store === store && grant.leaving === null;
      const superseded = node.startId !== '' && incarnation < node.generation;
      if (!fine || !heard || !granted || incarnation === 0 || superseded) return [];
      const member = {
        store,
        incarnation,
        id: node.member,
        zone: node.zone,
        address: node.address,
      };
      const inside = configurations.filter(({ serving }) => serving.some((m) => m.store === store));
      const heads = configurations.filter(({ serving }) => serving[0]?.store === store).length;
      const unfit = seen.health?.draining === true;
      return [{ member, load: inside.length, heads, unfit }];
    });
  }

  async #delete(
    { name, journal: meant }: ChangeOf<'deleteJournal'>,
    signal: AbortSignal,
  ): Promise<RegisterAnswer> {
    const { register, catalog, logger } = this.#parts;
    const key = nameKey(name);
    const value = await register.read(key);
    const record = value === null ? null : decodeName(value);
    if (record === null) return refused('NOT_FOUND', `no journal is called ${name}`);
    const { journal } = record;
    if (meant !== undefined && meant !== journal) {
      return refused('NOT_FOUND', `journal ${name} was made anew: it is ${journal}, not ${meant}`);
    }
    const changed = await register.change(journalKey(journal), (current) => {
      signal.throwIfAborted();
      if (current === null) return current;
      const before = decodeConfiguration(current);
      if (before.deleted) return current;
      const next = epoch(before.epoch + 1);
      return encode({ ...before, epoch: next, serving: [], joining: null, deleted: true });
    });
    // Asked for by its id, one that is gone already is what was to be.
    if (changed.value === null || (record.deleted && meant === undefined)) {
      return refused('NOT_FOUND', `no journal is called ${name}`);
    }
    catalog.note(journalKey(journal), changed.value);
    catalog.note(key, await followUp(this.#bury(key, journal)));
    logger.warn({ journal, name }, 'a journal was deleted');
    return { kind: 'configuration', configuration: decodeConfiguration(changed.value) };
  }

  /** Conditional: takes effect only where the present epoch is the expected one. */
  async #propose(change: ChangeOf<'propose'>): Promise<RegisterAnswer> {
    const { expectedEpoch, configuration: next } = change;
    const { register, catalog, reconfigurer } = this.#parts;
    const key = journalKey(next.journal);
    const value = await register.read(key);
    if (value === null) return refused('NOT_FOUND', `no journal has the id ${next.journal}`);
    catalog.note(key, value);
    const latest = decodeConfiguration(value);
    if (compareConfigurations(latest, next) === 0 && encode(latest) === encode(next)) {
      return { kind: 'configuration', configuration: latest };
    }
    if (latest.epoch !== expectedEpoch) {
      const message = `epoch is ${latest.epoch}, expected was ${expectedEpoch}`;
      return refused('STALE_EPOCH', message);
    }
    const situation = reconfigurer.situation(reconfigurer.world(), latest);
    const reason = whyNot(latest, next, evidenceOf(situation));
    if (reason !== null) return refused('INVALID_ARGUMENT', `configuration refused: ${reason}`);
    const won = await reconfigurer.propose(situation, next, 'outside', 'asked for');
    const now = catalog.configuration(next.journal) ?? latest;
    if (won) return { kind: 'configuration', configuration: next };
    return refused('STALE_EPOCH', `epoch is ${now.epoch} by now, expected was ${expectedEpoch}`);
  }
}

/** Every number within its range: what is decided here shapes what all members compute. */
export function checkSettings(settings: JournalSettings): void {
  const range = (field: string, value: number, min: number, max: number): void => {
    if (Number.isSafeInteger(value) && value >= min && value <= max) return;
    throw new RangeViolation(field, value, `a whole number from ${min} to ${max}`);
  };
  const { replicationFactor, minReplicas, limits } = settings;
  range('replicationFactor', replicationFactor, 1, 5);
  range('minReplicas', minReplicas, 1, replicationFactor);
  range('recordBytesMax', settings.recordBytesMax, 1, 16 * MIB);
  range('batchBytesMax', settings.batchBytesMax, settings.recordBytesMax, 16 * MIB);
  range('retainMillis', settings.retainMillis, 0, Number.MAX_SAFE_INTEGER);
  range('retainBytes', settings.retainBytes, 0, Number.MAX_SAFE_INTEGER);
  range('limits.keys', limits.keys, 1, 1_000_000);
  range('limits.writers', limits.writers, 1, 100_000);
  range('limits.writerWindow', limits.writerWindow, 1, 1_024);
  range('limits.chosenKeys', limits.chosenKeys, 1, 100_000);
  range('limits.cursors', limits.cursors, 1, 10_000);
}
