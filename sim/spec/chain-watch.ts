// The replay beside a simulated cluster: every turn of a chain machine must be a step of its model.
//
// It is told the state, what went in and what came out, and what the log of that replica has on its
// disk; from these it keeps what each store has written, synced and saved.
//
// A journal is left alone, and counted, once it does what the model leaves out: a loss that was
// forced, an import, a deletion, two processes on one volume (see specs/README.md).

import type { ChainEffect, ChainInput, ChainRecord } from '../../protocol/chain/messages.ts';
import { endEpoch } from '../../protocol/chain/shape.ts';
import type { ChainState } from '../../protocol/chain/state.ts';
import { type Configuration, order } from '../../protocol/configuration.ts';
import { FIRST_LSN, type JournalId, type StoreId } from '../../protocol/types.ts';
import { SpecViolation } from './chain.ts';
import { type Entry, grown, type Log, upTo } from './chain-log.ts';
import { ChainReplay, type Member } from './chain-replay.ts';

/** One turn of a machine. */
export interface Turned {
  readonly state: ChainState;
  readonly inputs: readonly ChainInput[];
  readonly effects: readonly ChainEffect[];
  /** Last position that is on the disk, as the log knows it. */
  readonly durableLsn: number;
}

interface Shadow extends Member {
  /** The process: another one on the same store is another life. */
  process: object;
  incarnation: number;
  state: ChainState;
  written: Log;
  /** Of what was written, the log whose entries are all known to the journal. */
  remembered: Log | null;
  durable: Log;
  record: ChainRecord | null;
  nextRequest: number;
  readonly saves: Map<number, ChainRecord>;
}

const membersOf = (configuration: Configuration | undefined): string =>
  configuration === undefined
    ? 'none'
    : order(configuration)
        .map(({ store, incarnation }) => `${store}.${incarnation}`)
        .join(' ');

export class ChainWatch {
  readonly #journals = new Map<JournalId, JournalWatch>();

  /** Call after each turn; throws a SpecViolation with the action that is not allowed. */
  turned(process: object, turn: Turned): void {
    const { journal } = turn.state;
    const watch = this.#journals.get(journal) ?? new JournalWatch();
    this.#journals.set(journal, watch);
    watch.turned(process, turn);
  }

  /** Steps that were replayed, of all journals, by action; and journals that were left alone. */
  counts(): { readonly taken: ReadonlyMap<string, number>; readonly left: number } {
    const taken = new Map<string, number>();
    let left = 0;
    for (const watch of this.#journals.values()) {
      if (watch.left) left += 1;
      for (const [action, count] of watch.taken) {
        taken.set(action, (taken.get(action) ?? 0) + count);
      }
    }
    return { taken, left };
  }
}

class JournalWatch {
  left = false;
  readonly #replay = new ChainReplay();
  readonly #decided: Configuration[] = [];
  /** Turns are many, configurations few: each object is looked at once. */
  readonly #heard = new WeakSet<Configuration>();
  readonly #shadows = new Map<StoreId, Shadow>();
  /** Every entry that was ever written, with the one before it, by position and epoch. */
  readonly #entries = new Map<string, { readonly entry: Entry; readonly before: Entry | null }>();

  get taken(): ReadonlyMap<string, number> {
    return this.#replay.taken;
  }

  turned(process: object, turn: Turned): void {
    if (this.left) return;
    for (const heard of this.#newIn(turn)) this.#hear(heard);
    if (this.left) return;
    const shadow = this.#shadowOf(process, turn);
    if (shadow === null) {
      // Two processes on one volume, both at work.
      if (turn.inputs.length > 0) this.left = true;
      return;
    }
    take(shadow, turn, (at, epoch) => this.#logTo(at, epoch));
    if (shadow.written !== shadow.remembered) this.#remember(shadow.written);
    shadow.remembered = shadow.written;
    const { store } = shadow;
    const effects = turn.effects.map((effect) => ({ store, effect }));
    // Nobody heard of any configuration: there is no journal in the model yet.
    if (this.#decided.length === 0) return;
    this.#replay.step({ decided: this.#decided, members: [shadow], effects });
  }

  /** Configurations in a turn that were in none before, in the order of their epochs. */
  #newIn({ state, inputs }: Turned): readonly Configuration[] {
    const fresh: Configuration[] = [];
    const see = (configuration: Configuration | null | undefined): void => {
      if (configuration == null || this.#heard.has(configuration)) return;
      this.#heard.add(configuration);
      fresh.push(configuration);
    };
    for (const input of inputs) {
      if (input.kind === 'configure' || input.kind === 'learn') see(input.configuration);
    }
    see(state.record?.configuration);
    see(state.known);
    return fresh.sort((one, other) => one.epoch - other.epoch);
  }

  #hear(next: Configuration): void {
    const { lineage, epoch, deleted, firstLsn } = next;
    if (lineage !== 1 || deleted || firstLsn !== FIRST_LSN) this.left = true;
    else if (epoch === this.#decided.length + 1) this.#decided.push(next);
    // No replica heard of the one between: the model could not say what this one follows.
    else if (epoch > this.#decided.length) this.left = true;
    else if (!this.left) this.#isSame(next);
  }

  /** The register decides an epoch once, whoever hears of it. */
  #isSame(next: Configuration): void {
    const was = membersOf(this.#decided[next.epoch - 1]);
    const is = membersOf(next);
    if (was === is) return;
    throw new SpecViolation('Reconfig', `epoch ${next.epoch} was decided as ${was}, and as ${is}`);
  }

  /** Null for a process that another has followed on its store. */
  #shadowOf(process: object, { state, effects }: Turned): Shadow | null {
    const { store, incarnation } = state.me;
    const known = this.#shadows.get(store);
    if (known?.process === process) return known;
    if (known !== undefined && known.incarnation >= incarnation) return null;
    // Told at its birth, before any turn: what it has is what its volume had.
    if (effects.length > 0) throw new SpecViolation(`Crash(${store})`, 'it was never opened');
    const written = this.#logTo(state.shape.endLsn, endEpoch(state.shape));
    const shadow: Shadow = {
      process,
      store,
      incarnation,
      state,
      written,
      remembered: null,
      durable: written,
      record: state.record,
      nextRequest: 1,
      saves: new Map(),
    };
    this.#shadows.set(store, shadow);
    return shadow;
  }

  #remember(log: Log): void {
    for (let at = log.length - 1; at >= 0; at -= 1) {
      const entry = log[at];
      if (entry === undefined) break;
      const place = `${entry.lsn} ${entry.epoch}`;
      const known = this.#entries.get(place);
      if (known?.entry.id === entry.id) break;
      if (known !== undefined) {
        throw new SpecViolation('Append_', `two entries of epoch ${entry.epoch} at ${entry.lsn}`);
      }
      this.#entries.set(place, { entry, before: log[at - 1] ?? null });
    }
  }

  /** The log that ends with the entry of this place. */
  #logTo(at: number, epoch: number): Log {
    const log: Entry[] = [];
    let place = at === 0 ? undefined : this.#entries.get(`${at} ${epoch}`);
    if (at > 0 && place === undefined) {
      throw new SpecViolation('Crash', `a volume ends at ${at} of epoch ${epoch}, never written`);
    }
    while (place !== undefined) {
      log.push(place.entry);
      const { before } = place;
      place = before === null ? undefined : this.#entries.get(`${before.lsn} ${before.epoch}`);
    }
    return log.reverse();
  }
}

/** What a turn wrote, cut, saved and synced. */
function take(
  shadow: Shadow,
  { state, inputs, effects, durableLsn }: Turned,
  logTo: (at: number, epoch: number) => Log,
): void {
  for (const input of inputs) {
    if (input.kind === 'request') {
      shadow.nextRequest = Math.max(shadow.nextRequest, input.request + 1);
    }
    if (input.kind === 'saved') saved(shadow, input.save);
    if (input.kind === 'based' && input.tables !== null) {
      shadow.written = logTo(input.shape.endLsn, endEpoch(input.shape));
      shadow.durable = shadow.written;
    }
  }
  for (const effect of effects) {
    if (effect.kind === 'append') shadow.written = grown(shadow.written, [effect.header]);
    else if (effect.kind === 'write') {
      shadow.written = grown(
        shadow.written,
        effect.batches.map(({ header }) => header),
      );
    } else if (effect.kind === 'truncate') shadow.written = upTo(shadow.written, effect.endLsn);
    else if (effect.kind === 'save') shadow.saves.set(effect.save, effect.record);
    else if (effect.kind === 'setAside') {
      shadow.written = [];
      shadow.durable = [];
    }
  }
  shadow.state = state;
  // While a cut is under way the disk still holds what it will drop.
  if (state.cutting === 0) shadow.durable = upTo(shadow.written, durableLsn);
}

function saved(shadow: Shadow, number: number): void {
  for (const [save, record] of shadow.saves) {
    if (save > number) break;
    shadow.record = record;
    shadow.saves.delete(save);
  }
}
