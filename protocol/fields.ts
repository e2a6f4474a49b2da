// Reads JSON that came from a disk or another process: every complaint names the field.

import { RangeViolation } from './types.ts';

function violation(name: string, value: unknown, allowed: string): RangeViolation {
  return new RangeViolation(name, shown(value).slice(0, 80), allowed);
}

/** As JSON, whatever it is: what is nested too deeply to be written out can still be parsed. */
export function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'undefined';
  } catch {
    return 'nested too deeply';
  }
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
