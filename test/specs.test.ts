// The map from the actions of the models to the functions of the code names what exists, on both
// sides, and leaves out no action.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Row {
  readonly model: string;
  readonly action: string;
  readonly functions: readonly string[];
  readonly file: string;
}

const ticked = (cell = ''): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

function rows(): Row[] {
  const section = read('specs/README.md').split('## From actions to code')[1]?.split('\n## ')[0];
  return (section ?? '').split('\n').flatMap((line) => {
    const [, model = '', action, functions, file] = line.split('|').map((cell) => cell.trim());
    const [name] = ticked(action);
    const [path] = ticked(file);
    if (name === undefined || path === undefined) return [];
    return [{ model, action: name, functions: ticked(functions), file: path }];
  });
}

/** Names of the actions that `Next` of a model is made of. */
function actionsOf(model: string): string[] {
  const text = read(`specs/${model}.tla`).replace(/\(\*[\s\S]*?\*\)|\\\*.*$/gm, '');
  const next = /^Next ==([\s\S]*?)^Spec ==/m.exec(text)?.[1] ?? '';
  const defined = [...text.matchAll(/^(\w+)(?:\([\w, ]*\))? *==/gm)].map(([, name = '']) => name);
  const used = new Set([...next.matchAll(/\b[A-Z]\w*\b/g)].map(([word]) => word));
  return defined.filter((name) => name !== 'Next' && used.has(name));
}

/** Whether a file defines a function of this name. */
const defines = (text: string, name: string): boolean =>
  new RegExp(`\\bfunction ${name}\\b|\\bconst ${name}\\b[^\\n]*=`).test(text);

test('the map has rows for the models that the code follows', () => {
  assert.ok(rows().length >= 17);
  for (const model of ['ChainReconfig', 'ConfigRegister', 'LeaseKey']) {
    const mapped = new Set(rows().flatMap((row) => (row.model === model ? [row.action] : [])));
    const missing = actionsOf(model).filter((action) => !mapped.has(action));
    assert.ok(actionsOf(model).length >= 5, `only ${actionsOf(model)} were found in ${model}`);
    assert.deepEqual(missing, [], `${model} has actions that specs/README.md does not name`);
  }
});

for (const { model, action, functions, file } of rows()) {
  test(`${model} ${action} is ${functions.join(' and ')} of ${file}`, () => {
    assert.ok(actionsOf(model).includes(action), `${model}.tla has no action ${action}`);
    const text = read(file);
    for (const name of functions) assert.ok(defines(text, name), `${file} has no ${name}`);
  });
}

test('a name that is not there is noticed', () => {
  assert.equal(defines(read('protocol/chain/flow.ts'), 'takeNothing'), false);
  assert.equal(actionsOf('ChainReconfig').includes('Recive'), false);
});
