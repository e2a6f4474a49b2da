// What the log costs: appends of whole batches, a sync a group, on the disk below a directory.
//
//   node bench/log.bench.ts [--seconds 5] [--records 64] [--size 256] [--journals 1]
//                           [--outstanding 64] [--directory D]
//
// As many batches are outstanding as `--outstanding` says; each is encoded anew from its records,
// as a head does it. The plain line writes and syncs the same bytes without any log around them.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silent } from '../io/logger.ts';
import { nodeClock, nodeDisk } from '../io/node.ts';
import { encodeBatch, encodeBody } from '../log/batch.ts';
import type { JournalLog, RecordInput } from '../log/log.ts';
import { openVolume } from '../log/volume.ts';
import { after, epoch, journalId, lsn, micros } from '../protocol/types.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    records: { type: 'string', default: '64' },
    size: { type: 'string', default: '256' },
    journals: { type: 'string', default: '1' },
    outstanding: { type: 'string', default: '64' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const seconds = Number(values.seconds);
const outstanding = Number(values.outstanding);
const records: RecordInput[] = Array.from({ length: Number(values.records) }, (_, at) => ({
  data: Buffer.alloc(Number(values.size), at),
}));
const userBytes = Number(values.records) * Number(values.size);
const MIB = 1024 * 1024;

function append(log: JournalLog): void {
  const body = encodeBody(records);
  const firstLsn = after(log.endLsn, 1);
  const header = {
    journal: log.journal,
    firstLsn,
    count: body.count,
    epoch: epoch(1),
    timestamp: micros(firstLsn),
    kind: 'data',
    keyOperation: 'tag',
    leaseMillis: 0,
    idempotence: null,
    keys: [],
    control: null,
    bodyCrc: body.crc,
    bodyBytes: body.bytes.length,
  } as const;
  log.append(encodeBatch(header, body.bytes, log.endCrc));
}

function report(name: string, batches: number, syncs: number, since: number): void {
  const elapsed = (performance.now() - since) / 1000;
  const rate = ((batches * userBytes) / MIB / elapsed).toFixed(1);
  const each = (batches / elapsed).toFixed(0);
  const group = (batches / Math.max(1, syncs)).toFixed(1);
  console.log(`${name}: ${rate} MiB/s of records, ${each} batches/s, ${group} batches a sync`);
}

async function benchLog(directory: string): Promise<void> {
  const volume = await openVolume({ disk: nodeDisk, directory, clock: nodeClock, logger: silent });
  const logs = Array.from({ length: Number(values.journals) }, (_, at) =>
    volume.create(journalId(at.toString(16).padStart(32, '0'))),
  );
  let batches = 0;
  const since = performance.now();
  const cpu = process.cpuUsage();
  while (performance.now() - since < seconds * 1000) {
    for (let at = 0; at < outstanding; at += 1) {
      const log = logs[at % logs.length];
      if (log !== undefined) append(log);
    }
    batches += outstanding;
    await volume.sync();
  }
  report('append', batches, volume.stats.syncs, since);
  const { user, system } = process.cpuUsage(cpu);
  const used = ((user + system) / (performance.now() - since) / 10).toFixed(0);
  console.log(`  ${used} % of one core, ${volume.stats.segments} segments`);
  await benchRead(logs[0], volume.close.bind(volume));
  const opening = performance.now();
  const again = await openVolume({ disk: nodeDisk, directory, clock: nodeClock, logger: silent });
  console.log(`open after a close: ${(performance.now() - opening).toFixed(0)} ms`);
  await again.close();
}

async function benchRead(log: JournalLog | undefined, close: () => Promise<void>): Promise<void> {
  let batches = 0;
  const since = performance.now();
  for (let next = 1; log !== undefined && next <= log.endLsn; ) {
    const read = await log.read(lsn(next), MIB);
    batches += read.length;
    next += read.reduce((sum, { header }) => sum + header.count, 0);
  }
  report('read', batches, 0, since);
  const closing = performance.now();
  await close();
  console.log(`close, with the tables: ${(performance.now() - closing).toFixed(0)} ms`);
}

/** The same bytes in the same groups, written one after another to one zero-filled file. */
async function benchPlain(directory: string): Promise<void> {
  const file = await nodeDisk.create(join(directory, 'plain'));
  const zeros = Buffer.alloc(MIB);
  const size = 256 * MIB;
  for (let at = 0; at < size; at += MIB) await file.write(at, [zeros]);
  await file.sync();
  const chunk = Buffer.alloc(outstanding * userBytes, 1);
  let groups = 0;
  const since = performance.now();
  while (performance.now() - since < seconds * 1000) {
    await file.write((groups * chunk.length) % (size - chunk.length), [chunk]);
    await file.sync();
    groups += 1;
  }
  report('plain write and sync', groups * outstanding, groups, since);
  await file.close();
}

const directory = await mkdtemp(join(values.directory, 'journal-bench-'));
try {
  await benchPlain(directory);
  await benchLog(join(directory, 'volume'));
} finally {
  await rm(directory, { recursive: true, force: true });
}
