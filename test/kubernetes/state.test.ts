// What a run leaves behind that was killed is found by the next one and removed, all of it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeGroups, pidsOf } from './lab/cgroups.ts';
import { output, until } from './lab/commands.ts';
import { Network } from './lab/network.ts';
import { obstacle } from './lab/packages.ts';
import { Processes } from './lab/processes.ts';
import { allStates, newState, removeLab, removeStale } from './lab/state.ts';

const why = obstacle();
const mark = 'JOURNAL_TEST_LEAVES_A_LAB';

/** Makes a lab of one node with one process, and ends without a word. */
async function leave(): Promise<never> {
  const state = newState(['a'], false);
  const network = new Network(state.lab, state.nodes);
  await network.up();
  const processes = new Processes(state.folder, makeGroups(state.lab, state.nodes));
  processes.start('sleeper', network.inside(['sleep', '600'], 'a'));
  // The process joins the group of the lab by itself.
  const joined = async () => (pidsOf(state.lab).length > 0 ? true : undefined);
  await until('its process runs', 10_000, joined);
  process.stdout.write(`${state.lab}\n`);
  process.kill(process.pid, 'SIGKILL');
  throw new Error('killed');
}

if (process.env[mark] === 'yes') await leave();

test('a lab whose owner was killed is removed', { skip: why ?? false }, async () => {
  const file = join(import.meta.dirname, 'state.test.ts');
  const env = { ...process.env, [mark]: 'yes' };
  const { stdout } = await output(spawn(process.execPath, [file], { env }));
  const lab = stdout.trim();
  assert.match(lab, /^jl-[0-9a-f]{6}$/);
  const state = allStates().find((one) => one.lab === lab);
  assert.ok(state, 'its folder is there');
  assert.ok(pidsOf(lab).length > 0, 'its process runs');
  assert.ok(existsSync(`/run/netns/${lab}-a`), 'its network is there');
  const own = newState(['a'], false);
  try {
    await removeStale(() => {});
    assert.deepEqual(pidsOf(lab), []);
    assert.ok(!existsSync(`/run/netns/${lab}-a`));
    assert.ok(!existsSync(state.folder));
    assert.ok(existsSync(own.folder), 'a lab whose owner lives stays');
  } finally {
    await removeLab(own);
  }
});
