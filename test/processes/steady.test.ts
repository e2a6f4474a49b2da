// Without a fault nothing happens: no reconfiguration at full load, and memory that stays flat with
// trims going on and a subscriber that reads no further.
//
// STEADY_SECONDS (180 by default; `npm run soak` ends with ten minutes of full load).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Cluster, pause } from './cluster.ts';
import { fullLoad } from './load.ts';

const SECONDS = Number(process.env.STEADY_SECONDS ?? 180);
/** Caches and heaps fill before they are flat. */
const WARM_SHARE = 1 / 3;
const GROWTH_MAX = 1.25;
const SLACK_BYTES = 48 * 1024 * 1024;
const RETAINED = 20_000;

describe('a cluster at full load without a fault', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start();
  });
  after(() => cluster?.close());

  const timeout = (SECONDS + 120) * 1_000;
  test('reconfigures nothing and does not grow', { timeout }, async (context) => {
    await using client = cluster.connect();
    await client.createJournal('steady');
    const { epoch } = await cluster.whole('steady');
    const journal = client.journal('steady');
    const stopped = new AbortController();
    const { signal } = stopped;
    const loading = fullLoad(journal, signal);
    await using reading = cluster.connect();
    const stuck = reading.journal('steady').subscribe({ from: 1, signal })[Symbol.asyncIterator]();
    await stuck.next();
    const status = await cluster.status();
    const pids = status.processes.map(({ pid, id }) => ({ pid, id }));
    const samples = new Map(pids.map(({ pid }) => [pid, [] as number[]]));
    for (let second = 0; second < SECONDS; second += 1) {
      await pause(1_000);
      for (const { pid } of pids) samples.get(pid)?.push(residentBytes(pid));
      const { tailLsn } = await journal.tail();
      if (second % 5 === 4 && tailLsn > RETAINED) await journal.trim(tailLsn - RETAINED);
    }
    stopped.abort();
    const { records: appended, failed } = await loading;
    await stuck.return?.(undefined);
    const after = await cluster.whole('steady');
    const growth = pids.map(({ pid, id }) => ({ id, ...growthOf(samples.get(pid) ?? []) }));
    const shown = growth.map(({ id, early, late }) => `${id} ${mib(early)} to ${mib(late)} MiB`);
    context.diagnostic(`${Math.round(appended / SECONDS)} records a second; ${shown.join(', ')}`);
    const why = cluster.decided('steady', epoch).join('\n');
    assert.equal(after.epoch, epoch, `a fault-free run reconfigured:\n${why}`);
    assert.equal(failed, 0, `${failed} appends failed`);
    assert.ok(appended > 10 * SECONDS, `only ${appended} records were appended`);
    for (const { id, early, late } of growth) {
      assert.ok(late < early * GROWTH_MAX + SLACK_BYTES, `${id} grew: ${shown.join(', ')}`);
    }
  });
});

/** Medians of the part after the warm-up and of the last part. */
function growthOf(samples: readonly number[]): { readonly early: number; readonly late: number } {
  const part = Math.max(1, Math.floor(samples.length * WARM_SHARE));
  return { early: median(samples.slice(part, 2 * part)), late: median(samples.slice(-part)) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib ?? 0) * 1_024;
}
