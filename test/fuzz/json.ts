// Changes what a JSON text says and leaves it JSON, so that mutations get behind the parser.

import type { Draw } from '../draw.ts';

/** What a field may hold that it should not. */
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  0.5,
  2 ** 32,
  2 ** 53,
  1e308,
  '',
  '0',
  'x'.repeat(300),
  '\u0000',
  'constructor',
  [],
  [[]],
  [null],
  {},
  { kind: 'hello', length: -1 },
];

/** One to three values of a JSON text changed; the text as it is where it is none. */
export function changedJson(text: Buffer, draw: Draw): Buffer {
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch {
    return text;
  }
  for (let changes = 1 + draw(3); changes > 0; changes -= 1) value = changed(value, draw);
  return Buffer.from(JSON.stringify(value));
}

function changed(value: unknown, draw: Draw): unknown {
  if (typeof value !== 'object' || value === null || draw(6) === 0) return other(value, draw);
  const entries = Object.entries(value);
  const at = draw(entries.length + 1);
  const [key, inside] = entries[at] ?? ['more', null];
  const next = new Map(entries);
  const how = draw(8);
  if (how === 0) next.delete(key);
  else if (how === 1) next.set(`${entries.length}`, inside);
  else next.set(key, changed(inside, draw));
  return Array.isArray(value) ? [...next.values()] : Object.fromEntries(next);
}

/** Near what was there, or of any other kind. */
function other(value: unknown, draw: Draw): unknown {
  if (typeof value === 'number' && draw(2) === 0) return value + draw(5) - 2;
  if (typeof value === 'string' && draw(2) === 0) return value.slice(draw(2), 1 + draw(40));
  return VALUES[draw(VALUES.length)];
}
