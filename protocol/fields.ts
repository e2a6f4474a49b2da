// Reads JSON that came from a disk or another process: every complaint names the field.

import { RangeViolation } from './types.ts';

function violation(name: string, value: unknown, allowed: string): RangeViolation {
  return new RangeViolation(name, shown(value).slice(0, 80), allowed);
}

/** Values that are looked at to show one: an error needs the beginning. */
const SHOWN_VALUES = 200;

/**
 * As JSON, whatever it is. Of a big value only a part: what was parsed may be nested more deeply
 * than the stack, or hold itself a million times over, as aliases in YAML can make it.
 */
export function shown(value: unknown): string {
  let left = SHOWN_VALUES;
  const some = (_key: string, inside: unknown): unknown => {
    left -= 1;
    return left < 0 ? undefined : inside;
  };
  return JSON.stringify(value, some) ?? 'undefined';
}

export type Fields = Readonly<Record<string, unknown>>;

/** Throws RangeViolation where `text` is no JSON. */
export function parse(field: string, text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    throw new RangeViolation(field, text.slice(0, 80), 'JSON');
  }
}

export function fields(name: string, value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw violation(name, value, 'an object');
  }
  return { ...value };
}

export function text(name: string, value: unknown): string {
  if (typeof value !== 'string') throw violation(name, value, 'a string');
  return value;
}

export function whole(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw violation(name, value, 'a whole number from 0 to 2^53 - 1');
  }
  return value;
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw violation(name, value, 'true or false');
  return value;
}

export function list<Item>(
  name: string,
  value: unknown,
  read: (name: string, item: unknown) => Item,
): readonly Item[] {
  if (!Array.isArray(value)) throw violation(name, value, 'a list');
  return value.map((item: unknown, index) => read(`${name}[${index}]`, item));
}

export function choice<Name extends string>(
  name: string,
  value: unknown,
  allowed: readonly Name[],
): Name {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw violation(name, value, allowed.join(', '));
  return found;
}

export const nullable = <Value>(value: unknown, read: (value: unknown) => Value): Value | null =>
  value === null || value === undefined ? null : read(value);
