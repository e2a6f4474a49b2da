// Events on a JournalCluster: what was done and why, each said once in a while.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Random } from '../../io/random.ts';
import { type KubeApi, type KubeObject, RESOURCES } from './api.ts';
import { createObject } from './objects.ts';

const AGAIN_MICROS = 600_000_000;
const REMEMBERED_MAX = 2_000;
const NOTE_CHARACTERS_MAX = 1_000;

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
  readonly #said = new Map<string, number>();

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
  say(about: KubeObject, { type, reason, note }: EventText): void {
    const { name, namespace, uid } = about.metadata;
    const key = `${uid}/${reason}/${note}`;
    const now = this.#clock.now();
    const last = this.#said.get(key);
    if (last !== undefined && now - last < AGAIN_MICROS) return;
    this.#said.delete(key);
    this.#said.set(key, now);
    const [oldest] = this.#said.keys();
    if (this.#said.size > REMEMBERED_MAX && oldest !== undefined) this.#said.delete(oldest);
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
      note: note.slice(0, NOTE_CHARACTERS_MAX),
      type,
    };
    createObject(this.#api, event).catch((error: unknown) => {
      this.#logger.warn({ error: String(error), reason }, 'an event could not be written');
    });
  }
}
