// The CRD is one thing in three places: YAML, TypeScript and documentation say the same. The rights
// of the operator are one in two: the chart gives what the documentation lists.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { API_VERSION, KIND, PLURAL, SPEC_SHAPE, STATUS_SHAPE } from '../operator/crd.ts';
import { at, textAt } from '../operator/kube/fields.ts';
import { OUTPUTS, readDefinition, type Schema, schemaOf } from '../scripts/reference.ts';

const root = join(import.meta.dirname, '..');
const definition = readDefinition();
const schema = schemaOf(definition);

/** A schema in the words of `Shape`. */
function shapeOf(field: Schema): unknown {
  if (field.type === 'array') return [shapeOf(field.items ?? {})];
  if (field.properties !== undefined) {
    return Object.fromEntries(
      Object.entries(field.properties).map(([name, one]) => [name, shapeOf(one)]),
    );
  }
  return field.type === 'object' ? 'map' : field.type;
}

test('the types of the operator are those of the CRD', () => {
  assert.deepEqual(shapeOf(schema.properties?.spec ?? {}), SPEC_SHAPE);
  assert.deepEqual(shapeOf(schema.properties?.status ?? {}), STATUS_SHAPE);
});

test('a field that only one of them has is noticed', () => {
  const { zones: _, ...rest } = SPEC_SHAPE;
  assert.notDeepEqual(shapeOf(schema.properties?.spec ?? {}), rest);
});

test('group, version and names are the ones that the operator asks for', () => {
  const { group, names, versions } = definition.spec;
  assert.equal(`${group}/${versions[0]?.name}`, API_VERSION);
  assert.equal(names.kind, KIND);
  assert.deepEqual({ ...definition.metadata }, { name: `${PLURAL}.${group}` });
});

test('every field says what it is', () => {
  const silent: string[] = [];
  const visit = (path: string, field: Schema): void => {
    if (path !== '' && field.description === undefined && field.type !== 'object') {
      silent.push(path);
    }
    for (const [name, one] of Object.entries(field.properties ?? {})) visit(`${path}.${name}`, one);
    if (field.items?.properties !== undefined) visit(`${path}[]`, field.items);
  };
  visit('', schema.properties?.spec ?? {});
  visit('', schema.properties?.status ?? {});
  assert.deepEqual(silent, []);
});

/** The patterns of a value that is text, or of names and values where it is a map. */
function patternsOf(path: string): readonly RegExp[] {
  const file = join(root, 'charts/journal-operator/values.schema.json');
  let found: unknown = JSON.parse(readFileSync(file, 'utf8'));
  for (const name of path.split('.')) found = at(found, 'properties', name);
  const own = textAt(found, 'pattern');
  const below = ['propertyNames', 'additionalProperties'].map((one) => at(found, one));
  const all = own === undefined ? below.map((one) => textAt(one, 'pattern')) : [own];
  return all.map((one) => new RegExp(one ?? ''));
}

test('the chart of the operator refuses names and labels that no object can have', () => {
  for (const path of ['monitoring.labels', 'monitoring.dashboardLabels', 'podLabels']) {
    const [name, value] = patternsOf(path);
    for (const good of ['release', 'example.com/team', 'A_b.c']) assert.match(good, name ?? /-/);
    for (const wrong of ['', 'a b', 'x/', '-a', 'x'.repeat(64)]) {
      assert.doesNotMatch(wrong, name ?? /^/, path);
    }
    for (const good of ['', '1', 'kube-prometheus-stack']) assert.match(good, value ?? /-/);
    for (const wrong of ['a b', 'a=b', 'a,b', 'x'.repeat(64)]) {
      assert.doesNotMatch(wrong, value ?? /^/, path);
    }
  }
  const [own = /^/] = patternsOf('nameOverride');
  for (const good of ['', 'journal-team-b']) assert.match(good, own);
  for (const wrong of ['Mine', '1st', 'a_b', 'a-']) assert.doesNotMatch(wrong, own);
  const [account = /^/] = patternsOf('serviceAccount.name');
  for (const good of ['', 'journal.operator']) assert.match(good, account);
  for (const wrong of ['A', 'a b', 'a-']) assert.doesNotMatch(wrong, account);
});

test('the chart of a cluster knows the fields of a spec, and no others', () => {
  const file = join(root, 'charts/journal-cluster/values.schema.json');
  const spec = at(JSON.parse(readFileSync(file, 'utf8')), 'properties', 'spec');
  assert.equal(at(spec, 'additionalProperties'), false);
  const names = Object.keys(at(spec, 'properties') ?? {});
  assert.deepEqual(names.sort(), Object.keys(SPEC_SHAPE).sort());
});

test('the chart of the operator asks for what its rules choose by', () => {
  const file = join(root, 'charts/journal-operator/values.schema.json');
  const watch = at(JSON.parse(readFileSync(file, 'utf8')), 'properties', 'watch');
  assert.deepEqual(at(watch, 'required'), Object.keys(at(watch, 'properties') ?? {}));
});

test('the definition is far below what the API server takes', () => {
  assert.ok(JSON.stringify(definition).length < 256 * 1024);
});

for (const [path, write] of Object.entries(OUTPUTS)) {
  test(`${path} is current`, () => {
    const message = `${path} is not what the CRD says: run node scripts/reference.ts`;
    assert.equal(readFileSync(join(root, path), 'utf8'), write(definition), message);
  });
}

test('every right that the chart gives is in the documentation, with its verbs', () => {
  const template = 'charts/journal-operator/templates/_helpers.tpl';
  const given = readFileSync(join(root, template), 'utf8');
  const rows = readFileSync(join(root, 'docs/kubernetes.md'), 'utf8').split('\n');
  const rules = [...given.matchAll(/resources: \[(.*)\]\n\s*verbs: \[(.*)\]/g)];
  assert.ok(rules.length >= 10, `${template} has rules`);
  for (const [, resources = '', verbs = ''] of rules) {
    for (const resource of resources.split(', ')) {
      const listed = rows.some(
        (row) => row.includes(`\`${resource}\``) && row.includes(`| ${verbs} |`),
      );
      assert.ok(
        listed,
        `docs/kubernetes.md does not say that the operator may ${verbs} ${resource}`,
      );
    }
  }
});
