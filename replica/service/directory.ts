// Where a journal is that this replica does not host: asked of the controllers, and remembered for
// a moment so that a client that knocks in a loop costs them little. While no controller answers,
// it is said as it was known last: whoever is named knows more, and a stale answer costs a refusal.

import type { Clock } from '../../io/clock.ts';
import { type Configuration, compareConfigurations } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type JournalId, type Micros, micros } from '../../protocol/types.ts';
import { controllerMethods } from '../../transport/methods.ts';
import type { Controllers } from '../controllers.ts';
import type { Host } from '../drive/host.ts';
import type { Journals } from '../journals.ts';

const REMEMBERED = 500_000;
const NAMES_MAX = 10_000;
const LOOKUP = micros(3_000_000);
/** Where there is something to say without them: less than a client waits for an answer. */
const LOOKUP_BRIEF = micros(300_000);

interface Answer {
  readonly at: Micros;
  readonly found: Promise<Found>;
}

interface Found {
  readonly configuration: Configuration | null;
  /** Whom the journal waits for, where no member with the whole log is left; else empty. */
  readonly lost: string;
}

export class Directory {
  readonly #clock: Clock;
  readonly #controllers: Controllers;
  readonly #journals: Journals;
  readonly #answers = new Map<string, Answer>();
  /** What the controllers said last, by name, however long ago. */
  readonly #told = new Map<string, Configuration>();

  constructor(clock: Clock, controllers: Controllers, journals: Journals) {
    this.#clock = clock;
    this.#controllers = controllers;
    this.#journals = journals;
  }

  /** The journal where it is served here, or undefined: then `host` says more. */
  here(name: string, id?: JournalId): Host | undefined {
    const host = id === undefined ? this.#journals.byName(name) : this.#journals.find(id);
    const served = host !== undefined && !host.closed && host.isMember && host.name === name;
    return served ? host : undefined;
  }

  /**
   * The journal served here. Rejects with NOT_FOUND, NO_SURVIVOR where nobody can serve it, or
   * NOT_HEAD with the configuration. `id` is the journal that is meant: NOT_FOUND where another one
   * has the name by now.
   */
  async host(name: string, id?: JournalId): Promise<Host> {
    const host = this.here(name, id);
    if (host !== undefined) return host;
    const { configuration, lost } = await this.#named(name, id);
    if (configuration === null) throw new JournalError('NOT_FOUND', `no journal ${name}`);
    if (id !== undefined && configuration.journal !== id) {
      const message = `journal_id is ${id}, allowed is ${configuration.journal}`;
      throw new JournalError('NOT_FOUND', `${message}: journal ${name} was made anew`);
    }
    if (lost !== '') throw new JournalError('NO_SURVIVOR', lost, { configuration });
    throw new JournalError('NOT_HEAD', `journal ${name} is served by other replicas`, {
      configuration,
    });
  }

  /** What is remembered may be of a journal that had the name before: then it is asked again. */
  async #named(name: string, id: JournalId | undefined): Promise<Found> {
    const known = await this.#find(name);
    const { configuration } = known;
    if (id === undefined || configuration === null || configuration.journal === id) return known;
    this.forget(name);
    return await this.#find(name);
  }

  /** The newest configuration as the controllers know it; null where there is no such journal. */
  async find(name: string): Promise<Configuration | null> {
    return (await this.#find(name)).configuration;
  }

  async #find(name: string): Promise<Found> {
    const asked = this.#clock.now();
    for (;;) {
      const known = this.#answers.get(name);
      if (known === undefined || this.#clock.now() - known.at >= REMEMBERED) break;
      const found = await known.found;
      // That there is none is only told to who asked before: it may have been made since.
      if (found.configuration !== null || known.at >= asked) return found;
      if (this.#answers.get(name) === known) break;
    }
    const found = this.#ask(name);
    putLast(this.#answers, name, { at: this.#clock.now(), found });
    // A failure is not remembered.
    found.catch(() => this.forget(name));
    return await found;
  }

  /** What was just created or deleted is looked up anew. */
  forget(name: string): void {
    this.#answers.delete(name);
  }

  async #ask(name: string): Promise<Found> {
    const known = this.#known(name);
    const timeout = known === undefined ? LOOKUP : LOOKUP_BRIEF;
    try {
      const method = controllerMethods.journals;
      const { configurations, lost } = await this.#controllers.ask(method, { name }, { timeout });
      const configuration = configurations.find((one) => one.name === name) ?? null;
      if (configuration === null) this.#told.delete(name);
      else putLast(this.#told, name, configuration);
      const missing = lost.find(({ journal }) => journal === configuration?.journal);
      return { configuration, lost: missing?.note ?? '' };
    } catch (error) {
      const silent = error instanceof JournalError && error.code === 'UNAVAILABLE';
      if (!silent || known === undefined) throw error;
      return { configuration: known, lost: '' };
    }
  }

  /** The newest configuration that was heard of without asking anybody. */
  #known(name: string): Configuration | undefined {
    const told = this.#told.get(name);
    const heard = this.#journals.byName(name)?.known ?? undefined;
    if (heard === undefined || heard.name !== name) return told;
    // Another id: the name was given anew after this replica left the one that it hosted.
    if (told === undefined || told.journal !== heard.journal) return told ?? heard;
    return compareConfigurations(told, heard) > 0 ? told : heard;
  }
}

/** The newest is the last; the oldest goes where there are too many. */
function putLast<Value>(map: Map<string, Value>, name: string, value: Value): void {
  map.delete(name);
  map.set(name, value);
  const [oldest] = map.keys();
  if (map.size > NAMES_MAX && oldest !== undefined) map.delete(oldest);
}
