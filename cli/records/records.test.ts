// Records survive every format, input is cut by itself alone, a damaged export is not given out.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { JournalError } from '../../protocol/errors.ts';
import { lsn, micros } from '../../protocol/types.ts';
import type { JournalRecord, NewRecord } from '../../transport/public.ts';
import { type ExportPart, ExportWriter, readExport } from './exchange.ts';
import { formatRecord, parseRecordJson } from './format.ts';
import { type Framing, RecordInput } from './input.ts';

const record = (data: Uint8Array, at = 1, key?: string): JournalRecord => ({
  lsn: lsn(at),
  timestampMicros: micros(1_700_000_000_123_456),
  key,
  data,
});

const never = new AbortController().signal;

async function taken(
  chunks: readonly (string | Uint8Array)[],
  framing: Framing,
  cut = { records: 1_000, bytes: 1_000_000 },
  whole = false,
): Promise<NewRecord[][]> {
  const stream = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  const input = new RecordInput(stream, framing);
  const batches: NewRecord[][] = [];
  for (;;) {
    const batch = await input.take(cut, whole, never);
    if (batch.length === 0) return batches;
    batches.push(batch);
  }
}

const texts = (batches: readonly (readonly NewRecord[])[]): string[] =>
  batches.flat().map(({ data }) => Buffer.from(data).toString('utf8'));

test('any bytes and any key come back from JSON', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.option(fc.string({ unit: 'grapheme' })), (data, key) => {
      const [line = ''] = formatRecord(record(data, 1, key ?? undefined), 'json');
      const read = parseRecordJson(String(line), 'line 1');
      assert.deepEqual(Buffer.from(read.data), Buffer.from(data));
      assert.equal(read.key, key ?? undefined);
    }),
  );
});

test('text keeps a record on its line and steers no terminal', () => {
  const [line] = formatRecord(record(Buffer.from('a\nb\u001b[2Jc')), 'text');
  assert.equal(line, '1\t2023-11-14T22:13:20.123456Z\ta\\nb\\x1b[2Jc\n');
  const [binary] = formatRecord(record(Uint8Array.of(0xff, 0x41)), 'text');
  assert.equal(binary, '1\t2023-11-14T22:13:20.123456Z\t\\xffA\n');
});

test('JSON that is no record is refused with field, given and allowed', () => {
  const refused = (line: string, words: RegExp): void =>
    assert.throws(() => parseRecordJson(line, 'line 7'), words);
  refused('{', /line 7 is no JSON/);
  refused('[1]', /line 7: the line is \[1\], allowed is an object/);
  const deep = '['.repeat(50_000) + ']'.repeat(50_000);
  refused(`{"key":${deep}}`, /line 7: key is \[{80}…, allowed is a string/);
  refused('{"key":"a"}', /neither is there, allowed is either data or dataBase64/);
  refused('{"data":"a","dataBase64":"YQ=="}', /both are there/);
  refused('{"data":1}', /data is 1, allowed is a string/);
  refused('{"data":"\\ud800"}', /data is "\\ud800", allowed is a string without lone surrogates/);
  refused('{"data":"a","key":"\\udc00k"}', /key is "\\udc00k", allowed is a string without lone/);
  refused('{"dataBase64":"?"}', /dataBase64 is "\?", allowed is a string in base64/);
  refused('{"data":"a","key":2}', /key is 2, allowed is a string/);
});

test('a key that no journal takes is refused by its line, behind what is good', async () => {
  const good = '{"key":"a","data":"x"}\n';
  for (const key of ['', 'k'.repeat(1_025)]) {
    const input = new RecordInput(
      Readable.from([Buffer.from(`${good}${JSON.stringify({ key, data: 'y' })}\n`)]),
      'json',
    );
    const cut = { records: 10, bytes: 1_000 };
    assert.deepEqual(texts([await input.take(cut, false, never)]), ['x']);
    await assert.rejects(input.take(cut, false, never), /line 2: key is .*, allowed is 1 to 1024/);
  }
});

test('lines are cut wherever the chunks end, and the last needs no newline', async () => {
  assert.deepEqual(texts(await taken(['a\nb', 'c\n', '\nd'], 'lines')), ['a', 'bc', '', 'd']);
  assert.deepEqual(texts(await taken(['a\nb\0c\0'], 'nul')), ['a\nb', 'c']);
  assert.deepEqual(texts(await taken(['{"data":"x"}\n\n{"data":"y"}'], 'json')), ['x', 'y']);
  assert.deepEqual(await taken([], 'lines'), []);
});

test('whole batches follow from the input alone, never from how it arrives', async () => {
  const input = fc.array(fc.string({ maxLength: 30 }).map((text) => text.replaceAll('\n', '.')));
  const cut = { records: 3, bytes: 300 };
  await fc.assert(
    fc.asyncProperty(input, fc.integer({ min: 1, max: 7 }), async (lines, step) => {
      const whole = Buffer.from(lines.map((line) => `${line}\n`).join(''));
      const chunks: Buffer[] = [];
      for (let at = 0; at < whole.length; at += step) chunks.push(whole.subarray(at, at + step));
      const inPieces = await taken(chunks, 'lines', cut, true);
      const atOnce = await taken([whole], 'lines', cut, true);
      assert.deepEqual(inPieces, atOnce);
      assert.deepEqual(texts(inPieces), lines);
    }),
  );
});

test('what is before a broken line is given out, then the break', async () => {
  const stream = Readable.from([Buffer.from('{"data":"x"}\n{"data":')]);
  const input = new RecordInput(stream, 'json');
  const cut = { records: 10, bytes: 1_000 };
  assert.equal((await input.take(cut, false, never)).length, 1);
  await assert.rejects(input.take(cut, false, never), /line 2 is no JSON/);
});

test('bytes that are no UTF-8 are no JSON, and never stored as others', async () => {
  const line = Buffer.from('{"data":"a\xff"}\n', 'latin1');
  await assert.rejects(taken([line], 'json'), /line 1 is no UTF-8, allowed is one JSON object/);
  assert.deepEqual(texts(await taken(['{"data":"\\ud83d\\ude00"}'], 'json')), ['\u{1f600}']);
});

test('a batch that is to be whole is not given out where its input broke', async () => {
  const stream = Readable.from([Buffer.from('{"data":"x"}\nnonsense\n')]);
  const input = new RecordInput(stream, 'json');
  await assert.rejects(input.take({ records: 10, bytes: 1_000 }, true, never), /line 2/);
});

const header = { journal: 'orders', firstLsn: lsn(5), settings: {} };

function exported(count: number): string {
  const writer = new ExportWriter();
  let text = writer.header(header);
  for (let at = 0; at < count; at += 1) {
    // Every tenth position has no record: it was a control entry.
    if (at % 10 === 3) continue;
    text += writer.record(record(Buffer.from(`record ${at}`), 5 + at, at % 2 ? 'k' : undefined));
  }
  return text + writer.end(lsn(5 + count));
}

async function parts(text: string): Promise<ExportPart[]> {
  const found: ExportPart[] = [];
  for await (const part of readExport(Readable.from([Buffer.from(text)]))) found.push(part);
  return found;
}

test('an export is read back as it was written', async () => {
  const found = await parts(exported(3_000));
  assert.equal(found[0]?.kind, 'header');
  const records = found.flatMap((part) => (part.kind === 'records' ? part.records : []));
  assert.equal(records.length, 2_700);
  assert.deepEqual(records.at(-1)?.lsn, 3_004);
  assert.equal(Buffer.from(records[1]?.data ?? []).toString(), 'record 1');
  assert.equal(records[1]?.key, 'k');
  assert.deepEqual(found.at(-1), {
    kind: 'end',
    end: { records: 2_700, throughLsn: 3_004, endLsn: 3_005 },
  });
});

test('a flipped bit anywhere, a cut anywhere and a swapped line are damage', async () => {
  const text = exported(30);
  const damaged = (changed: string): Promise<void> =>
    assert.rejects(
      parts(changed),
      (error) => error instanceof JournalError && ['DAMAGED', 'INCOMPATIBLE'].includes(error.code),
    );
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 1) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    await damaged(flipped.toString('latin1'));
  }
  for (let at = 0; at < text.length; at += 13) await damaged(text.slice(0, at));
  const lines = text.split('\n');
  const [one = '', two = ''] = [lines[2], lines[3]];
  lines.splice(2, 2, two, one);
  await damaged(lines.join('\n'));
});

test('records before damage come out only where a check vouched for them', async () => {
  const text = exported(3_000).replace('record 2900', 'record 29xx');
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const part of readExport(Readable.from([Buffer.from(text)]))) {
      if (part.kind === 'records') seen.push(part.records.length);
    }
  }, /sha256/);
  assert.deepEqual(seen, [1_000, 1_000]);
});
