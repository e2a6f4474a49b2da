// `bench append`: how fast appends are acknowledged, measured where a user measures it.

import { randomFillSync } from 'node:crypto';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { type Command, Option } from 'commander';
import type { Journal } from '../client/index.ts';
import { RECORD_BYTES_LIMIT } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Connected, type ConnectionFlags, connected, withClient } from './connection.ts';
import { command, commandGroup, wholeNumber } from './options.ts';
import { progress } from './output.ts';

interface BenchFlags extends ConnectionFlags {
  readonly journal: string;
  readonly size: number;
  readonly records: number;
  readonly outstanding: number;
  readonly seconds: number;
}

/** From here on a client refuses appends that do not wait for room. */
export const OUTSTANDING_MAX = 65_536;

export function benchCommand(): Command {
  const made = command(
    'append',
    'Appends for a while and prints throughput and latency of what was acknowledged.',
    'journal bench append --journal orders --size 256 --outstanding 256 --seconds 10',
  );
  const count = (flag: string, about: string, max: number, otherwise: number): Option =>
    new Option(flag, about).argParser(wholeNumber(1, max)).default(otherwise);
  const append = connected(made)
    .addOption(new Option('--journal <name>', 'where to append').makeOptionMandatory())
    .addOption(count('--size <bytes>', 'of a record', RECORD_BYTES_LIMIT, 256))
    .addOption(count('--records <count>', 'in one append', 10_000, 1))
    .addOption(count('--outstanding <count>', 'appends at once', OUTSTANDING_MAX, 256))
    .addOption(count('--seconds <count>', 'how long', 86_400, 10))
    .action((flags: BenchFlags) =>
      withClient(flags, async (at) => {
        const result = await measure(at, flags);
        if (flags.json) await at.output.json(result);
        else await at.output.write(resultText(result));
        // What was measured until ^C is shown all the same.
        at.signal.throwIfAborted();
      }),
    );
  const example = 'journal bench append --journal orders --seconds 10';
  return commandGroup('bench', 'Measures a running cluster.', example).addCommand(append);
}

export interface BenchResult {
  readonly seconds: number;
  readonly appends: number;
  readonly records: number;
  readonly failed: number;
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
  /** From the call to its acknowledgement. */
  readonly latencyMicros: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

const FAILURES_MAX = 1_000;

/** What a measurement needs of a cluster. */
interface Target extends Pick<Connected, 'signal'> {
  readonly client: { journal(name: string): Pick<Journal, 'append' | 'tail'> };
}

export async function measure(
  at: Target,
  flags: Pick<BenchFlags, 'journal' | 'size' | 'records' | 'outstanding' | 'seconds'>,
): Promise<BenchResult> {
  const journal = at.client.journal(flags.journal);
  await journal.tail({ signal: at.signal });
  const latency = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  const data = randomFillSync(Buffer.allocUnsafe(flags.size));
  const batch = Array.from({ length: flags.records }, () => ({ data }));
  const begun = performance.now();
  const until = begun + flags.seconds * 1_000;
  let appends = 0;
  let failed = 0;
  let lastFailure: unknown = null;
  const worker = async (): Promise<void> => {
    while (performance.now() < until && !at.signal.aborted && failed < FAILURES_MAX) {
      const sent = performance.now();
      try {
        await journal.append(batch, { signal: at.signal });
        latency.record(Math.max(1, Math.round((performance.now() - sent) * 1_000)));
        appends += 1;
      } catch (error) {
        if (!(error instanceof JournalError)) throw error;
        if (at.signal.aborted) return;
        // What is refused once and for all is refused the next time, too.
        if (appends === 0 && !error.retryable) throw error;
        failed += 1;
        lastFailure = error;
      }
    }
  };
  const ticker = setInterval(() => {
    const seconds = Math.round((performance.now() - begun) / 1_000);
    progress(`${seconds} s, ${appends * flags.records} records acknowledged`);
  }, 1_000);
  try {
    await Promise.all(Array.from({ length: flags.outstanding }, worker));
  } finally {
    clearInterval(ticker);
    progress('');
  }
  if (appends === 0 && lastFailure !== null) throw lastFailure;
  return resultOf(latency, appends, failed, (performance.now() - begun) / 1_000, flags);
}

function resultOf(
  latency: RecordableHistogram,
  appends: number,
  failed: number,
  seconds: number,
  flags: Pick<BenchFlags, 'size' | 'records'>,
): BenchResult {
  const records = appends * flags.records;
  const at = (percent: number): number => (appends === 0 ? 0 : latency.percentile(percent));
  return {
    seconds: Math.round(seconds * 1_000) / 1_000,
    appends,
    records,
    failed,
    recordsPerSecond: Math.round(records / seconds),
    bytesPerSecond: Math.round((records * flags.size) / seconds),
    latencyMicros: {
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: appends === 0 ? 0 : latency.max,
    },
  };
}

function resultText(result: BenchResult): string {
  const { latencyMicros } = result;
  const millis = (micros: number): string => `${(micros / 1_000).toFixed(2)} ms`;
  const rows: [string, string][] = [
    ['seconds', result.seconds.toFixed(1)],
    ['records', `${result.records} (${result.recordsPerSecond} a second)`],
    ['MiB a second', (result.bytesPerSecond / 2 ** 20).toFixed(2)],
    ['failed appends', String(result.failed)],
    ['latency p50', millis(latencyMicros.p50)],
    ['latency p90', millis(latencyMicros.p90)],
    ['latency p99', millis(latencyMicros.p99)],
    ['latency p99.9', millis(latencyMicros.p999)],
    ['latency max', millis(latencyMicros.max)],
  ];
  return rows.map(([name, value]) => `${name.padEnd(16)}${value}\n`).join('');
}
