// What the controllers tell each other a few times a second: who they think is not fine, what the
// time is, which registers changed. Nothing of it is needed for safety.

import type { Cancel, Clock } from '../../io/clock.ts';
import type { AcceptorSet, Seat } from '../../protocol/paxos/messages.ts';
import { type Micros, micros, type StoreId } from '../../protocol/types.ts';
import { TIMING } from './config.ts';
import { sameVerdicts } from './decide/detector.ts';
import type {
  ControllerAbout,
  ControllerAnswer,
  ControllerRequest,
  Gossip,
  VerdictKind,
} from './register/wire.ts';

const HINTS_MAX = 256;
const HINT_AGE = 1_000_000;
/** Who was heard so lately has heard of us with it: one exchange a beat serves both. */
const HEARD_MICROS = TIMING.gossip * 0.75;

export interface GossipParts {
  readonly clock: Clock;
  readonly id: string;
  readonly set: () => AcceptorSet;
  readonly about: () => ControllerAbout;
  readonly ask: (
    seat: Seat,
    request: ControllerRequest,
    timeout: Micros,
  ) => Promise<ControllerAnswer>;
  /** Another controller saw these registers change. */
  readonly onHints: (keys: readonly string[]) => void;
  readonly onOpinions: () => void;
}

interface Heard {
  readonly gossip: Gossip;
  /** Of the gossip, by store. */
  readonly verdicts: ReadonlyMap<StoreId, VerdictKind>;
  readonly at: Micros;
  /** Its wall clock less ours. */
  readonly offset: number;
}

export class Gossiper {
  readonly #parts: GossipParts;
  readonly #heard = new Map<string, Heard>();
  readonly #asking = new Set<string>();
  /** Something changed while they were asked: the news goes out right after. */
  readonly #again = new Set<string>();
  #verdicts: ReadonlyMap<StoreId, VerdictKind> = new Map();
  #hints: { readonly key: string; readonly at: Micros }[] = [];
  #timer: Cancel | null = null;
  #closed = false;

  constructor(parts: GossipParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#beat();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
  }

  /** Our own opinion; a changed one is told at once. */
  think(verdicts: ReadonlyMap<StoreId, VerdictKind>): void {
    const changed = !sameVerdicts(verdicts, this.#verdicts);
    this.#verdicts = verdicts;
    if (changed) this.#tellAll();
  }

  /** A register changed: the others may want to read it. */
  hint(key: string): void {
    this.#hints = [...this.#hints, { key, at: this.#parts.clock.now() }].slice(-HINTS_MAX);
    this.#tellAll();
  }

  /** Opinions that are fresh, ours among them. */
  opinions(): readonly ReadonlyMap<StoreId, VerdictKind>[] {
    return [this.#verdicts, ...this.#fresh().map(({ verdicts }) => verdicts)];
  }

  /** Clocks of all controllers that are heard, less ours; 0 for ourselves. */
  offsets(): readonly number[] {
    return [0, ...this.#fresh().map(({ offset }) => offset)];
  }

  /** How many controllers of the set that are heard come before us: they act first. */
  rank(): number {
    const alive = new Set(this.#fresh().map(({ gossip }) => gossip.from));
    const seats = this.#parts.set().seats.map(({ id }) => id);
    const mine = seats.indexOf(this.#parts.id);
    return seats.slice(0, mine < 0 ? seats.length : mine).filter((id) => alive.has(id)).length;
  }

  about(id: string): { readonly about: ControllerAbout; readonly alive: boolean } | null {
    const heard = this.#heard.get(id);
    if (heard === undefined) return null;
    return { about: heard.gossip.about, alive: this.#isFresh(heard) };
  }

  take(gossip: Gossip): Gossip {
    this.#hear(gossip, gossip.wall - this.#parts.clock.wall());
    return this.#say();
  }

  #say(): Gossip {
    const { clock, id, about } = this.#parts;
    const now = clock.now();
    this.#hints = this.#hints.filter(({ at }) => now - at < HINT_AGE);
    return {
      from: id,
      wall: clock.wall(),
      verdicts: [...this.#verdicts]
        .filter(([, kind]) => kind !== 'fine')
        .map(([store, kind]) => ({ store, kind })),
      hints: [...new Set(this.#hints.map(({ key }) => key))],
      about: about(),
    };
  }

  #hear(gossip: Gossip, offset: number): void {
    const before = this.#heard.get(gossip.from);
    const verdicts = new Map(gossip.verdicts.map(({ store, kind }) => [store, kind]));
    this.#heard.set(gossip.from, { gossip, verdicts, at: this.#parts.clock.now(), offset });
    const known = new Set(before?.gossip.hints ?? []);
    const news = gossip.hints.filter((key) => !known.has(key));
    if (news.length > 0) this.#parts.onHints(news);
    const opinion = JSON.stringify(gossip.verdicts);
    if (opinion !== JSON.stringify(before?.gossip.verdicts ?? [])) this.#parts.onOpinions();
  }

  #beat(): void {
    if (this.#closed) return;
    const now = this.#parts.clock.now();
    this.#tellAll((id) => now - (this.#heard.get(id)?.at ?? 0) >= HEARD_MICROS);
    this.#timer = this.#parts.clock.after(TIMING.gossip, () => this.#beat());
  }

  /** Those that are due; all of them where there is news. */
  #tellAll(due: ((id: string) => boolean) | null = null): void {
    if (this.#closed) return;
    const { id, set } = this.#parts;
    for (const seat of set().seats) {
      if (seat.id === id || due?.(seat.id) === false) continue;
      // One at a time to each.
      if (!this.#asking.has(seat.id)) void this.#tell(seat);
      else if (due === null) this.#again.add(seat.id);
    }
  }

  async #tell(seat: Seat): Promise<void> {
    this.#asking.add(seat.id);
    const { ask, clock } = this.#parts;
    const sent = clock.now();
    try {
      const answer = await ask(seat, { kind: 'gossip', gossip: this.#say() }, TIMING.acceptor);
      const trip = clock.now() - sent;
      if (answer.kind !== 'gossip' || answer.gossip.from !== seat.id) return;
      this.#hear(answer.gossip, answer.gossip.wall + trip / 2 - clock.wall());
    } catch {
      // Silence is the message: it stops being fresh.
    } finally {
      this.#asking.delete(seat.id);
      if (this.#again.delete(seat.id) && !this.#closed) void this.#tell(seat);
    }
  }

  #fresh(): readonly Heard[] {
    const seats = new Set(this.#parts.set().seats.map(({ id }) => id));
    return [...this.#heard.values()].filter(
      (heard) => seats.has(heard.gossip.from) && this.#isFresh(heard),
    );
  }

  #isFresh = ({ at }: Heard): boolean => micros(this.#parts.clock.now() - at) < TIMING.gossipFresh;
}
