// The watch over the cluster: what is known, who is observed, what is done about it, and the small
// things that the first controller in rank looks after.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Network } from '../../io/network.ts';
import type { Random } from '../../io/random.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type Micros, micros, type StoreId } from '../../protocol/types.ts';
import { Admin } from './admin.ts';
import { Catalog } from './catalog.ts';
import { Changes } from './changes.ts';
import { FEATURE_LEVEL_MIN, TIMING } from './config.ts';
import { following, handedOver } from './decide/chains.ts';
import { spread } from './decide/placement.ts';
import { Gossiper } from './gossip.ts';
import type { Group } from './group.ts';
import type { Metrics } from './metrics.ts';
import { Observer } from './observe/observer.ts';
import { Directives } from './reconfigure/directives.ts';
import { Reconfigurer } from './reconfigure/reconfigure.ts';
import {
  decodeFeature,
  encode,
  FEATURE_KEY,
  journalKey,
  type NodeRecord,
} from './register/records.ts';
import type { ControllerAbout } from './register/wire.ts';

export interface WatchParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly group: Group;
  readonly metrics: Metrics;
  readonly cluster: string;
  readonly id: string;
  readonly about: () => ControllerAbout;
  /** Something is to be looked at: not later than usual. */
  readonly onNews: () => void;
}

/** Longer than between two pings: who is silent for so long is looked at closely. */
const HEARD_LATELY = micros(TIMING.pingIdle + 60_000);
const CHORES = 1_000_000;
/** Heads are spread only when nothing was decided for this long, one journal at a time. */
const SPREAD_PAUSE = 5_000_000;

export class Watch {
  readonly #parts: WatchParts;
  readonly gossip: Gossiper;
  readonly observer: Observer;
  readonly catalog: Catalog;
  readonly reconfigurer: Reconfigurer;
  readonly changes: Changes;
  readonly admin: Admin;
  readonly #directives: Directives;
  #decidedAt: Micros;
  #spreadAt = 0;
  #choresAt = 0;
  #choring = false;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    const { clock, random, network, logger, group, metrics, cluster, id, about } = parts;
    const { register, floors } = group;
    this.#decidedAt = clock.now();
    this.gossip = new Gossiper({
      clock,
      id,
      set: () => register.set,
      about,
      ask: (seat, request, timeout) => group.ask(seat, request, timeout),
      onHints: (keys) => {
        for (const key of keys) this.catalog.touch(key);
      },
      onOpinions: () => this.reconfigurer.changed(null),
    });
    this.observer = new Observer({
      clock,
      random,
      network,
      logger,
      hello: () => ({
        cluster,
        featureLevelMin: FEATURE_LEVEL_MIN,
        featureLevelMax: about().featureLevelMax,
        sender: id,
      }),
      controllers: () => register.set.seats.map(({ address }) => address),
      featureLevel: () => this.catalog.feature,
      directives: (seen) => {
        const wants = this.reconfigurer.wantsProbe(seen.node.store);
        return this.#directives.due(seen, wants, clock.now());
      },
      onChange: (store, journals) => this.#seen(store, journals),
    });
    this.catalog = new Catalog({
      clock,
      logger,
      register,
      onConfiguration: (next, before) => {
        this.#decidedAt = clock.now();
        this.reconfigurer.adopted(next, before);
        if (next.deleted) floors.forget(next.journal);
      },
      onNode: (node) => this.#node(node),
      onGrant: () => this.reconfigurer.changed(null),
    });
    this.reconfigurer = new Reconfigurer({
      clock,
      logger,
      metrics,
      catalog: this.catalog,
      observer: this.observer,
      gossip: this.gossip,
      register,
      floorsOf: (seat, journal) => group.floorsOf(seat, journal),
      onNews: parts.onNews,
    });
    this.#directives = new Directives(this.catalog, this.reconfigurer.memories);
    const shared = { clock, logger, register, catalog: this.catalog };
    const { observer, reconfigurer } = this;
    this.changes = new Changes({ ...shared, cluster, observer, reconfigurer });
    this.admin = new Admin({
      ...shared,
      reconfigurer,
      hello: (address) => this.#hello(address),
      storeOf: (seat) => group.storeOf(seat),
    });
  }

  /** Resolves when the registers were read. */
  async start(): Promise<void> {
    this.gossip.start();
    await this.catalog.start();
    void this.catalog.keepFresh();
  }

  close(): void {
    this.gossip.close();
    this.catalog.close();
    this.observer.close();
  }

  /** Another acceptor set: everything that was hinted at may have been missed. */
  onSet(): void {
    this.reconfigurer.changed(null);
  }

  /** Everybody answers, and no journal needs a look soon. */
  get calm(): boolean {
    const now = this.#parts.clock.now();
    const heard = this.observer.all().every(({ lastPong }) => now - lastPong < HEARD_LATELY);
    return heard && this.reconfigurer.calm;
  }

  /** `late`: by how much our own loop ran behind. */
  beat(late: Micros): void {
    const now = this.#parts.clock.now();
    if (late > TIMING.lateness) {
      this.observer.excuse(late);
      this.catalog.excuse(late);
    }
    this.#refuseOutgrown();
    this.reconfigurer.beat();
    if (now - this.#choresAt < CHORES || this.#choring || this.gossip.rank() > 0) return;
    this.#choresAt = now;
    this.#choring = true;
    this.#chores(now)
      .catch((error: unknown) => {
        this.#parts.logger.warn({ error: String(error) }, 'a chore was not done');
      })
      .finally(() => {
        this.#choring = false;
      });
  }

  /** The cluster has begun to use what this version does not know. */
  #refuseOutgrown(): void {
    const { featureLevelMax } = this.#parts.about();
    const { feature } = this.catalog;
    if (feature <= featureLevelMax) return;
    const what = `the cluster is at feature level ${feature}, this version knows up to`;
    throw new JournalError('INCOMPATIBLE', `${what} ${featureLevelMax}: start a newer one`);
  }

  #node(node: NodeRecord): void {
    this.observer.watch(node);
    this.#directives.forget(node.store);
    this.reconfigurer.changed(null);
  }

  #seen(store: StoreId, journals: Parameters<Reconfigurer['changed']>[0]): void {
    if (journals === null) this.#directives.forget(store);
    this.reconfigurer.changed(journals);
    const seen = this.observer.find(store);
    if (seen === undefined) return;
    for (const journal of journals ?? seen.reports.keys()) {
      // A deleted journal has no survivors to choose.
      if (this.catalog.configuration(journal)?.deleted === true) continue;
      const floor = seen.reports.get(journal)?.report.floor ?? null;
      if (floor !== null) this.#parts.group.floors.note(journal, store, floor);
    }
    const { hello, node } = seen;
    // It started, and we have not heard of it by the register yet.
    if (hello !== null && hello.incarnation > node.generation) {
      this.catalog.touch(`node/${store}`);
    }
  }

  async #hello(address: string): Promise<{ readonly id: string; readonly store: string }> {
    const seat = { id: '', store: '', address };
    const answer = await this.#parts.group.ask(seat, { kind: 'hello' }, TIMING.register);
    if (answer.kind === 'hello') return { id: answer.id, store: answer.store };
    throw new JournalError('INTERNAL', `${address} answers ${answer.kind}`);
  }

  async #chores(now: Micros): Promise<void> {
    if (!this.catalog.complete || this.catalog.rebuilding) return;
    await this.#finishNames();
    await this.#raiseFeature();
    await this.#spreadHeads(now);
  }

  /** A creation that stopped between the name and the journal. */
  async #finishNames(): Promise<void> {
    const { register } = this.#parts.group;
    for (const record of this.catalog.names()) {
      if (record.deleted || this.catalog.configuration(record.journal) !== undefined) continue;
      const value = await register.read(journalKey(record.journal));
      if (value === null) await this.changes.finish(record);
      else this.catalog.note(journalKey(record.journal), value);
    }
  }

  /** The level rises once every member and every controller supports the next one. */
  async #raiseFeature(): Promise<void> {
    const { group, id } = this.#parts;
    const members = this.catalog
      .grants()
      .filter(({ store, leaving }) => store !== null && leaving === null)
      .map(({ store }) => (store === null ? undefined : this.observer.find(store)));
    const levels = [
      ...members.map((seen) => seen?.hello?.featureLevelMax ?? 0),
      ...group.register.set.seats
        .filter((seat) => seat.id !== id)
        .map((seat) => this.gossip.about(seat.id)?.about.featureLevelMax ?? 0),
    ];
    const level = Math.min(this.#parts.about().featureLevelMax, ...levels);
    if (level <= this.catalog.feature) return;
    const { value } = await group.register.change(FEATURE_KEY, (current) =>
      decodeFeature(current) >= level ? current : encode({ level }),
    );
    this.catalog.note(FEATURE_KEY, value);
    this.#parts.logger.info({ level }, 'the feature level was raised');
  }

  async #spreadHeads(now: Micros): Promise<void> {
    if (now - this.#decidedAt < TIMING.calm || now - this.#spreadAt < SPREAD_PAUSE) return;
    const memories = this.reconfigurer.memories;
    const live = this.catalog.configurations().filter(({ deleted }) => !deleted);
    if (live.some(({ journal }) => memories.get(journal)?.restless !== false)) return;
    this.#spreadAt = now;
    const world = this.reconfigurer.world();
    const fit = new Set<StoreId>();
    for (const { store, member } of this.catalog.nodes()) {
      const fine = (world.verdicts.get(store) ?? 'fine') === 'fine';
      const stays = this.catalog.grant(member)?.leaving === null;
      if (fine && stays) fit.add(store);
    }
    const move = spread(live, fit);
    if (move === null) return;
    const { configuration, head } = move;
    const situation = this.reconfigurer.situation(world, configuration);
    const to = situation.members.get(head.store);
    if (to === undefined || to.clockOff || to.leaving !== 'no') return;
    const members = handedOver(configuration.serving, head);
    const next = following(configuration, members, configuration.joining);
    const why = `${head.id} heads fewer journals`;
    // Where the register was not reached the next pause is waited out again.
    await this.reconfigurer.propose(situation, next, 'spread', why).catch(() => false);
  }
}
