// Backups and imports that end before they are done: what counts as restored is whole.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { exportAll } from '../../cli/backup/backup.ts';
import { ExportWriter } from '../../cli/records/exchange.ts';
import { DEFAULT_SETTINGS, type JournalSettings } from '../../protocol/configuration.ts';
import { lsn, micros } from '../../protocol/types.ts';
import { Cluster, output, pause, startJournal } from './cluster.ts';
import { json, lines, toolOf } from './tool.ts';

const WAIT = { timeout: 300_000 };
const main = join(import.meta.dirname, '..', '..', 'cli', 'journal.js');

let cluster: Cluster;
before(async () => {
  cluster = await Cluster.start();
});
after(() => cluster?.close());

const { done, fails } = toolOf(() => cluster);

/** An export of records at these positions, the log ends at `end`. */
function fileOf(
  journal: string,
  lsns: Iterable<number>,
  end: number,
  settings: Partial<JournalSettings> = {},
): string {
  const writer = new ExportWriter();
  const all = { replicationFactor: 3, minReplicas: 2, ...settings };
  let text = writer.header({ journal, firstLsn: lsn(1), settings: all });
  for (const at of lsns) {
    const data = Buffer.from(`record ${at}`);
    text += writer.record({ lsn: lsn(at), timestampMicros: micros(at), key: `k${at % 7}`, data });
  }
  return text + writer.end(lsn(end));
}

/** Records with gaps: after each 500 some positions have none, and at the end. */
function* gappy(): Generator<number> {
  let at = 0;
  for (let index = 1; index <= 6_000; index += 1) {
    at += index % 500 === 0 ? 6 : 1;
    yield at;
  }
}

/** Control entries after the last record. */
const TAIL = 10;
const GAPPY_END = 6_000 + 12 * 5 + TAIL;
const gappyFile = (journal: string): string => fileOf(journal, gappy(), GAPPY_END);

const records = (text: string): unknown[] =>
  json(text).map(({ lsn: at, key, data, dataBase64 }) => [at, key, data, dataBase64]);

async function isWhole(name: string, file: string): Promise<void> {
  const inFile = lines(file).filter((line) => line.startsWith('{"lsn"'));
  assert.deepEqual(records(await done(`read ${name} --json`)), records(inFile.join('\n')));
  const { cursors } = await described(name);
  assert.deepEqual(cursors, [], 'the cursor of the import is gone');
}

async function described(name: string) {
  await using client = cluster.connect();
  return await client.describeJournal(name);
}

async function endOf(name: string): Promise<number> {
  await using client = cluster.connect();
  return await client
    .journal(name)
    .tail()
    .then(({ endLsn }) => endLsn)
    .catch(() => -1);
}

/** Feeds an import the beginning of a file, and kills it once the journal ends at `end`. */
async function killedImport(name: string, beginning: string, end: number): Promise<void> {
  const env = { ...process.env, JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
  const stdio = ['pipe', 'ignore', 'inherit'] as const;
  const child = spawn(process.execPath, [main, 'import', name], { env, stdio: [...stdio] });
  child.stdin?.write(beginning);
  const until = performance.now() + 60_000;
  while ((await endOf(name)) < end) {
    assert.ok(performance.now() < until && child.exitCode === null, 'it came as far as it can');
    await pause(20);
  }
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** The beginning of an export through its n-th check, and the last record in it. */
function through(file: string, checks: number): { readonly text: string; readonly end: number } {
  let [text, end, left] = ['', 0, checks];
  for (const line of lines(file)) {
    const at = /^\{"lsn":(\d+)/.exec(line)?.[1];
    if (at !== undefined && left === 0) break;
    text += `${line}\n`;
    if (at !== undefined) end = Number(at);
    if (line.startsWith('{"check"')) left -= 1;
  }
  return { text, end };
}

function backupFolder(name: string, files: Readonly<Record<string, string>>, complete: string) {
  const folder = join(cluster.directory, name);
  mkdirSync(folder);
  for (const [journal, text] of Object.entries(files)) {
    writeFileSync(join(folder, `${journal}.journal`), text);
  }
  writeFileSync(join(folder, 'complete'), complete);
  return folder;
}

describe('an import that is killed', WAIT, () => {
  for (const checks of [0, 3]) {
    test(`after ${checks} checks is gone on with`, async () => {
      const name = `cut${checks}`;
      const file = gappyFile(name);
      const { text, end } = through(file, checks);
      await killedImport(name, text, end);
      assert.equal(await endOf(name), end);
      await fails(`import ${name}`, 1, /--resume goes on with it/, file);
      assert.equal(await endOf(name), end);
      await done(`import ${name} --resume`, file);
      await isWhole(name, file);
      const again = json(await done(`import ${name} --resume --json`, file));
      assert.deepEqual(again, [{ records: 0, lastLsn: GAPPY_END - TAIL, present: 6_000 }]);
    });
  }

  test('by SIGTERM, while its pipe says nothing, ends at once and says how to go on', async () => {
    const { text } = through(gappyFile('waiting'), 0);
    const env = { JOURNAL_ENDPOINTS: cluster.endpoints.join(',') };
    const child = startJournal(['import', 'waiting'], env);
    const ended = output(child);
    child.stdin.write(text.slice(0, text.indexOf('\n') + 1));
    while ((await endOf('waiting')) < 0) await pause(20);
    child.kill('SIGTERM');
    const { code, stderr } = await ended;
    assert.equal(code, 143, stderr);
    assert.match(stderr, /import --resume goes on with it/);
  });

  test('is not gone on with from another file', async () => {
    const file = gappyFile('other');
    const { text, end } = through(file, 2);
    await killedImport('other', text, end);
    const another = fileOf('other', [1, 2, 3], 4_000);
    await fails('import other --resume', 1, /differ at LSN 4.*journal delete other/s, another);
    assert.equal(await endOf('other'), end);
  });

  test('or fails, says how to go on', async () => {
    const file = gappyFile('few');
    await fails('import few --gap-max 20', 2, /--gap-max.*import --resume goes on/s, file);
    await done('import few --resume', file);
    await isWhole('few', file);
  });
});

describe('a restore', WAIT, () => {
  test('goes on with journals that were cut off, and leaves whole ones as they are', async () => {
    const [half, whole] = [gappyFile('half'), fileOf('full', [1, 2, 3], 3)];
    const folder = backupFolder('one', { half, full: whole, new: fileOf('new', [1], 1) }, '3\n');
    const { text, end } = through(half, 2);
    await killedImport('half', text, end);
    await done('import full', whole);
    await done('append full', 'more\n');
    assert.equal(await done(`restore ${folder}`), '2 journals restored\n');
    await isWhole('half', half);
    assert.equal(await done('tail full'), '4\n');
    assert.equal(await done(`restore ${folder}`), '0 journals restored\n');
  });

  test('that is killed is whole when it has run again', async () => {
    const file = gappyFile('killed');
    const folder = backupFolder('two', { killed: file }, '1\nkilled\n');
    for (const at of [1, 2_500]) {
      const args = [main, 'restore', folder, '--endpoints', cluster.endpoints.join(',')];
      const child = spawn(process.execPath, args, { stdio: 'ignore' });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      while (child.exitCode === null && (await endOf('killed')) < at) await pause(1);
      child.kill('SIGKILL');
      await gone;
    }
    await done(`restore ${folder}`);
    await isWhole('killed', file);
  });

  test('refuses a journal that is something else, and restores the others', async () => {
    await done('create mine');
    await done('append mine', 'mine\n');
    const files = { mine: fileOf('mine', [1, 2], 2), yours: fileOf('yours', [1, 2], 2) };
    const folder = backupFolder('three', files, '2\nmine\nyours\n');
    await fails(`restore ${folder}`, 1, /mine\.journal.*differ at LSN 1.*journal delete mine/s);
    assert.equal(await done('read mine --raw'), 'mine\n');
    assert.equal(await done('tail yours'), '2\n');
  });

  test('restores the others where the cluster refuses one for its settings or limits', async () => {
    const limits = { ...DEFAULT_SETTINGS.limits, keys: 2 };
    const files = {
      'a-keys': fileOf('a-keys', [1, 2, 3], 3, { limits }),
      'b-large': fileOf('b-large', [1], 1, { recordBytesMax: 2 ** 30 }),
      'c-small': fileOf('c-small', [1, 2, 3], 3, { batchBytesMax: 16 }),
    };
    const folder = backupFolder('refused', files, `3\n${Object.keys(files).join('\n')}\n`);
    await fails(`restore ${folder}`, 1, /a-keys\.journal.*keys.*b-large\.journal|b-large.*a-keys/s);
    assert.equal(await endOf('b-large'), -1);
    await isWhole('c-small', files['c-small']);
  });

  test('refuses a backup that is not whole', async () => {
    const file = fileOf('part', [1], 1);
    const named = backupFolder('four', { part: file }, '2\npart\ngone\n');
    await fails(`restore ${named}`, 2, /not whole: gone\.journal is missing/);
    const counted = backupFolder('five', { part: file }, '2\n');
    await fails(`restore ${counted}`, 2, /not whole: it has 1 files.*made with 2/);
    const damaged = backupFolder('six', { part: file.replace('record', 'rekord') }, '1\n');
    await fails(`restore ${damaged}`, 7, /part\.journal: line 3.*sha256/);
    assert.equal(await endOf('part'), -1);
    assert.equal(
      await done(`restore ${backupFolder('seven', { part: file }, '')}`),
      '1 journals restored\n',
    );
  });
});

describe('a backup', WAIT, () => {
  test('passes over a journal that was deleted meanwhile, and no other', async () => {
    await done('create stays');
    const folder = join(cluster.directory, 'deleted-meanwhile');
    mkdirSync(folder);
    const { signal } = new AbortController();
    const flags = { endpoints: cluster.endpoints, keep: 1 };
    const exporting = (there: boolean) =>
      exportAll(folder, ['gone', 'stays'], { flags, signal, isThere: async () => there });
    assert.deepEqual(await exporting(false), ['stays']);
    assert.deepEqual(readdirSync(folder).sort(), ['complete', 'stays.journal']);
    await assert.rejects(exporting(true), /journal export gone ended with code 6/);
  });

  test('says what is in it, and removes those that failed a day ago', async () => {
    const directory = join(cluster.directory, 'kept');
    const old = '2026-01-01T00-00-00Z';
    const failed = '2026-01-02T00-00-00Z';
    const name = (millis: number): string =>
      new Date(millis)
        .toISOString()
        .replace(/\.\d+Z$/, 'Z')
        .replaceAll(':', '-');
    const young = name(Date.now() - 3_600_000);
    for (const one of [old, failed, young, 'mine'])
      mkdirSync(join(directory, one), { recursive: true });
    writeFileSync(join(directory, old, 'complete'), '0\n');
    for (const one of [failed, young]) writeFileSync(join(directory, one, 'a.journal.part'), 'x');
    await done('create saved --if-absent');
    const [said] = json(await done(`backup ${directory} --json`));
    const folder = String(said?.folder);
    const left = readdirSync(directory).filter((one) => !folder.endsWith(one));
    assert.deepEqual(left.sort(), [old, young, 'mine'].sort());
    const names = lines(await done('list')).sort();
    const [count, ...listed] = lines(readFileSync(join(folder, 'complete'), 'utf8'));
    assert.equal(count, String(names.length));
    assert.deepEqual(listed.sort(), names);
    rmSync(join(folder, 'saved.journal'));
    await fails(`restore ${folder}`, 2, /saved\.journal is missing/);
  });
});
