// A local copy of the objects of one kind, kept by list and watch, that never goes deaf.
//
// The list is paged; the watch asks for bookmarks and for an end after some minutes, and counts as
// broken when it is silent for longer than bookmarks may be apart. After every error it starts
// again, with full-jitter back-off and never before the server's Retry-After; after 410 from a new
// list. An object that was deleted and made again under its name is told by its UID, and handed on
// as a deletion and an addition.

import type { Clock } from '../../io/clock.ts';
import type { Logger } from '../../io/logger.ts';
import type { Random } from '../../io/random.ts';
import { type Micros, micros } from '../../protocol/types.ts';
import { type KubeApi, KubeError, type KubeObject, pathOf, type Resource } from './api.ts';
import { numberAt, textAt, withKind } from './fields.ts';
import { listObjects } from './objects.ts';

export interface InformerParts {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface InformerOptions {
  readonly resource: Resource;
  /** Undefined: every namespace. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  /** The API server may not know the kind, now or later: then there is nothing of it. */
  readonly optional?: boolean;
  readonly pageSize?: number;
  /** Seconds after which the server is asked to end a watch, so that it moves on. */
  readonly watchSeconds?: number;
  /** Longest silence; bookmarks come about every minute. */
  readonly silence?: Micros;
  readonly backoffMin?: Micros;
  readonly backoffMax?: Micros;
  /** What is and what was; one of them null for an addition or a deletion. Must not throw. */
  readonly onChange: (now: KubeObject | null, before: KubeObject | null) => void;
}

export interface Informer {
  /** Whether a full list was read; false again never. */
  readonly synced: boolean;
  /** False while the API server says that there is no such kind; only where that is optional. */
  readonly known: boolean;
  /** Microseconds of the clock when the server last said anything. */
  readonly heardAt: Micros;
  get(namespace: string, name: string): KubeObject | undefined;
  list(): readonly KubeObject[];
  stop(): void;
}

export function startInformer(parts: InformerParts, options: InformerOptions): Informer {
  const informer = new RealInformer(parts, options);
  void informer.run();
  return informer;
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

class RealInformer implements Informer {
  readonly #parts: InformerParts;
  readonly #options: InformerOptions;
  readonly #objects = new Map<string, KubeObject>();
  readonly #stop = new AbortController();
  #synced = false;
  #known = true;
  #heardAt: Micros;
  /** Where the watch goes on; empty: list first. */
  #resourceVersion = '';
  #failures = 0;

  constructor(parts: InformerParts, options: InformerOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#heardAt = parts.clock.now();
  }

  get synced(): boolean {
    return this.#synced;
  }

  get known(): boolean {
    return this.#known;
  }

  get heardAt(): Micros {
    return this.#heardAt;
  }

  get(namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  list(): readonly KubeObject[] {
    return [...this.#objects.values()];
  }

  stop(): void {
    this.#stop.abort(new Error('the informer was stopped'));
  }

  async run(): Promise<void> {
    const { logger } = this.#parts;
    while (!this.#stop.signal.aborted) {
      const began = this.#parts.clock.now();
      try {
        if (this.#resourceVersion === '') await this.#list();
        await this.#watch();
        // A watch that the server ends at once must not become a loop without a pause.
        if (this.#parts.clock.now() - began < 1_000_000) await this.#pause(micros(0));
        else this.#failures = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const known = error instanceof KubeError ? error : undefined;
        if (known?.status === 410) this.#resourceVersion = '';
        const { kind } = this.#options.resource;
        if (known?.status === 404 && this.#options.optional === true) this.#hearOfNone();
        else logger.warn({ kind, error: String(error) }, 'a watch broke, it starts again');
        await this.#pause(known?.retryAfter ?? micros(0));
      }
    }
  }

  async #list(): Promise<void> {
    const { resource, namespace, labelSelector, pageSize } = this.#options;
    const options = { labelSelector, pageSize, signal: this.#stop.signal };
    const { objects, resourceVersion } = await listObjects(
      this.#parts.api,
      resource,
      namespace,
      options,
    );
    const gone = new Set(this.#objects.keys());
    for (const object of objects) {
      gone.delete(keyOf(object));
      this.#put(object);
    }
    for (const key of gone) this.#remove(key);
    this.#resourceVersion = resourceVersion;
    this.#heardAt = this.#parts.clock.now();
    this.#synced = true;
    this.#known = true;
  }

  /** Told once; it is asked again and again all the same, since the kind may come. */
  #hearOfNone(): void {
    const { kind } = this.#options.resource;
    if (this.#known) this.#parts.logger.warn({ kind }, 'the API server does not know the kind');
    for (const key of [...this.#objects.keys()]) this.#remove(key);
    this.#resourceVersion = '';
    this.#heardAt = this.#parts.clock.now();
    this.#synced = true;
    this.#known = false;
  }

  async #watch(): Promise<void> {
    const { resource, namespace, labelSelector, watchSeconds = 300 } = this.#options;
    const query: Record<string, string> = {
      allowWatchBookmarks: 'true',
      resourceVersion: this.#resourceVersion,
      timeoutSeconds: String(watchSeconds),
    };
    if (labelSelector !== undefined) query.labelSelector = labelSelector;
    const events = this.#parts.api.watch({
      path: pathOf(resource, namespace),
      query,
      silence: this.#options.silence ?? micros(100_000_000),
      signal: this.#stop.signal,
    });
    for await (const { type, object } of events) {
      this.#heardAt = this.#parts.clock.now();
      if (type === 'ERROR') throw errorOf(object);
      this.#failures = 0;
      this.#take(type, object);
    }
  }

  #take(type: string, value: unknown): void {
    const { apiVersion, kind } = this.#options.resource;
    const version = textAt(value, 'metadata', 'resourceVersion');
    if (version !== undefined) this.#resourceVersion = version;
    const object = withKind(value, apiVersion, kind);
    if (object === undefined) return;
    if (type === 'ADDED' || type === 'MODIFIED') this.#put(object);
    else if (type === 'DELETED') this.#remove(keyOf(object));
  }

  #put(object: KubeObject): void {
    const key = keyOf(object);
    const before = this.#objects.get(key) ?? null;
    const { uid, resourceVersion } = object.metadata;
    if (before !== null && before.metadata.uid !== uid) this.#remove(key);
    else if (before?.metadata.resourceVersion === resourceVersion && before !== null) return;
    const replaced = before !== null && before.metadata.uid !== uid;
    this.#objects.set(key, object);
    this.#tell(object, replaced ? null : before);
  }

  #remove(key: string): void {
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#objects.delete(key);
    this.#tell(null, before);
  }

  #tell(now: KubeObject | null, before: KubeObject | null): void {
    try {
      this.#options.onChange(now, before);
    } catch (error) {
      this.#parts.logger.error({ error: String(error) }, 'a change could not be handed on');
    }
  }

  /** Full jitter: anything up to a bound that doubles; never less than the server asked for. */
  async #pause(atLeast: Micros): Promise<void> {
    const { backoffMin = micros(200_000), backoffMax = micros(30_000_000) } = this.#options;
    const bound = Math.min(backoffMax, backoffMin * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 20);
    const delay = micros(Math.round(atLeast + this.#parts.random.fraction() * bound));
    await new Promise<void>((resolve) => {
      const cancel = this.#parts.clock.after(delay, resolve);
      const stopped = (): void => {
        cancel();
        resolve();
      };
      this.#stop.signal.addEventListener('abort', stopped, { once: true });
    });
  }
}

function errorOf(object: unknown): KubeError {
  const status = numberAt(object, 'code') ?? 0;
  const reason = textAt(object, 'reason') ?? 'Unknown';
  const message = textAt(object, 'message') ?? 'the watch ended with an error';
  return new KubeError(message, { status, reason, retryAfter: micros(0) });
}
