// The verbs that the operator uses, each a request: get, list, apply, delete, status.
//
// Everything is written by server-side apply with one field manager, so that nobody else's fields
// are touched. The UID of what was read goes along: what was deleted and made again meanwhile is
// not written to.

import { type Micros, micros } from '../../protocol/types.ts';
import {
  isKind,
  isStatus,
  type KubeApi,
  KubeError,
  type KubeObject,
  pathOf,
  RESOURCES,
  type Resource,
} from './api.ts';
import { isKubeObject, listAt, textAt, withKind } from './fields.ts';

export const FIELD_MANAGER = 'journal-operator';

const TIMEOUT = micros(15_000_000);

/** One page after another; throws KubeError 410 where the list grew too old on the way. */
export async function listObjects(
  api: KubeApi,
  resource: Resource,
  namespace: string | undefined,
  options: {
    readonly labelSelector?: string | undefined;
    readonly fieldSelector?: string | undefined;
    readonly pageSize?: number | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<{ readonly objects: readonly KubeObject[]; readonly resourceVersion: string }> {
  const objects: KubeObject[] = [];
  let next = '';
  for (;;) {
    const query: Record<string, string> = { limit: String(options.pageSize ?? 250) };
    if (next !== '') query.continue = next;
    if (options.labelSelector !== undefined) query.labelSelector = options.labelSelector;
    if (options.fieldSelector !== undefined) query.fieldSelector = options.fieldSelector;
    const answer = await api.request({
      method: 'GET',
      path: pathOf(resource, namespace),
      query,
      timeout: TIMEOUT,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    for (const item of listAt(answer, 'items')) {
      const object = withKind(item, resource.apiVersion, resource.kind);
      if (object !== undefined) objects.push(object);
    }
    next = textAt(answer, 'metadata', 'continue') ?? '';
    if (next !== '') continue;
    return { objects, resourceVersion: textAt(answer, 'metadata', 'resourceVersion') ?? '' };
  }
}

/** Null where there is none. `timeout` is 15 s, here and below, where nothing is said. */
export async function getObject(
  api: KubeApi,
  resource: Resource,
  namespace: string,
  name: string,
  timeout: Micros = TIMEOUT,
): Promise<KubeObject | null> {
  try {
    const path = pathOf(resource, namespace, name);
    return objectOf(path, await api.request({ method: 'GET', path, timeout }));
  } catch (error) {
    if (isStatus(error, 404)) return null;
    throw error;
  }
}

/** Creates or changes; `uid` of what is known to be there, so that no other is changed. */
export async function applyObject(
  api: KubeApi,
  object: KubeObject,
  options: {
    readonly uid?: string | undefined;
    readonly resourceVersion?: string | undefined;
    readonly subresource?: 'status';
  } = {},
): Promise<KubeObject> {
  const { namespace, name } = object.metadata;
  const path = pathOf(resourceOf(object), namespace, name, options.subresource);
  const { uid, resourceVersion } = options;
  const metadata = {
    ...object.metadata,
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  const answer = await api.request({
    method: 'PATCH',
    path,
    query: { fieldManager: FIELD_MANAGER, force: 'true' },
    contentType: 'application/apply-patch+yaml',
    body: { ...object, metadata },
    timeout: TIMEOUT,
  });
  return objectOf(path, answer);
}

/** Rejects with KubeError 409 where the name is taken. */
export async function createObject(
  api: KubeApi,
  object: KubeObject,
  timeout: Micros = TIMEOUT,
): Promise<KubeObject> {
  const path = pathOf(resourceOf(object), object.metadata.namespace);
  const query = { fieldManager: FIELD_MANAGER };
  const answer = await api.request({ method: 'POST', path, query, body: object, timeout });
  return objectOf(path, answer);
}

/** Rejects with KubeError 409 where somebody wrote since `object` was read. */
export async function replaceObject(
  api: KubeApi,
  object: KubeObject,
  timeout: Micros = TIMEOUT,
): Promise<KubeObject> {
  const { namespace, name } = object.metadata;
  const path = pathOf(resourceOf(object), namespace, name);
  const query = { fieldManager: FIELD_MANAGER };
  const answer = await api.request({ method: 'PUT', path, query, body: object, timeout });
  return objectOf(path, answer);
}

/**
 * Deletes exactly the one that was seen; no error where it is gone already. `unchanged`: only as it
 * was seen, so that one that somebody wrote since stays, without an error either.
 */
export async function deleteObject(
  api: KubeApi,
  object: KubeObject,
  { unchanged = false }: { readonly unchanged?: boolean } = {},
): Promise<void> {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  const seen = unchanged ? { uid, resourceVersion } : { uid };
  const preconditions = uid === undefined ? {} : { preconditions: seen };
  try {
    await api.request({
      method: 'DELETE',
      path: pathOf(resourceOf(object), namespace, name),
      body: {
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        propagationPolicy: 'Background',
        ...preconditions,
      },
      timeout: TIMEOUT,
    });
  } catch (error) {
    // 409: another one has the name by now, or it is no longer as it was: not the one meant.
    if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
  }
}

function resourceOf({ kind }: KubeObject): Resource {
  if (isKind(kind)) return RESOURCES[kind];
  throw new Error(`the operator does not work with ${kind}`);
}

function objectOf(path: string, answer: unknown): KubeObject {
  if (isKubeObject(answer)) return answer;
  const facts = { status: 0, reason: 'Unreadable', retryAfter: micros(0) };
  throw new KubeError(`${path} answered no object`, facts);
}
