// A whole cluster on this machine: appends as a user sees them, at several loads.
//
//   node bench/cluster.bench.ts [--seconds 5]
//
// Prints one line a load: what was acknowledged, and how long it took. Three replicas, three
// controllers and the client share the machine.

import { parseArgs } from 'node:util';
import { Cluster } from '../test/processes/cluster.ts';

const LOADS = [
  { size: 256, records: 1, outstanding: 1 },
  { size: 256, records: 1, outstanding: 256 },
  { size: 256, records: 64, outstanding: 32 },
  { size: 16_384, records: 1, outstanding: 64 },
] as const;

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '5' } } });
const cluster = await Cluster.start();
try {
  console.log('bytes    records  at once  result');
  for (const [at, { size, records, outstanding }] of LOADS.entries()) {
    const journal = `bench-${at}`;
    await cluster.journal(['create', journal]);
    await cluster.whole(journal);
    const args = ['bench', 'append', '--journal', journal, '--json', '--seconds', values.seconds];
    args.push('--size', `${size}`, '--records', `${records}`, '--outstanding', `${outstanding}`);
    const { stdout, stderr, code } = await cluster.journal(args);
    const cells = [size, records, outstanding].map((cell) => String(cell).padEnd(9));
    console.log(`${cells.join('')}${code === 0 ? stdout.trim() : `failed: ${stderr.trim()}`}`);
  }
} finally {
  await cluster.close();
}
