// Whether an object is as it should be: everything that is wanted is there, more may be.
//
// The API server fills in defaults, other people add labels and sidecars; neither is drift. Lists
// of named things are compared name by name, other lists as a whole. Quantities are equal when
// they mean the same. What picks out pods or traffic is compared to the last key: one more makes
// another thing of it.

import { isObject } from './fields.ts';

/** Fields whose content the API server adds nothing to, and which nobody else adds to either. */
const WHOLE: ReadonlySet<string> = new Set([
  'selector',
  'podSelector',
  'namespaceSelector',
  'labelSelector',
  'ingress',
  'egress',
]);

/** The path of the first field that differs; null where nothing does. `whole`: so does one more. */
export function difference(
  wanted: unknown,
  found: unknown,
  path = '',
  whole = false,
): string | null {
  if (isObject(wanted)) return objectDifference(wanted, found, path, whole);
  if (Array.isArray(wanted)) return listDifference(wanted, found, path, whole);
  return sameValue(wanted, found) ? null : path;
}

function objectDifference(
  wanted: Readonly<Record<string, unknown>>,
  found: unknown,
  path: string,
  whole: boolean,
): string | null {
  const names = Object.keys(wanted).filter((name) => wanted[name] !== undefined);
  // What is empty need not be there: the API server leaves empty maps out.
  if (!isObject(found)) return names.length === 0 ? null : path;
  const below = (name: string): string => (path === '' ? name : `${path}.${name}`);
  for (const name of names) {
    const [one, other] = [wanted[name], found[name]];
    const named = WHOLE.has(name);
    // An empty selector picks everything, none picks nothing: that is never left out.
    const left = named && isObject(one) && other === undefined;
    const wrong = left ? below(name) : difference(one, other, below(name), whole || named);
    if (wrong !== null) return wrong;
  }
  const more = whole ? Object.keys(found).find((name) => !names.includes(name)) : undefined;
  return more === undefined ? null : below(more);
}

function listDifference(
  wanted: readonly unknown[],
  given: unknown,
  path: string,
  whole: boolean,
): string | null {
  const found: readonly unknown[] = Array.isArray(given) ? given : [];
  const byName = wanted.length > 0 && wanted.every((one) => nameOf(one) !== undefined);
  if (!byName && wanted.length !== found.length) return path;
  for (const [index, one] of wanted.entries()) {
    const name = nameOf(one);
    const other = byName ? found.find((candidate) => nameOf(candidate) === name) : found[index];
    const wrong = difference(one, other, `${path}[${byName ? name : index}]`, whole);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** What lists of Kubernetes are keyed by, where they are. */
function nameOf(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  for (const key of ['name', 'uid'] as const) {
    const name = value[key];
    if (typeof name === 'string') return name;
  }
  return undefined;
}

function sameValue(wanted: unknown, found: unknown): boolean {
  if (wanted === found) return true;
  // False, zero and empty text are what a missing field means.
  if (found === undefined) return wanted === false || wanted === '' || wanted === 0;
  const [one, other] = [quantity(wanted), quantity(found)];
  if (one === undefined || other === undefined) return false;
  // The API server writes 0.7 as 700m, and 1.4Gi in thousandths: the same but for the arithmetic.
  return isAlmost(one, other) || isAlmost(roundedUp(one), other);
}

const isAlmost = (one: number, other: number): boolean =>
  Math.abs(one - other) <= Math.abs(one) * PRECISION;

/** As the API server does with resources, which would be drift for ever: to thousandths. */
const roundedUp = (value: number): number => Math.ceil(value * 1000 * (1 - PRECISION)) / 1000;

/** Of a quantity: far below what it may be given in, far above what doubles lose. */
const PRECISION = 1e-12;

const UNITS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** What `1Gi`, `500m`, `2` or `2e9` mean as a number; undefined for what is no quantity. */
export function quantity(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const parts = /^([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([-+]?[0-9]+)|([numkMGTPE]|[KMGTPE]i|))$/;
  const [, amount, exponent, unit] = parts.exec(value) ?? [];
  const factor = exponent === undefined ? UNITS[unit ?? '-'] : 10 ** Number(exponent);
  return amount === undefined || factor === undefined ? undefined : Number(amount) * factor;
}
