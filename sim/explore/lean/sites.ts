// What a site does is decided by what it is and by what it is given: a search runs the machine once
// for each pair of both. Sites that are alike to the last field are one value, which worlds share.
//
// Time is told from the present for that: something is due or it is not, the clock stands still,
// and letting time pass makes all that waits due instead.

import { checkMember } from '../../../protocol/chain/invariants.ts';
import type { ChainEffect, ChainMessage } from '../../../protocol/chain/messages.ts';
import { type ChainState, RESEND_MICROS } from '../../../protocol/chain/state.ts';
import type { Configuration } from '../../../protocol/configuration.ts';
import { invariant } from '../../../protocol/errors.ts';
import { type Lsn, type Micros, micros, type StoreId } from '../../../protocol/types.ts';
import type { ChainWorldState, Memory, Site } from '../chain-parts.ts';
import { copySite } from './copy.ts';

/** What a step of one site comes to. */
export interface Outcome {
  readonly site: Site;
  readonly sent: readonly { readonly to: StoreId; readonly message: ChainMessage }[];
  /** Positions that were acknowledged, with what lies there. */
  readonly acknowledged: readonly (readonly [Lsn, number])[];
  readonly reads: readonly { readonly request: number; readonly committedLsn: Lsn }[];
}

/** A step of one site: its kind, and the number of what the site is given, if anything. */
export interface SiteStep {
  readonly kind: number;
  readonly given: number;
  /** Carries it out in a world in which only the site may be changed. */
  readonly run: (alone: ChainWorldState) => void;
}

interface Known {
  readonly number: number;
  readonly outcomes: Map<number, Outcome>;
  readonly idle: Map<number, boolean>;
  /** Of all that invariants of several sites look at. */
  readonly view: number;
}

/** Where the clock stands: what was never done is due. */
export const PRESENT = micros(RESEND_MICROS + 1);
/** The time of all that is due. */
const DUE = micros(1);

const KINDS = 16;
/** More than there are starts of one process, down included. */
export const INCARNATIONS = 8;

export class Sites implements Memory {
  readonly #sites = new Map<string, Site>();
  readonly #known = new Map<Site, Known>();
  readonly #views = new Map<string, number>();
  readonly #messages = new Map<string, ChainMessage>();
  readonly #messageNumbers = new Map<ChainMessage, number>();
  readonly #configurations = new Map<string, Configuration>();
  readonly #configurationNumbers = new Map<Configuration, number>();
  readonly #decided = new Map<readonly Configuration[], Map<Configuration, Configuration[]>>();
  readonly #successors = new Map<Configuration, Map<number, readonly Configuration[]>>();
  /** Runs of the machine, and steps that were known already. */
  readonly counts = { runs: 0, repeats: 0 };

  /** The one value for all sites that are like this one. */
  site(given: Site): Site {
    const site = copySite(given);
    if (site.state !== null) settleTimes(site.state);
    const text = siteKey(site);
    const before = this.#sites.get(text);
    if (before !== undefined) return before;
    if (site.state !== null) checkMember(site.state);
    this.#sites.set(text, site);
    const view = numbered(this.#views, viewOf(site));
    const number = this.#known.size;
    this.#known.set(site, { number, outcomes: new Map(), idle: new Map(), view });
    return site;
  }

  message(message: ChainMessage): ChainMessage {
    const text = JSON.stringify(message);
    const before = this.#messages.get(text);
    if (before !== undefined) return before;
    this.#messages.set(text, message);
    this.#messageNumbers.set(message, this.#messages.size);
    return message;
  }

  numberOf(message: ChainMessage): number {
    const number = this.#messageNumbers.get(message);
    invariant(number !== undefined, 'a message on a shared wire is known', () => message.body.kind);
    return number;
  }

  configuration(configuration: Configuration): Configuration {
    const text = configurationKey(configuration);
    const before = this.#configurations.get(text);
    if (before !== undefined) return before;
    this.#configurations.set(text, configuration);
    this.#configurationNumbers.set(configuration, this.#configurations.size);
    return configuration;
  }

  configurationNumber(configuration: Configuration): number {
    const number = this.#configurationNumbers.get(configuration);
    if (number !== undefined) return number;
    return this.configurationNumber(this.configuration(configuration));
  }

  /** One list for each sequence of decisions, so that what is known of it need not be found anew. */
  decided(before: readonly Configuration[], next: Configuration): Configuration[] {
    const lists = this.#decided.get(before) ?? new Map<Configuration, Configuration[]>();
    this.#decided.set(before, lists);
    const one = this.configuration(next);
    const list = lists.get(one) ?? [...before, one];
    lists.set(one, list);
    return list;
  }

  siteNumber(site: Site): number {
    return this.#of(site).number;
  }

  view(site: Site): number {
    return this.#of(site).view;
  }

  idle(site: Site, message: ChainMessage, look: () => boolean): boolean {
    const { idle } = this.#of(site);
    const number = this.numberOf(message);
    const known = idle.get(number);
    if (known !== undefined) return known;
    const found = look();
    idle.set(number, found);
    return found;
  }

  successors(
    now: Configuration,
    about: number,
    find: () => readonly Configuration[],
  ): readonly Configuration[] {
    const before = this.#successors.get(now) ?? new Map<number, readonly Configuration[]>();
    this.#successors.set(now, before);
    const known = before.get(about) ?? find().map((one) => this.configuration(one));
    before.set(about, known);
    return known;
  }

  /** What the step comes to at a site of `world`: from memory, or by running the machine. */
  outcome(world: ChainWorldState, at: number, step: SiteStep): Outcome {
    const site = world.sites[at];
    invariant(site !== undefined, 'a step names a site', () => String(at));
    const { outcomes } = this.#of(site);
    const key = step.given * KINDS * 2 * INCARNATIONS ** 4 + step.kind + KINDS * around(world);
    const known = outcomes.get(key);
    if (known !== undefined) {
      this.counts.repeats += 1;
      return known;
    }
    this.counts.runs += 1;
    const made = this.#run(world, site, step);
    outcomes.set(key, made);
    return made;
  }

  #run(world: ChainWorldState, site: Site, step: SiteStep): Outcome {
    const own = copySite(site);
    const acknowledged = new Map<Lsn, number>();
    const reads: { readonly request: number; readonly committedLsn: Lsn }[] = [];
    const alone: ChainWorldState = {
      ...world,
      clock: PRESENT,
      sites: world.sites.map((one) => (one === site ? own : one)),
      wires: [],
      decided: [...world.decided],
      acknowledged,
      asked: [],
      used: { ...world.used },
      observe: (_store: StoreId, effect: ChainEffect) => {
        if (effect.kind !== 'reply' || effect.reply.kind !== 'readIndex') return;
        reads.push({ request: effect.request, committedLsn: effect.reply.committedLsn });
      },
    };
    step.run(alone);
    const sent = alone.wires.flatMap(({ from, to, messages }) => {
      if (from !== site.store) return [];
      return messages.map((message) => ({ to, message: this.message(message) }));
    });
    return { site: this.site(own), sent, acknowledged: [...acknowledged], reads };
  }

  #of(site: Site): Known {
    const known = this.#known.get(site);
    invariant(known !== undefined, 'a shared site is known', () => String(site.store));
    return known;
  }
}

/** What a step of a site may depend on beside it: who would get what it sends, crashes left. */
function around({ sites, used, scope }: ChainWorldState): number {
  let number = Number(used.crashes >= scope.crashes);
  for (const { state, incarnation } of sites) {
    number = number * INCARNATIONS + (state === null ? 0 : incarnation);
  }
  return number;
}

function numbered(numbers: Map<string, number>, text: string): number {
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, numbers.size);
  return numbers.size - 1;
}

// ── Times ─────────────────────────────────────────────────────────────────────────────────────

function settleTimes(state: ChainState): void {
  const settled = (time: Micros): Micros => (PRESENT - time >= RESEND_MICROS ? DUE : PRESENT);
  changeTimes(state, settled);
}

/** Time passes at a site: whatever waits is due. */
export function age(site: Site): void {
  if (site.state !== null) changeTimes(site.state, () => DUE);
}

function changeTimes(state: ChainState, change: (time: Micros) => Micros): void {
  state.now = PRESENT;
  state.wall = PRESENT;
  state.inquiredAt = PRESENT;
  state.syncSentAt = change(state.syncSentAt);
  state.forwardedAt = change(state.forwardedAt);
  state.relayedAt = change(state.relayedAt);
  for (const read of state.remoteReads.values()) read.sentAt = change(read.sentAt);
}

// ── Keys: equal for values that are equal in every field ──────────────────────────────────────

function configurationKey({ epoch, serving, joining }: Configuration): string {
  const members = serving.map(({ store, incarnation }) => `${Number(store)}@${incarnation}`);
  const last = joining === null ? '' : `+${Number(joining.store)}@${joining.incarnation}`;
  return `${epoch}[${members.join(' ')}${last}]`;
}

/** Of a configuration what differs within a scope; of a map its entries. */
function plain(_name: string, value: unknown): unknown {
  if (value instanceof Map) return [...value];
  if (typeof value !== 'object' || value === null) return value;
  // cast: only configurations have both.
  if ('serving' in value && 'joining' in value) return configurationKey(value as Configuration);
  return value;
}

function siteKey(site: Site): string {
  const { prints, ...rest } = site;
  return JSON.stringify(rest, plain);
}

function viewOf({ store, incarnation, state, durable }: Site): string {
  const up = state === null ? null : [state.shape, state.committedLsn, state.durableLsn];
  return JSON.stringify([store, incarnation, up, durable.map((h) => [h.firstLsn, h.bodyCrc])]);
}
