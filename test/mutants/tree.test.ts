// The copy that mutants live in has the sources, and not what lies beside them.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Tree } from './tree.ts';

test('the data of a cluster that runs in the folder is not copied', () => {
  const from = mkdtempSync(join(tmpdir(), 'journal-tree-'));
  for (const path of ['data', 'log', 'log/data']) mkdirSync(join(from, path));
  for (const path of ['data/dev.json', 'log/data/kept.ts']) writeFileSync(join(from, path), '');
  const tree = new Tree(from);
  try {
    assert.deepEqual(readdirSync(tree.root).sort(), ['log', 'node_modules']);
    assert.deepEqual(readdirSync(join(tree.root, 'log/data')), ['kept.ts']);
  } finally {
    tree.close();
    rmSync(from, { recursive: true });
  }
});
