// What a stranger does with the client: installs the packed tarball in an empty folder and uses it,
// from JavaScript under every maintained Node.js and from TypeScript.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster } from '../processes/cluster.ts';

const root = join(import.meta.dirname, '..', '..');
/** Maintained on the day of writing, beside the one that runs this test. */
const OTHER_NODES = ['22', '26'];

const PROGRAM = `
import { connect, JournalError } from 'PACKAGE';
const client = connect({ endpoints: process.argv.slice(2), timeoutMillis: 20_000 });
await client.createJournal('stranger', { ifAbsent: true });
const journal = client.journal('stranger');
const before = (await journal.tail()).tailLsn;
const answer = await journal.append(['one', { key: 'k', data: new Uint8Array([0, 255]) }]);
let refused = null;
try {
  await journal.append('late', { expectTail: answer.firstLsn });
} catch (error) {
  if (!(error instanceof JournalError)) throw error;
  refused = { code: error.code, retryable: error.retryable, outcome: error.outcome };
}
const records = [];
for await (const { lsn, key, data } of journal.subscribe({ from: before + 1, untilEnd: true })) {
  records.push([lsn - before, key ?? null, ...data]);
}
await client.close();
console.log(JSON.stringify({ count: answer.lastLsn - answer.firstLsn + 1, refused, records }));
`;

const TYPED = `
import { connect, type Appended, type JournalRecord } from 'PACKAGE';
export async function use(signal: AbortSignal): Promise<Appended> {
  await using client = connect({ endpoints: ['localhost:7401'], tls: { ca: 'ca.pem' } });
  const orders = client.journal('orders');
  const seen: JournalRecord[] = [];
  const options = { from: 'first', limit: 3, signal } as const;
  for await (const record of orders.subscribe(options)) seen.push(record);
  const data: Uint8Array | undefined = seen[0]?.data;
  await using leadership = await orders.lead('worker', { leaseMillis: 5_000, signal });
  return await orders.append([{ data: data ?? 'none' }], { fence: leadership.fence, signal });
}
`;

const EXPECTED = {
  count: 2,
  refused: { code: 'CONDITION_FAILED', retryable: false, outcome: 'none' },
  records: [
    [1, null, 111, 110, 101],
    [2, 'k', 0, 255],
  ],
};

let folder = '';
let name = '';
let cluster: Cluster;

const npm = (cwd: string, ...args: readonly string[]): string =>
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    encoding: 'utf8',
  });

const installed = (): string => join(folder, 'node_modules', name);

function write(file: string, text: string): string {
  const path = join(folder, file);
  writeFileSync(path, text.replaceAll('PACKAGE', name));
  return path;
}

before(async () => {
  execFileSync(process.execPath, ['scripts/build.ts'], { cwd: root });
  const temporary = mkdtempSync(join(tmpdir(), 'journal-stranger-'));
  folder = join(temporary, 'app');
  mkdirSync(folder);
  const built = join(root, 'dist', 'client');
  // cast: npm's own file, and a missing field fails the test at once.
  name = (JSON.parse(readFileSync(join(built, 'package.json'), 'utf8')) as { name: string }).name;
  npm(built, 'pack', '--pack-destination', temporary);
  const tarball = readdirSync(temporary).find((file) => file.endsWith('.tgz'));
  assert.ok(tarball !== undefined, 'npm pack made a tarball');
  write('package.json', '{ "name": "app", "private": true, "type": "module" }');
  npm(folder, 'install', join(temporary, tarball));
  cluster = await Cluster.start();
});

after(async () => {
  await cluster?.close();
  if (folder !== '') rmSync(join(folder, '..'), { recursive: true, force: true });
});

function use(node: string): unknown {
  const program = write('use.mjs', PROGRAM);
  const output = execFileSync(node, [program, ...cluster.endpoints], { encoding: 'utf8' });
  return JSON.parse(output);
}

test('the installed package appends, is refused and subscribes', () => {
  assert.deepEqual(use(process.execPath), EXPECTED);
});

for (const major of OTHER_NODES) {
  test(`so it does under Node.js ${major}`, () => {
    const binary = `node-${process.platform}-${process.arch}`;
    const other = join(folder, '..', `node-${major}`);
    mkdirSync(other);
    npm(other, 'install', '--ignore-scripts', `${binary}@${major}`);
    const node = join(other, 'node_modules', binary, 'bin', 'node');
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' });
    assert.ok(version.startsWith(`v${major}.`), version);
    assert.deepEqual(use(node), EXPECTED);
  });
}

test('its types hold in a strict program', () => {
  write('use.ts', TYPED);
  const types = join(root, 'node_modules', '@types');
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    target: 'es2024',
    module: 'nodenext',
    noEmit: true,
    types: ['node'],
    typeRoots: [types],
  };
  write('tsconfig.json', JSON.stringify({ compilerOptions: options, files: ['use.ts'] }));
  execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', folder], { stdio: 'inherit' });
});

test('it holds what the client imports and no more, nothing of Kubernetes', () => {
  const rooms = readdirSync(installed()).sort();
  assert.deepEqual(
    rooms.filter((entry) => entry !== 'node_modules'),
    ['LICENSE', 'README.md', 'client', 'io', 'package.json', 'protocol', 'transport'],
  );
  const { dependencies } = JSON.parse(readFileSync(join(installed(), 'package.json'), 'utf8'));
  assert.deepEqual(Object.keys(dependencies), ['@bufbuild/protobuf', '@grpc/grpc-js']);
  const transport = join(installed(), 'transport');
  const carried = readdirSync(transport, { recursive: true }).map(String);
  assert.deepEqual(
    carried.filter((entry) => /server|standard|reflection|\.proto$/.test(entry)),
    [],
  );
  const everything = readdirSync(join(folder, 'node_modules'), { recursive: true }).map(String);
  assert.deepEqual(
    everything.filter((path) => /kubernetes/i.test(path)),
    [],
  );
  assert.deepEqual(
    everything.filter((path) => path.startsWith(name) && /(?<!\.d)\.ts$/.test(path)),
    [],
  );
});
