// Reconfigurations as people read them: who left, who joined, who is head now, and when.

import { type Configuration, LINEAGE_EPOCH_STEP } from '../../protocol/configuration.ts';
import type { Micros } from '../../protocol/types.ts';
import type { JournalStatus } from '../../transport/public.ts';

/** Who is in a chain: what two configurations are compared by. */
export interface ChainView {
  readonly journal: string;
  readonly name: string;
  readonly lineage: number;
  readonly epoch: number;
  /** Head first, without the one that joins. */
  readonly serving: readonly Place[];
  readonly joining: Place | null;
  readonly deleted: boolean;
}

export interface Place {
  readonly id: string;
  readonly store: string;
}

export interface Change {
  /** Wall time at which this process heard of it. */
  readonly atMicros: Micros;
  readonly journal: string;
  readonly lineage: number;
  readonly epoch: number;
  readonly text: string;
}

const CHANGES_MAX = 200;
const JOURNALS_MAX = 2_000;

const placeOf = ({ id, store }: Place): Place => ({ id, store });

export function viewOfConfiguration(configuration: Configuration): ChainView {
  const { journal, name, lineage, epoch, serving, joining, deleted } = configuration;
  return {
    journal,
    name,
    lineage,
    epoch,
    serving: serving.map(placeOf),
    joining: joining === null ? null : placeOf(joining),
    deleted,
  };
}

export function viewOfStatus({ id, name, lineage, epoch, members }: JournalStatus): ChainView {
  const joining = members.find(({ role }) => role === 'joining');
  return {
    journal: id,
    name,
    lineage,
    epoch,
    serving: members.filter(({ role }) => !['joining', 'learner'].includes(role)).map(placeOf),
    joining: joining === undefined ? null : placeOf(joining),
    deleted: false,
  };
}

/** What became of a chain; `before` null where it was not heard of. */
export function describeChange(before: ChainView | null, after: ChainView): string {
  if (after.deleted) return 'the journal was deleted';
  const chain = [...after.serving, ...(after.joining === null ? [] : [after.joining])];
  const drawn = chain.map(({ id }) => id).join(' → ');
  if (before === null) {
    const first = (after.epoch - 1) % LINEAGE_EPOCH_STEP === 0 && after.lineage === 1;
    return first ? `made: ${drawn}` : `first heard of: ${drawn}`;
  }
  const said = [...lineageRaised(before, after), ...moves(before, after)];
  return `${said.length === 0 ? 'formed anew' : said.join('; ')}: ${drawn}`;
}

function lineageRaised(before: ChainView, after: ChainView): readonly string[] {
  return after.lineage > before.lineage ? [`lineage raised to ${after.lineage}`] : [];
}

function moves(before: ChainView, after: ChainView): readonly string[] {
  const all = ({ serving, joining }: ChainView): readonly Place[] =>
    joining === null ? serving : [...serving, joining];
  const has = (places: readonly Place[], { store }: Place): boolean =>
    places.some((one) => one.store === store);
  const left = all(before).filter((one) => !has(all(after), one));
  const caughtUp = after.serving.filter((one) => before.joining?.store === one.store);
  const came = after.serving.filter((one) => !has(all(before), one));
  const head = after.serving[0];
  const moved = head !== undefined && head.store !== before.serving[0]?.store;
  const { joining } = after;
  return [
    ...left.map(({ id }) => `${id} left`),
    ...came.map(({ id }) => `${id} came in`),
    ...caughtUp.map(({ id }) => `${id} caught up`),
    ...(joining === null || has(all(before), joining) ? [] : [`${joining.id} joins`]),
    ...(moved ? [`${head.id} is head`] : []),
  ];
}

/** The last reconfigurations that this process heard of, however it did. */
export class Changes {
  readonly #newest = new Map<string, ChainView>();
  #kept: readonly Change[] = [];

  /** Remembers `view` where it is newer than what is known; `quiet` where its age is not known. */
  heard(atMicros: Micros, view: ChainView, quiet = false): void {
    const before = this.#newest.get(view.journal) ?? null;
    if (before !== null && !isNewer(before, view)) return;
    this.#newest.delete(view.journal);
    this.#newest.set(view.journal, view);
    const [oldest] = this.#newest.keys();
    if (this.#newest.size > JOURNALS_MAX && oldest !== undefined) this.#newest.delete(oldest);
    if (quiet && before === null) return;
    const { name: journal, lineage, epoch } = view;
    const text = describeChange(before, view);
    const change = { atMicros, journal, lineage, epoch, text };
    this.#kept = [...this.#kept.slice(1 - CHANGES_MAX), change];
  }

  /** Newest first, at most `count`. */
  last(count: number): readonly Change[] {
    return this.#kept.slice(-count).reverse();
  }
}

const isNewer = (before: ChainView, after: ChainView): boolean =>
  after.lineage > before.lineage ||
  (after.lineage === before.lineage && after.epoch > before.epoch) ||
  (after.deleted && !before.deleted);
