// Failing runs are made small and told, and runs are drawn: on a run whose disks lie.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { Script } from 'node:vm';
import { type RunResult, run } from '../run.ts';
import type { Turn } from '../world.ts';
import { type Minimal, minimize } from './minimize.ts';
import { drawingOf, MARKS_MAX, page } from './page.ts';
import { least, shrink } from './shrink.ts';
import { story, verdict } from './story.ts';

const LYING = {
  seed: '3',
  events: 2_000,
  budget: 'available',
  faults: ['drift', 'pause'],
  lyingDisks: true,
} as const;

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');
const parts = { template: read('page.html'), script: read('page.js') };

async function traced(options: Parameters<typeof run>[0]) {
  const turns: Turn[] = [];
  const result = await run({ ...options, tracer: (turn) => void turns.push(turn) });
  return { result, turns };
}

test('shrinking finds the few items that a failure needs', async () => {
  const needed = [3, 17, 40];
  const items = Array.from({ length: 60 }, (_, at) => at);
  let tries = 0;
  const fails = async (kept: readonly number[]): Promise<boolean> => {
    tries += 1;
    return needed.every((one) => kept.includes(one));
  };
  assert.deepEqual(await shrink(items, fails), needed);
  assert.ok(tries < 200, `${tries} tries`);
  assert.deepEqual(await shrink(items, async () => true), []);
  assert.deepEqual(await shrink([1], async (kept) => kept.length > 0), [1]);
  let left = 5;
  const stopped = await shrink(items, fails, () => --left < 0);
  assert.ok(needed.every((one) => stopped.includes(one)));
});

test('the least number that fails is found', async () => {
  const found = await least(20_000, async (number) => number >= 7_000);
  assert.ok(found >= 7_000 && found <= 7_400, `${found}`);
  assert.equal(await least(1, async () => true), 1);
});

let minimal: Minimal | null = null;
const said: string[] = [];

before(async () => {
  const means = {
    run,
    enough: () => said.length > 12,
    say: (line: string) => void said.push(line),
  };
  minimal = await minimize(LYING, means);
});

test('a failing run becomes small, and fails in the same way', async () => {
  assert.ok(minimal !== null);
  const { before: whole, after, failure, options } = minimal;
  assert.equal(failure.by, 'durability');
  assert.ok(whole.turns >= 10, `${whole.turns} operations at first`);
  // One append that is acknowledged and lost is enough.
  assert.ok(after.turns <= 2, `${after.turns} operations are left`);
  assert.equal(after.faults, 0);
  assert.ok(after.events < whole.events);
  const again = await run(options);
  assert.deepEqual(again.failure, failure);
  assert.equal(again.hash, minimal.result.hash);
});

test('the story tells who did what, and what was found', async () => {
  assert.ok(minimal !== null);
  const { result, turns } = await traced(minimal.options);
  assert.equal(result.hash, minimal.result.hash, 'looking at a run changed it');
  const told = `${story(result, turns)}\n${verdict(minimal.failure)}`;
  assert.match(told, /k1 +the process starts/);
  assert.match(told, /append 1 "[^"]+.*: at \d+, after/);
  assert.match(told, /VIOLATION, found by durability:/);
});

test('a run that passes is not minimized', async () => {
  const means = { run, enough: () => false, say: () => {} };
  assert.equal(await minimize({ ...LYING, lyingDisks: false }, means), null);
});

test('what the budget left untried is not told as done', async () => {
  const lines: string[] = [];
  let runs = 0;
  const means = {
    run: async (options: Parameters<typeof run>[0]) => {
      runs += 1;
      return await run(options);
    },
    enough: () => runs > 2,
    say: (line: string) => void lines.push(line),
  };
  assert.ok((await minimize(LYING, means)) !== null);
  assert.deepEqual(
    lines.filter((line) => line.startsWith('dropped')),
    [],
  );
  assert.match(lines.at(-1) ?? '', /^the budget was over: /);
});

test('a story of too many lines keeps the telling ones', async () => {
  const { result, turns } = await traced({ ...LYING, lyingDisks: false });
  const lines = story(result, turns, 40).split('\n');
  assert.match(lines[0] ?? '', /^\(\d+ less telling lines are left out\)$/);
  assert.ok(lines.some((line) => line.includes('FAULT ')));
  assert.ok(lines.length < 60, `${lines.length} lines`);
});

test('a page holds the lanes of a run, its arrows and its violation', async () => {
  const { result, turns } = await traced(LYING);
  const html = page(result, turns, parts);
  assert.doesNotMatch(html, /<!--[a-z]+-->/, 'something was not filled in');
  const lanes = [...html.matchAll(/<li class="lane [a-z]+" data-lane="([^"]+)">/g)];
  assert.deepEqual(
    lanes.map(([, name]) => name),
    result.evidence().machines,
  );
  const [, data = ''] =
    /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html) ?? [];
  const drawing: unknown = JSON.parse(data);
  assert.deepEqual(drawing, JSON.parse(JSON.stringify(drawingOf(result, turns))));
  const [, script = ''] = /<script>\n(.*?)<\/script>/s.exec(html) ?? [];
  assert.ok(new Script(script) instanceof Script);
  assert.match(html, /Violation, found by <b>durability<\/b>/);
  assert.equal(html.match(/<script/g)?.length, 2);
  assert.doesNotMatch(html, /(?:src|href)=/, 'the page needs something else');
});

test('what is drawn is what happened', async () => {
  const { result, turns } = await traced({ ...LYING, lyingDisks: false });
  const { lanes, labels, messages, disks, operations, faults, notes, left } = drawingOf(
    result,
    turns,
  );
  const at = (name: string): number => lanes.findIndex((lane) => lane.name === name);
  const chain = messages.filter(([, , , , label]) => labels[label]?.includes('Peer/Link'));
  assert.ok(chain.some(([from, to]) => from === at('r1') && to === at('r2')));
  assert.ok(messages.every(([from, to, sent, came]) => from >= 0 && to >= 0 && sent <= came));
  assert.ok(
    disks.some(([lane, , , label]) => lane === at('r1') && /^sync/.test(labels[label] ?? '')),
  );
  assert.equal(operations.length, result.evidence().operations.length);
  assert.ok(operations.some(([lane, , , outcome]) => lane === at('w1') && outcome === 'done'));
  assert.equal(faults.length, result.evidence().faults.length);
  assert.ok(notes.some(([, , kind, text]) => kind === 'epoch' && /^epoch 1: /.test(text)));
  assert.equal(left, 0);
});

test('of too many events the last ones are drawn, and the page says so', async () => {
  const { result, turns } = await traced({ ...LYING, lyingDisks: false });
  const many: RunResult = result;
  const times = Math.ceil(MARKS_MAX / turns.length) * 2;
  const drawing = drawingOf(many, Array.from({ length: times }, () => turns).flat());
  assert.equal(drawing.messages.length + drawing.disks.length <= MARKS_MAX, true);
  assert.ok(drawing.left > 0);
});
