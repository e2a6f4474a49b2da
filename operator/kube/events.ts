// Events on a JournalCluster: what was done and why, each said once in a while.
//
// The text of a Warning may differ each time, as where a refusal names what it made up: of one
// object and reason one Warning is said at once, and of all that follow soon the last.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Random } from '../../io/random.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import { type KubeApi, type KubeObject, RESOURCES } from './api.ts';
import { createObject } from './objects.ts';

const AGAIN_MICROS = 600_000_000;
/** Between two Warnings of one reason. */
const WARNING_MICROS = micros(10_000_000);
const REMEMBERED_MAX = 2_000;
/** The API server takes no more, and calls these characters. */
const NOTE_BYTES_MAX = 1_024;

export interface EventText {
  readonly type: 'Normal' | 'Warning';
  /** One word, such as `Restarting`. */
  readonly reason: string;
  readonly note: string;
}

export class Events {
  readonly #api: KubeApi;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #instance: string;
  /** When each was said, by object, reason and text. */
  readonly #said = new Map<string, Micros>();
  /** Since when Warnings of an object and reason are held back, and the last of them. */
  readonly #held = new Map<string, (() => void) | null>();

  constructor(
    parts: { readonly api: KubeApi; readonly clock: Clock; readonly random: Random },
    logger: Logger,
    instance: string,
  ) {
    this.#api = parts.api;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#logger = logger;
    this.#instance = instance;
  }

  /** Never waits and never fails: an event is a courtesy. */
  say(about: KubeObject, text: EventText): void {
    const { uid } = about.metadata;
    const key = `${uid}/${text.reason}/${text.note}`;
    const last = this.#said.get(key);
    if (last !== undefined && this.#clock.now() - last < AGAIN_MICROS) return;
    const say = (): void => {
      this.#remember(key);
      this.#create(about, text);
    };
    if (text.type === 'Warning') this.#warn(`${uid}/${text.reason}`, say);
    else say();
  }

  #warn(key: string, say: () => void): void {
    if (this.#held.has(key)) {
      this.#held.set(key, say);
      return;
    }
    // With so many under way nothing more is held back.
    if (this.#held.size < REMEMBERED_MAX) {
      this.#held.set(key, null);
      this.#clock.after(WARNING_MICROS, () => {
        const next = this.#held.get(key);
        this.#held.delete(key);
        if (next) this.#warn(key, next);
      });
    }
    say();
  }

  #remember(key: string): void {
    this.#said.delete(key);
    this.#said.set(key, this.#clock.now());
    const [oldest] = this.#said.keys();
    if (this.#said.size > REMEMBERED_MAX && oldest !== undefined) this.#said.delete(oldest);
  }

  #create(about: KubeObject, { type, reason, note }: EventText): void {
    const { name, namespace, uid } = about.metadata;
    const { apiVersion, kind } = RESOURCES.Event;
    const event: KubeObject = {
      apiVersion,
      kind,
      metadata: {
        name: `${name}.${this.#random.hex(8)}`,
        ...(namespace === undefined ? {} : { namespace }),
      },
      eventTime: new Date(this.#clock.wall() / 1000).toISOString().replace('Z', '000Z'),
      reportingController: 'journal.dev/operator',
      reportingInstance: this.#instance,
      action: reason,
      reason,
      regarding: { apiVersion: about.apiVersion, kind: about.kind, name, namespace, uid },
      note: clipped(note),
      type,
    };
    createObject(this.#api, event).catch((error: unknown) => {
      this.#logger.warn({ error: String(error), reason }, 'an event could not be written');
    });
  }
}

/** Up to the last whole character that there is room for. */
function clipped(text: string): string {
  const bytes = new Uint8Array(NOTE_BYTES_MAX);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  return text.slice(0, read);
}
