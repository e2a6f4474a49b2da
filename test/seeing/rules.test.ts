// The rules as promtool judges them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ruleFiles, ruleTests } from './files.ts';
import { promtool } from './prometheus.ts';

const WAIT = { timeout: 1_800_000 };

test('promtool finds nothing wrong with the rules', WAIT, async () => {
  const said = await promtool('check', 'rules', '--lint=all', '--lint-fatal', ...ruleFiles);
  assert.equal(said.match(/SUCCESS: \d+ rules found/g)?.length, 2, said);
});

test('each alert is quiet and told when it should be, with its words', WAIT, async () => {
  const said = await promtool('test', 'rules', ...ruleTests);
  assert.equal(said.match(/SUCCESS/g)?.length, 2, said);
});
