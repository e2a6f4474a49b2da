// What the network costs: calls and stream messages on the loopback, client and server in one
// process on one event loop, so that half of the time of each is the other side's.
//
//   node bench/transport.bench.ts [--seconds 3]

import { parseArgs } from 'node:util';
import { silent } from '../io/logger.ts';
import { bidiStream, serverStream, unary } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { NO_CONDITION } from '../protocol/chain/messages.ts';
import { epoch, lsn, micros } from '../protocol/types.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { journalMethods } from '../transport/methods.ts';
import type { AppendCall, SubscribeAnswer } from '../transport/public.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '3' } } });
const millis = Number(values.seconds) * 1000;
const OPTIONS = { timeout: micros(60_000_000) };
const KIB = 1024;

const appendOf = (records: number, bytes: number): AppendCall => ({
  journal: 'bench',
  records: Array.from({ length: records }, () => ({ data: new Uint8Array(bytes) })),
  condition: NO_CONDITION,
  keyOperation: 'tag',
  leaseMillis: 0,
  idempotence: null,
  tag: 1,
});

const answer = {
  tag: 1,
  firstLsn: lsn(1),
  lastLsn: lsn(1),
  timestampMicros: micros(1),
  epoch: epoch(1),
  duplicate: false,
};

const batchOf = (records: number, bytes: number): SubscribeAnswer => ({
  records: Array.from({ length: records }, (_, index) => ({
    lsn: lsn(1_000_000 + index),
    timestampMicros: micros(1_700_000_000_000_000 + index),
    data: new Uint8Array(bytes),
  })),
  nextLsn: lsn(1),
  committedLsn: lsn(1),
  lineage: 1,
});

const server = grpcNetwork({ clock: nodeClock, logger: silent });
const client = grpcNetwork({ clock: nodeClock, logger: silent });
let served = batchOf(1, 1);
const { address } = await server.serve('127.0.0.1:0', [
  unary(journalMethods.append, async () => answer),
  bidiStream(journalMethods.appendStream, async (stream) => {
    for await (const _call of stream.incoming) {
      if (!stream.send({ kind: 'appended', answer })) await stream.drained();
    }
  }),
  serverStream(journalMethods.subscribe, async function* () {
    for (;;) yield served;
  }),
]);

let cpu = process.cpuUsage();

/** Rate by the clock, and processor time of both sides a message, which a busy machine spares. */
function report(what: string, count: number, began: number, bytes: number): void {
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  cpu = process.cpuUsage();
  const rate = Math.round(count / seconds).toLocaleString('en');
  const mib = ((count * bytes) / seconds / KIB / KIB).toFixed(0);
  const each = ((user + system) / count).toFixed(0);
  console.log(
    `${what.padEnd(40)}${rate.padStart(8)}/s${mib.padStart(6)} MiB/s${each.padStart(6)} µs each`,
  );
}

async function calls(outstanding: number, request: AppendCall, what: string, bytes: number) {
  const began = performance.now();
  let count = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - began < millis) {
      await client.call(address, journalMethods.append, request, OPTIONS);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: outstanding }, caller));
  report(what, count, began, bytes);
}

async function appends(request: AppendCall, what: string, bytes: number): Promise<void> {
  const began = performance.now();
  const stream = client.duplex(address, journalMethods.appendStream, OPTIONS);
  let count = 0;
  const reading = (async () => {
    for await (const _answer of stream.incoming) count += 1;
  })();
  let sent = 0;
  while (performance.now() - began < millis) {
    // At most 256 under way, as a client with a window would have it.
    while (sent - count < 256 && stream.send(request)) sent += 1;
    await stream.drained();
    await new Promise(setImmediate);
  }
  stream.end();
  await reading;
  report(what, count, began, bytes);
}

async function subscription(answers: SubscribeAnswer, what: string, bytes: number): Promise<void> {
  served = answers;
  const request = { journal: 'bench', from: { kind: 'first' }, lineage: 0 } as const;
  const began = performance.now();
  let count = 0;
  for await (const _message of client.stream(address, journalMethods.subscribe, request, OPTIONS)) {
    count += 1;
    if (performance.now() - began > millis) break;
  }
  report(what, count, began, bytes);
}

await calls(1, appendOf(1, 256), 'calls, one at a time, 256 B', 256);
await calls(64, appendOf(1, 256), 'calls, 64 at a time, 256 B', 256);
await calls(16, appendOf(1, 16 * KIB), 'calls, 16 at a time, 16 KiB', 16 * KIB);
await appends(appendOf(1, 256), 'append stream, 1 record of 256 B', 256);
await appends(appendOf(1, 16 * KIB), 'append stream, 1 record of 16 KiB', 16 * KIB);
await appends(appendOf(64, 256), 'append stream, 64 records of 256 B', 16 * KIB);
await subscription(batchOf(1, 16 * KIB), 'subscription, 1 record of 16 KiB', 16 * KIB);
await subscription(batchOf(64, 256), 'subscription, 64 records of 256 B', 16 * KIB);
await subscription(batchOf(1, 256 * KIB), 'subscription, 1 record of 256 KiB', 256 * KIB);
await client.close();
await server.close();
