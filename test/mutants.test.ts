// Every mutant still fits the code: its patches apply, each exactly once.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { edited } from './mutants/mutant.ts';
import { MUTANTS } from './mutants/table.ts';

const root = join(import.meta.dirname, '..');

test('there are at least 30 mutants, each with a name of its own', () => {
  const names = new Set(MUTANTS.map(({ name }) => name));
  assert.equal(names.size, MUTANTS.length);
  assert.ok(names.size >= 30, `only ${names.size} mutants`);
});

for (const { name, edits } of MUTANTS) {
  test(`${name} applies`, () => {
    const texts = new Map<string, string>();
    for (const edit of edits) {
      const before = texts.get(edit.file) ?? readFileSync(join(root, edit.file), 'utf8');
      const after = edited(before, edit);
      assert.notEqual(after, before);
      texts.set(edit.file, after);
    }
  });
}
