// What a mutant makes of the code is code: it names what is there and calls it as it is called.
// One whose surroundings have changed would be noticed by its crash, not for the rule it breaks.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Mutant } from './mutant.ts';
import { MUTANTS } from './table.ts';
import { Tree } from './tree.ts';

const root = join(import.meta.dirname, '..', '..');
const tree = new Tree(root);
after(() => tree.close());

const filesOf = ({ edits }: Mutant): string[] => edits.map(({ file }) => file);

/** Mutants of different files are looked at together: the compiler takes seconds each time. */
function groups(): Mutant[][] {
  const made: Mutant[][] = [];
  for (const mutant of MUTANTS) {
    const files = new Set(filesOf(mutant));
    const fits = (group: readonly Mutant[]): boolean =>
      !group.flatMap(filesOf).some((file) => files.has(file));
    const group = made.find(fits);
    if (group === undefined) made.push([mutant]);
    else group.push(mutant);
  }
  return made;
}

/** A rule that is taken away may leave behind what nobody uses, or reaches, any more. */
const LEFT = { noUnusedLocals: false, noUnusedParameters: false, allowUnreachableCode: true };

function complaints(files: readonly string[]): string {
  const config = { extends: './tsconfig.json', compilerOptions: LEFT, include: [], files };
  writeFileSync(join(tree.root, 'tsconfig.mutants.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  const options = { cwd: tree.root, encoding: 'utf8' } as const;
  return spawnSync(compiler, ['-p', 'tsconfig.mutants.json', '--pretty', 'false'], options).stdout;
}

for (const group of groups()) {
  test(`types: ${group.map(({ name }) => name).join(', ')}`, () => {
    for (const { edits } of group) tree.mutate(edits);
    try {
      assert.equal(complaints(group.flatMap(filesOf)), '');
    } finally {
      tree.restore();
    }
  });
}

test('a mutant that calls what is not there is noticed', () => {
  const file = 'protocol/chain/append.ts';
  const search = '    burn(state, body.idempotence, failed);\n';
  tree.mutate([{ file, search, replace: '    burn(state);\n' }]);
  assert.match(complaints([file]), /^protocol\/chain\/append\.ts\(\d+,\d+\): error TS2554/);
  tree.restore();
});
