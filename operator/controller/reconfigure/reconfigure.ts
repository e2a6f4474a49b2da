// The loop that keeps every journal whole: look, decide, act, and look again.
//
// Nothing here is needed for safety: the register lets one configuration follow each, the members
// adopt what was decided, and a step that was left half done is found by the next look, here or at
// another controller. The first controller in rank acts at once, the others a little later.

import type { Clock } from '../../../io/clock.ts';
import type { Logger } from '../../../io/logger.ts';
import { type Configuration, type Member, order } from '../../../protocol/configuration.ts';
import { majorityOf, type Seat } from '../../../protocol/paxos/messages.ts';
import { type JournalId, type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import type { Catalog } from '../catalog.ts';
import { TIMING } from '../config.ts';
import {
  type Damping,
  inQuarantine,
  noteBadDisk,
  noteCutOff,
  noteRemoval,
  noteSyncs,
} from '../decide/damping.ts';
import { decide } from '../decide/decide.ts';
import { agreed, detect, sameVerdicts } from '../decide/detector.ts';
import type { Cause, Decision, Situation } from '../decide/situation.ts';
import { survivors } from '../decide/standing.ts';
import {
  caughtUp,
  holdsStart,
  isAboveFloor,
  type SuccessionEvidence,
  whyNot,
} from '../decide/succession.ts';
import { mergeFloors } from '../floors.ts';
import type { Gossiper } from '../gossip.ts';
import type { Metrics } from '../metrics.ts';
import type { Observer } from '../observe/observer.ts';
import { enough } from '../register/answers.ts';
import { encode, journalKey, journalOfKey, replacing } from '../register/records.ts';
import type { Register } from '../register/register.ts';
import type { FloorEntry, VerdictKind } from '../register/wire.ts';
import { cutOff, freshMemory, type Memory, putOut, turnPage } from './memory.ts';
import { isSlowNow, loadsOf, situate, syncsNow, type World } from './situate.ts';

/** A quiet journal is looked at this often. */
const QUIET = micros(250_000);

export interface ReconfigureParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly catalog: Catalog;
  readonly observer: Observer;
  readonly gossip: Gossiper;
  readonly register: Register;
  readonly floorsOf: (seat: Seat, journal: JournalId) => Promise<readonly FloorEntry[]>;
  /** Something is to be looked at with the next beat, which should not be far. */
  readonly onNews: () => void;
}

export class Reconfigurer {
  readonly #parts: ReconfigureParts;
  readonly memories = new Map<JournalId, Memory>();
  readonly #damping: Damping = new Map();
  readonly #dirty = new Set<JournalId>();
  #verdicts: ReadonlyMap<StoreId, VerdictKind> = new Map();
  #loads: ReadonlyMap<StoreId, number> | null = null;

  constructor(parts: ReconfigureParts) {
    this.#parts = parts;
  }

  /** What a majority of controllers thinks of the members that are not fine. */
  get verdicts(): ReadonlyMap<StoreId, VerdictKind> {
    return this.#verdicts;
  }

  /** The registers have a newer configuration. */
  adopted(next: Configuration, before: Configuration | null): void {
    const now = this.#parts.clock.now();
    this.#loads = null;
    const memory = this.memories.get(next.journal) ?? freshMemory(now);
    this.memories.set(next.journal, memory);
    const members = before === null ? [] : order(before);
    if (before !== null && !next.deleted) {
      const works = ({ store }: Member): boolean => this.#works(store, now);
      for (const { store } of putOut(before, next)) noteRemoval(this.#damping, store, now);
      for (const { store } of cutOff(memory, before, next, works, now)) {
        noteCutOff(this.#damping, store, now);
      }
    }
    turnPage(memory, next, before, now);
    this.#dirty.add(next.journal);
    for (const { store } of [...members, ...order(next)]) this.#parts.observer.hasten(store);
    this.#parts.onNews();
  }

  /** It answers, and nobody thinks ill of it. */
  #works(store: StoreId, now: Micros): boolean {
    const seen = this.#parts.observer.find(store);
    if (seen === undefined || now - seen.lastPong >= TIMING.suspect) return false;
    return (this.#verdicts.get(store) ?? 'fine') === 'fine';
  }

  /** One journal as it is now, for those who propose by themselves. */
  situation(world: World, configuration: Configuration): Situation {
    const memory = this.memories.get(configuration.journal) ?? freshMemory(world.now);
    return situate(world, configuration, memory);
  }

  /** Who is missing, of a journal that no member with the whole log is left of; else null. */
  lost(journal: JournalId): string | null {
    const memory = this.memories.get(journal);
    return memory?.lost === true ? memory.note : null;
  }

  /** Another controller begins to change this register: who is not first in rank lets it. */
  othersAct(key: string): void {
    const journal = journalOfKey(key);
    const memory = journal === null ? undefined : this.memories.get(journal);
    if (memory !== undefined) memory.othersAt = this.#parts.clock.now();
  }

  /** What decisions are made from has changed; `null`: for all journals. */
  changed(journals: readonly JournalId[] | null): void {
    for (const journal of journals ?? this.memories.keys()) this.#dirty.add(journal);
    this.#parts.onNews();
  }

  /** Disks that are to sync once, to know that they can. */
  wantsProbe(store: StoreId): boolean {
    if (inQuarantine(this.#damping, store)) return true;
    for (const { probing, wedge } of this.memories.values()) {
      if (probing.has(store)) return true;
      if (wedge?.members.some((member) => member.store === store) === true) return true;
    }
    // Somebody's sync takes long: whether it hangs is told by whether others can sync.
    return this.#parts.observer
      .all()
      .some(({ node, health }) => node.store !== store && (health?.syncAge ?? 0) >= 150_000);
  }

  /** No journal needs a look at every beat, and nobody is thought ill of. */
  get calm(): boolean {
    if (this.#dirty.size > 0) return false;
    for (const kind of this.#verdicts.values()) if (kind !== 'fine') return false;
    for (const { restless } of this.memories.values()) if (restless) return false;
    return true;
  }

  /** Everything that decisions are made from, as it is now. */
  world(): World {
    const { clock, catalog, gossip, observer } = this.#parts;
    this.#loads ??= loadsOf(catalog.configurations());
    return {
      now: clock.now(),
      catalog,
      observer,
      verdicts: this.#verdicts,
      damping: this.#damping,
      offsets: gossip.offsets(),
      loads: this.#loads,
    };
  }

  /** One beat: judge the members, then look at every journal that may need something. */
  beat(): void {
    const { clock, catalog, metrics, observer } = this.#parts;
    const now = clock.now();
    this.#judge(now);
    if (!catalog.complete || catalog.rebuilding) return;
    const all = observer.all();
    const silent = all.filter(({ lastPong }) => now - lastPong >= TIMING.suspect).length;
    metrics.members(all.length - silent, all.length);
    let world: World | null = null;
    for (const [journal, memory] of this.memories) {
      const due = memory.restless || this.#dirty.has(journal) || now - memory.lookedAt >= QUIET;
      if (!due || memory.busy) continue;
      this.#dirty.delete(journal);
      memory.lookedAt = now;
      world ??= this.world();
      this.#look(world, journal, memory);
    }
  }

  #judge(now: Micros): void {
    const { observer, gossip, register } = this.#parts;
    const seen = observer.all();
    const mine = detect(
      seen.map(({ node, lastPong, health, lastSync, peaks }) => ({
        store: node.store,
        lastPong,
        syncAge: health?.syncAge ?? micros(0),
        lastSync,
        syncPeak: peaks.longest,
        syncMedian: health?.syncMedian ?? micros(0),
        failed: (health?.failed ?? '') !== '',
      })),
      now,
    );
    gossip.think(mine);
    const before = this.#verdicts;
    this.#verdicts = agreed(gossip.opinions(), register.set.seats.length);
    if (!sameVerdicts(before, this.#verdicts)) this.changed(null);
    for (const one of seen) {
      const { store } = one.node;
      const kind = mine.get(store);
      if (kind === 'stuck' || kind === 'slow') noteBadDisk(this.#damping, store);
      noteSyncs(this.#damping, store, syncsNow(one, now) && !isSlowNow(one), now);
    }
  }

  #look(world: World, journal: JournalId, memory: Memory): void {
    const configuration = world.catalog.configuration(journal);
    if (configuration === undefined || configuration.deleted) {
      memory.restless = false;
      return;
    }
    this.#remember(world, configuration, memory);
    const situation = situate(world, configuration, memory);
    const decision = decide(situation);
    memory.note = decision.note;
    memory.lost = decision.kind === 'nothing' && decision.lost === true;
    if (situation.stalledFor >= TIMING.stall) memory.stalledAt = world.now;
    const calm = decision.kind === 'nothing' && decision.note === '';
    memory.restless = !calm || situation.stalledFor > 0 || situation.decidedFor < 1_000_000;
    if (calm) {
      memory.troubleAt = null;
      memory.learn = null;
      memory.probing.clear();
    } else memory.troubleAt ??= world.now;
    if (this.#waitsForRank(decision, configuration, memory, world.now)) return;
    this.#act(decision, situation, memory, world.now);
  }

  #remember(world: World, configuration: Configuration, memory: Memory): void {
    const { now, observer } = world;
    const { epoch, journal, settings } = configuration;
    const members = order(configuration);
    if (survivors(situate(world, configuration, memory)).length > 0) memory.goodAt = now;
    // Whoever goes on, and whoever joins it, must be known to sync by then.
    else for (const { store } of members) memory.probing.add(store);
    const wedged = members.some(({ store }) => {
      const report = observer.find(store)?.reports.get(journal)?.report;
      return report?.wedged === true && report.live && report.epoch === epoch;
    });
    if (!wedged) memory.orphan = null;
    else memory.orphan ??= { epoch, at: now };
    if (members.length >= settings.replicationFactor) memory.missingAt = null;
    else memory.missingAt ??= now;
  }

  /** Safety needs no leader; that the others wait a little saves retries. */
  #waitsForRank(
    decision: Decision,
    { epoch }: Configuration,
    memory: Memory,
    now: Micros,
  ): boolean {
    if (!['wedge', 'propose', 'learn'].includes(decision.kind)) {
      memory.due = null;
      return false;
    }
    const step = `${decision.kind} ${epoch}`;
    if (memory.due?.step !== step) memory.due = { step, at: now };
    const rank = this.#parts.gossip.rank();
    if (rank > 0 && now - memory.othersAt < TIMING.others) return true;
    return now - memory.due.at < rank * TIMING.rank;
  }

  #act(decision: Decision, situation: Situation, memory: Memory, now: Micros): void {
    const { catalog, observer } = this.#parts;
    const { configuration } = situation;
    const { journal, epoch } = configuration;
    switch (decision.kind) {
      case 'nothing':
        return;
      case 'refresh':
        catalog.touch(journalKey(journal));
        return;
      case 'probe':
        for (const store of decision.stores) {
          memory.probing.add(store);
          observer.hasten(store);
        }
        return;
      case 'floors':
        void this.#gatherFloors(journal, memory);
        return;
      case 'wedge': {
        const { members } = decision;
        if (memory.wedge === null) {
          this.#parts.logger.warn({ journal, epoch, why: decision.note }, 'wedging');
        }
        memory.wedge = { epoch, at: memory.wedge?.at ?? now, members };
        for (const { store } of members) observer.hasten(store);
        return;
      }
      case 'learn':
        if (memory.learn?.store === decision.learner) return;
        memory.learn = { store: decision.learner, source: decision.source };
        observer.hasten(decision.learner);
        return;
      case 'propose':
        // Where the register was not reached the next look begins again.
        this.propose(situation, decision.configuration, decision.cause, decision.note).catch(
          () => undefined,
        );
    }
  }

  async #gatherFloors(journal: JournalId, memory: Memory): Promise<void> {
    const { clock, register, floorsOf, logger } = this.#parts;
    memory.busy = true;
    try {
      const { seats } = register.set;
      const asked = seats.map((seat) => floorsOf(seat, journal).catch(() => null));
      const lists = await enough(asked, majorityOf(seats.length));
      memory.floors = { at: clock.now(), of: mergeFloors(lists) };
    } catch (error) {
      logger.warn({ journal, error: String(error) }, 'the floors are not known');
    } finally {
      memory.busy = false;
    }
  }

  /**
   * The compare-and-swap. True where `next` is what the register holds now; rejects as the register
   * does, where that is not known.
   */
  async propose(
    situation: Situation,
    next: Configuration,
    cause: Cause,
    why: string,
  ): Promise<boolean> {
    const { clock, logger, metrics, register, catalog, gossip } = this.#parts;
    const { configuration: latest } = situation;
    const { journal, epoch } = next;
    const memory = this.memories.get(journal) ?? freshMemory(clock.now());
    const refused = whyNot(latest, next, evidenceOf(situation));
    if (refused !== null) {
      logger.error({ journal, epoch, cause, refused }, 'a decision broke the survivor rule');
      return false;
    }
    memory.busy = true;
    const since = memory.troubleAt ?? clock.now();
    const key = journalKey(journal);
    try {
      const { before, value } = await register.change(key, replacing(latest, next));
      catalog.note(key, value);
      const won = value === encode(next);
      if (!won) metrics.lost();
      // Another controller may have decided the very same: it counts there.
      else if (before !== value) {
        const took = clock.now() - since;
        metrics.reconfigured(cause, took / 1_000_000);
        const order_ = order(next).map(({ id }) => id);
        logger.warn(
          { journal, name: next.name, epoch, cause, why, order: order_, took },
          'decided',
        );
        gossip.hint(key);
      }
      return won;
    } catch (error) {
      logger.warn({ journal, epoch, cause, error: String(error) }, 'not decided');
      catalog.touch(key);
      throw error;
    } finally {
      memory.busy = false;
      this.#dirty.add(journal);
    }
  }
}

/** What the checks of `whyNot` need to know beyond the two configurations. */
export function evidenceOf(situation: Situation): SuccessionEvidence {
  const { configuration, members, floorsKnown } = situation;
  const first = configuration.serving[0];
  const headReport = first === undefined ? null : (members.get(first.store)?.report ?? null);
  const aboveFloor = new Map<string, number>();
  for (const { store, report, floor, incarnation } of floorsKnown ? members.values() : []) {
    const above = report === null ? floor === null : isAboveFloor(report, floor);
    if (above) aboveFloor.set(store, incarnation);
  }
  const { joining } = configuration;
  const joiner = joining === null ? undefined : members.get(joining.store);
  const own = joiner?.incarnation === joining?.incarnation ? (joiner?.report ?? null) : null;
  const joinerCaughtUp = caughtUp(configuration, headReport) || holdsStart(configuration, own);
  return { joinerCaughtUp, aboveFloor };
}
