// The kept corpus: for each decoder the inputs by which earlier runs learned something.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PATH = join(import.meta.dirname, 'corpus.json');
const INPUTS_MAX = 16;
const BYTES_MAX = 240;

export type Corpus = Readonly<Record<string, readonly string[]>>;

/** Inputs as base64, by decoder. */
export function readCorpus(): Corpus {
  if (!existsSync(PATH)) return {};
  const read: unknown = JSON.parse(readFileSync(PATH, 'utf8'));
  return read as Corpus;
}

export const inputsOf = (corpus: Corpus, decoder: string): Uint8Array[] =>
  (corpus[decoder] ?? []).map((text) => Buffer.from(text, 'base64'));

/** Keeps the shortest input of each new outcome, a few of each decoder. */
export function keep(found: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>): void {
  const next: Record<string, readonly string[]> = { ...readCorpus() };
  for (const [decoder, outcomes] of found) {
    const inputs = [...outcomes.values()].filter(({ length }) => length <= BYTES_MAX);
    const texts = inputs.map((input) => Buffer.from(input).toString('base64'));
    next[decoder] = [...new Set([...(next[decoder] ?? []), ...texts])].slice(0, INPUTS_MAX);
  }
  const sorted = Object.fromEntries(Object.entries(next).sort());
  writeFileSync(PATH, `${JSON.stringify(sorted, null, 2)}\n`);
}
