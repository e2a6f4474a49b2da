// The map from the actions of the models to the functions of the code names what exists, on both
// sides, leaves out no action of a model that the code follows, and no model.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Row {
  readonly model: string;
  readonly action: string;
  readonly functions: readonly string[];
  /** Null where no function does it, which the row explains. */
  readonly file: string | null;
}

const ticked = (cell = ''): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

/** Cells of the lines of all tables of the section that maps. */
function cells(): string[][] {
  const section = read('specs/README.md').split('## From actions to code')[1]?.split('\n## ')[0];
  return (section ?? '')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').slice(1, -1))
    .map((line) => line.map((cell) => cell.trim()));
}

function rows(): Row[] {
  return cells().flatMap(([model = '', action, functions = '', file, ...more]) => {
    const [name] = ticked(action);
    if (name === undefined || file === undefined || more.length > 0) return [];
    const [path] = ticked(file);
    if (path === undefined) assert.match(functions, /^none: ./, `${model} ${name} has no file`);
    const mapped = path === undefined ? [] : ticked(functions);
    return [{ model, action: name, functions: mapped, file: path ?? null }];
  });
}

/** Models that no code follows, with the reason that is given. */
function unfollowed(): Map<string, string> {
  const lines = cells().filter((line) => line.length === 2 && ticked(line[0]).length === 1);
  return new Map(lines.map(([model, why = '']) => [ticked(model)[0] ?? '', why]));
}

/** Every model of the folder; an `MC` file only gives a model its constants. */
const models = globSync('specs/*.tla', { cwd: root })
  .map((path) => basename(path, '.tla'))
  .filter((name) => /^Next ==/m.test(read(`specs/${name}.tla`)))
  .sort();

/** `NAME(parameters) == body`, up to the next one or to the end. */
const DEFINITION = new RegExp(
  [
    '^(\\w+)(?:\\([\\w, ]*\\))? *==([\\s\\S]*?)',
    '(?=^\\w[^\\n]*==|^VARIABLES|^RECURSIVE|^===|$(?![\\s\\S]))',
  ].join(''),
  'gm',
);

/** Names of the actions that `Next` of a model is made of: what it uses that says what changes. */
function actionsOf(model: string): string[] {
  const text = read(`specs/${model}.tla`).replace(/\(\*[\s\S]*?\*\)|\\\*.*$/gm, '');
  const next = /^Next ==([\s\S]*?)^Spec ==/m.exec(text)?.[1] ?? '';
  const used = new Set([...next.matchAll(/\b[A-Z]\w*\b/g)].map(([word]) => word));
  return [...text.matchAll(DEFINITION)].flatMap(([, name = '', body = '']) =>
    used.has(name) && /\w'|\bUNCHANGED\b/.test(body) ? [name] : [],
  );
}

/** Whether a file defines a function or a method of this name. */
const defines = (text: string, name: string): boolean =>
  new RegExp(
    `\\bfunction\\*? ${name}\\b|\\bconst ${name}\\b[^\\n]*=|^  (?:async )?${name}\\(`,
    'm',
  ).test(text);

test('every model is followed by code action by action, or said not to be', () => {
  const mapped = new Set(rows().map(({ model }) => model));
  const without = unfollowed();
  assert.ok(models.length >= 9, `only ${models} were found`);
  for (const model of models) {
    const one = mapped.has(model) !== without.has(model);
    assert.ok(one, `${model} must be in one of the two tables of specs/README.md`);
  }
  assert.deepEqual([...mapped, ...without.keys()].sort(), models);
  for (const [model, why] of without)
    assert.match(why, /^(?:no code yet|superseded by \w+): ./, model);
});

for (const model of models.filter((name) => !unfollowed().has(name))) {
  test(`no action of ${model} is missing`, () => {
    const mapped = new Set(rows().flatMap((row) => (row.model === model ? [row.action] : [])));
    const missing = actionsOf(model).filter((action) => !mapped.has(action));
    assert.ok(actionsOf(model).length >= 5, `only ${actionsOf(model)} were found in ${model}`);
    assert.deepEqual(missing, [], `${model} has actions that specs/README.md does not name`);
  });
}

for (const { model, action, functions, file } of rows()) {
  const where = file === null ? 'no function' : `${functions.join(' and ')} of ${file}`;
  test(`${model} ${action} is ${where}`, () => {
    assert.ok(actionsOf(model).includes(action), `${model}.tla has no action ${action}`);
    if (file === null) return;
    assert.ok(functions.length > 0, `${model} ${action} names no function`);
    const text = read(file);
    for (const name of functions) assert.ok(defines(text, name), `${file} has no ${name}`);
  });
}

test('a name that is not there is noticed', () => {
  const flow = read('protocol/chain/flow.ts');
  assert.equal(defines(flow, 'takeNothing'), false);
  assert.equal(defines(flow, 'lower'), false);
  assert.equal(actionsOf('ChainReconfig').includes('Recive'), false);
  assert.equal(actionsOf('AcceptorSet').includes('Keys'), false);
});

/** Runs the checker of the models with a PATH that holds this program alone, or nothing. */
function specs(args: readonly string[], program: string | null, env: NodeJS.ProcessEnv = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'journal-specs-'));
  try {
    if (program !== null) {
      writeFileSync(join(folder, program), '#!/bin/sh\n');
      chmodSync(join(folder, program), 0o755);
    }
    return spawnSync(process.execPath, [join(root, 'specs/main.ts'), ...args], {
      encoding: 'utf8',
      env: { ...env, PATH: folder },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('without Java, or a jar that is named and not there, a sentence says so at once', () => {
  const bare = specs(['Lease_'], null);
  assert.match(
    bare.stderr,
    /^TLC needs Java 11 or newer, and no "java" that runs is on the PATH\.\n$/,
  );
  assert.deepEqual([bare.status, bare.stdout], [2, '']);
  const absent = specs(['Lease_'], 'java', { TLA2TOOLS: '/no/such.jar' });
  assert.match(
    absent.stderr,
    /^TLA2TOOLS is "\/no\/such\.jar", allowed is .*: there is no such file\n$/,
  );
  assert.deepEqual([absent.status, absent.stdout], [2, '']);
  const strange = specs(['Leash'], null);
  assert.match(strange.stderr, /^no configuration begins with "Leash"; there are: /);
  assert.equal(strange.status, 2);
});
