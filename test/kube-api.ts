// A small API server in memory, for tests of what writes objects: versions, UIDs, watches, apply.
//
// It keeps what a reconciler leans on (preconditions, no write where nothing changes, a watch that
// tells everything once) and knows nothing of schemas: the real one is asked in test/kubernetes/.

import { isDeepStrictEqual } from 'node:util';
import {
  type KubeApi,
  KubeError,
  type KubeObject,
  type KubeRequest,
  type WatchEvent,
  type WatchRequest,
} from '../operator/kube/api.ts';
import { at, isObject, type Json, textAt } from '../operator/kube/fields.ts';
import { micros } from '../protocol/types.ts';

const refuse = (status: number, reason: string): KubeError =>
  new KubeError(`${status} ${reason}`, { status, reason, retryAfter: micros(0) });

export class MemoryKube implements KubeApi {
  readonly objects = new Map<string, KubeObject>();
  /** Every write that changed something: `PATCH /path`. */
  readonly writes: string[] = [];
  /** Called before each request; throws what the server should answer. */
  before: (request: KubeRequest) => void = () => {};
  /** Paths of objects that were created with owners: to be applied without takes none out there. */
  readonly #owned = new Set<string>();
  readonly #watchers = new Set<(event: WatchEvent, path: string) => void>();
  #version = 1;

  async request(request: KubeRequest): Promise<unknown> {
    await Promise.resolve();
    this.before(request);
    const { method, path, body } = request;
    if (method === 'GET') return this.#read(path);
    if (method === 'DELETE') return this.remove(path, textAt(body, 'preconditions', 'uid'));
    if (!isObject(body)) throw refuse(400, 'BadRequest');
    const status = path.endsWith('/status');
    const key = status ? path.slice(0, -'/status'.length) : path;
    if (method === 'POST') return this.#create(`${key}/${textAt(body, 'metadata', 'name')}`, body);
    return this.#write(method, key, body, status);
  }

  async *watch({ path, signal }: WatchRequest): AsyncGenerator<WatchEvent> {
    const waiting: WatchEvent[] = [];
    let wake = (): void => {};
    const hear = (event: WatchEvent, where: string): void => {
      if (where !== path) return;
      waiting.push(event);
      wake();
    };
    this.#watchers.add(hear);
    signal.addEventListener('abort', () => wake(), { once: true });
    try {
      while (!signal.aborted) {
        const event = waiting.shift();
        if (event !== undefined) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#watchers.delete(hear);
    }
  }

  /** Puts an object as somebody else would; changes of a spec raise its generation. */
  put(path: string, object: Json): KubeObject {
    const before = this.objects.get(path);
    this.#version += 1;
    const metadata = at(object, 'metadata');
    const same = isDeepStrictEqual(before?.spec, object.spec);
    const generation = (before?.metadata.generation ?? 0) + (same ? 0 : 1);
    // cast: the callers give objects with a name.
    const kept = {
      ...object,
      metadata: {
        creationTimestamp: new Date().toISOString(),
        uid: before?.metadata.uid ?? `uid-${this.#version}`,
        ...(isObject(metadata) ? metadata : {}),
        generation: Math.max(1, generation),
        resourceVersion: `${this.#version}`,
      },
    } as unknown as KubeObject;
    this.objects.set(path, kept);
    this.#tell(before === undefined ? 'ADDED' : 'MODIFIED', kept, path);
    return kept;
  }

  remove(path: string, uid?: string): object {
    const object = this.objects.get(path);
    if (object === undefined) throw refuse(404, 'NotFound');
    if (uid !== undefined && object.metadata.uid !== uid) throw refuse(409, 'Conflict');
    this.objects.delete(path);
    this.#owned.delete(path);
    this.writes.push(`DELETE ${path}`);
    this.#tell('DELETED', object, path);
    return {};
  }

  #read(path: string): unknown {
    const object = this.objects.get(path);
    if (object !== undefined) return object;
    const kinds = /\/(?:api\/v1|apis\/[^/]+\/[^/]+)(?:\/namespaces\/[^/]+)?\/[^/]+$/;
    if (!kinds.test(path)) throw refuse(404, 'NotFound');
    const items = [...this.objects].filter(([key]) => collectionsOf(key).includes(path));
    return {
      metadata: { resourceVersion: `${this.#version}` },
      items: items.map(([, one]) => one),
    };
  }

  #create(path: string, body: Json): KubeObject {
    if (this.objects.has(path)) throw refuse(409, 'AlreadyExists');
    this.writes.push(`POST ${path}`);
    if (at(body, 'metadata', 'ownerReferences') !== undefined) this.#owned.add(path);
    return this.put(path, body);
  }

  #write(method: string, path: string, body: Json, status: boolean): KubeObject {
    const before = this.objects.get(path);
    const { uid, resourceVersion } = before?.metadata ?? {};
    const given = at(body, 'metadata');
    const [wantedUid, wantedVersion] = [textAt(given, 'uid'), textAt(given, 'resourceVersion')];
    if (wantedUid !== undefined && wantedUid !== uid) throw refuse(409, 'Conflict');
    if (wantedVersion !== undefined && wantedVersion !== resourceVersion) {
      throw refuse(409, 'Conflict');
    }
    if (before === undefined && (status || method === 'PUT')) throw refuse(404, 'NotFound');
    // What is applied wins; what it does not name stays, except for lists and owners.
    const next = status
      ? { ...before, status: body.status }
      : merge(before ?? {}, { ...body, status: before?.status });
    const owners = at(given, 'ownerReferences');
    const metadata = { ...(isObject(next.metadata) ? next.metadata : {}) };
    const kept = owners !== undefined || this.#owned.has(path);
    if (!status && !kept) delete metadata.ownerReferences;
    const whole = { ...next, metadata: { ...metadata, uid, resourceVersion } };
    if (before !== undefined && isDeepStrictEqual(strip(before), strip(whole))) return before;
    this.writes.push(`${method} ${path}${status ? '/status' : ''}`);
    return this.put(path, uid === undefined ? next : whole);
  }

  #tell(type: string, object: KubeObject, path: string): void {
    for (const where of collectionsOf(path)) {
      for (const hear of this.#watchers) hear({ type, object }, where);
    }
  }
}

/** The collections that an object is in: its namespace's, and that of all namespaces. */
function collectionsOf(path: string): readonly string[] {
  const collection = path.slice(0, path.lastIndexOf('/'));
  return [collection, collection.replace(/\/namespaces\/[^/]+/, '')];
}

function strip(value: object): unknown {
  const text = JSON.stringify({
    ...value,
    metadata: { ...(at(value, 'metadata') as object), generation: 0 },
  });
  return JSON.parse(text);
}

function merge(before: Json, change: Json): Json {
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(change)) {
    const old = merged[name];
    merged[name] = isObject(value) && isObject(old) ? merge(old, value) : value;
  }
  return merged;
}
