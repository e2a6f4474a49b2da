// Reads plain JSON from the API server: what is not there, or is something else, is undefined.

import type { KubeObject, ObjectMeta } from './api.ts';

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path of names. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (!isObject(found)) return undefined;
    found = found[name];
  }
  return found;
}

export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

export function numberAt(value: unknown, ...path: readonly string[]): number | undefined {
  const found = at(value, ...path);
  return typeof found === 'number' ? found : undefined;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** The values of a map that are text. */
export function textsAt(value: unknown, ...path: readonly string[]): Record<string, string> {
  const found = at(value, ...path);
  const entries = isObject(found) ? Object.entries(found) : [];
  return Object.fromEntries(
    entries.flatMap(([name, one]) => (typeof one === 'string' ? [[name, one]] : [])),
  );
}

/** Whether the value is an object of the API server: it has a name, at least. */
export function isKubeObject(value: unknown): value is KubeObject {
  return isObject(value) && textAt(value, 'metadata', 'name') !== undefined;
}

/**
 * Objects of a list carry no kind of their own. Who wrote which field is left out: nobody here asks
 * for it, and it is the larger half of many an object.
 */
export function withKind(value: unknown, apiVersion: string, kind: string): KubeObject | undefined {
  if (!isKubeObject(value)) return undefined;
  return { ...value, apiVersion, kind, metadata: withoutManagers(value.metadata) };
}

function withoutManagers(metadata: ObjectMeta): ObjectMeta {
  const { managedFields: _, ...rest }: ObjectMeta & { readonly managedFields?: unknown } = metadata;
  return rest;
}

/** A condition of an object; undefined where it has none of the type. */
export const conditionAt = (value: unknown, type: string): unknown =>
  listAt(value, 'status', 'conditions').find((one) => textAt(one, 'type') === type);

/** The `status` of it. */
export const conditionOf = (value: unknown, type: string): string | undefined =>
  textAt(conditionAt(value, type), 'status');

export const labelsOf = ({ labels }: ObjectMeta): Readonly<Record<string, string>> => labels ?? {};

export const annotationsOf = ({ annotations }: ObjectMeta): Readonly<Record<string, string>> =>
  annotations ?? {};
