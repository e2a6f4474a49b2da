// Writes docs/reference.md and the CRD of the operator's chart from crds/journalcluster.yaml.
//
//     node scripts/reference.ts
//
// A test keeps both current (test/reference.test.ts).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dump, load } from 'js-yaml';

const root = join(import.meta.dirname, '..');

/** What of a schema the reference shows; everything else passes through unread. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly 'x-kubernetes-validations'?: readonly {
    readonly rule: string;
    readonly message: string;
  }[];
}

interface CustomResourceDefinition {
  readonly metadata: object;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly shortNames: readonly string[] };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

export function readDefinition(): CustomResourceDefinition {
  // cast: the API server is what checks this file; a test compares it with operator/crd.ts.
  return load(
    readFileSync(join(root, 'crds/journalcluster.yaml'), 'utf8'),
  ) as CustomResourceDefinition;
}

export function schemaOf(definition: CustomResourceDefinition): Schema {
  const [version] = definition.spec.versions;
  if (version === undefined) throw new Error('the CRD has no version');
  return version.schema.openAPIV3Schema;
}

/** The page of every field, in the order of the YAML. */
export function referenceOf(definition: CustomResourceDefinition): string {
  const { group, names, versions } = definition.spec;
  const schema = schemaOf(definition);
  const spec = schema.properties?.spec ?? {};
  const status = schema.properties?.status ?? {};
  const lines = [
    `# ${names.kind}`,
    '',
    `Every field of \`${names.kind}\` (\`${group}/${versions[0]?.name}\`, short name ` +
      `\`${names.shortNames.join('`, `')}\`). Written by \`node scripts/reference.ts\` from ` +
      '[the definition](../crds/journalcluster.yaml). For use, see [Kubernetes](kubernetes.md).',
    '',
    '## The resource',
    '',
    ...rulesOf(schema),
    '',
    '## spec',
    '',
    spec.description ?? '',
    '',
    ...table(spec),
    ...rulesOf(spec),
    '',
    '## status',
    '',
    status.description ?? '',
    '',
    ...table(status),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replace(/\s+/g, ' ').trim();

function table(schema: Schema): string[] {
  const rows = rowsOf('', schema);
  return ['| field | type | allowed | meaning |', '| --- | --- | --- | --- |', ...rows, ''];
}

/** Of these a row each says enough: their fields are Kubernetes' own, and many. */
const AS_IN_A_POD = ['nodeAffinity', 'podAffinity', 'podAntiAffinity'];

function rowsOf(prefix: string, schema: Schema): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const required = schema.required?.includes(name) ? ', required' : '';
    const path = `${prefix}${name}`;
    const rules = (field['x-kubernetes-validations'] ?? []).map(({ message }) => message);
    const allowed = [allowedOf(field), ...rules].filter((text) => text !== '').join('; ');
    const own = AS_IN_A_POD.includes(name);
    const meaning = `${cell(field.description ?? '')}${own ? ' Its fields are as in a pod.' : ''}`;
    const row = `| \`${path}\` | ${typeOf(field)}${required} | ${cell(allowed)} | ${meaning} |`;
    if (own) return [row];
    const items = field.items?.properties === undefined ? undefined : field.items;
    return [row, ...rowsOf(`${path}.`, field), ...(items ? rowsOf(`${path}[].`, items) : [])];
  });
}

function typeOf({ type, items, additionalProperties }: Schema): string {
  if (type === 'array') return `list of ${items?.type ?? 'values'}s`;
  if (additionalProperties !== undefined) return 'map';
  return type ?? 'value';
}

function allowedOf(schema: Schema): string {
  const { minimum, maximum, minItems, maxItems, pattern, items } = schema;
  if (schema.enum !== undefined) return schema.enum.map((one) => `\`${one}\``).join(', ');
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  if (minimum !== undefined) return `at least ${minimum}`;
  if (pattern !== undefined) return `\`${pattern}\``;
  if (maxItems === undefined) return '';
  const count = `${minItems ?? 0} to ${maxItems}`;
  return items?.pattern === undefined ? count : `${count}, each \`${items.pattern}\``;
}

function rulesOf(schema: Schema): string[] {
  const rules = schema['x-kubernetes-validations'] ?? [];
  if (rules.length === 0) return [];
  return ['Rules:', '', ...rules.map(({ message }) => `- ${message}`)];
}

/** The CRD as a template of the chart: kept when the chart goes, since data hangs on it. */
export function chartOf(definition: CustomResourceDefinition): string {
  const kept = {
    ...definition,
    metadata: { ...definition.metadata, annotations: { 'helm.sh/resource-policy': 'keep' } },
  };
  const yaml = dump(kept, { noRefs: true, lineWidth: 120 });
  return (
    '{{- /* Written by scripts/reference.ts from crds/journalcluster.yaml. */ -}}\n' +
    `{{- if .Values.crds.install }}\n${yaml}{{- end }}\n`
  );
}

export const OUTPUTS: Readonly<Record<string, (d: CustomResourceDefinition) => string>> = {
  'docs/reference.md': referenceOf,
  'charts/journal-operator/templates/crd.yaml': chartOf,
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const definition = readDefinition();
  for (const [path, write] of Object.entries(OUTPUTS)) {
    writeFileSync(join(root, path), write(definition));
  }
}
