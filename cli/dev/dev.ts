// `dev`: a cluster on this machine, in zones that are only names, for as long as it is wanted.
//
//   DIR/dev.json           what the directory was made with; written before what it describes
//   DIR/dev.pid            the process that runs it, for the refusal of a second one
//   DIR/replicas/NAME      one data directory a replica
//   DIR/controllers/NAME   one a controller
//   DIR/logs/NAME.log      what each process said
//
// Controllers are formatted once, when the directory is made; a member or controller directory that
// is missing afterwards stays missing, since an empty one must not pass for the one that is lost.

import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { DiskError } from '../../io/disk.ts';
import { nodeDisk, nodeRandom } from '../../io/node.ts';
import { zone } from '../../protocol/types.ts';
import { interruptible } from '../line.ts';
import { command, wholeNumber } from '../options.ts';
import { Interrupted, note, UsageError } from '../output.ts';
import {
  type DevFlags,
  type DevPlan,
  type DevRecord,
  isLoopback,
  LOOPBACK,
  mismatch,
  newRecord,
  parseRecord,
  planOf,
} from './plan.ts';
import { claimPorts } from './ports.ts';
import { Supervised } from './supervise.ts';

const PORT_MAX = 65_000;

/** The tool with this command alone. */
export const devProgram = (): Command =>
  new Command('journal').enablePositionalOptions().addCommand(devCommand());

export function devCommand(): Command {
  return command(
    'dev',
    'Runs a cluster on this machine: replicas in zones, and chain controllers, as processes. ' +
      'Prints one line, ready and the endpoints, when appends are accepted; ^C stops it.',
    'journal dev --data ./data --port 7401',
  )
    .option('--data <dir>', 'where it keeps its data, and finds it again', 'data')
    .addOption(
      new Option(
        '--port <port>',
        'of the first replica, the others follow (default: 7401)',
      ).argParser(wholeNumber(1, PORT_MAX)),
    )
    .addOption(
      new Option(
        '--zones <list>',
        'with commas, replicas go round them (default: a,b,c)',
      ).argParser((text) => text.split(',').map((one) => String(zone(one.trim())))),
    )
    .addOption(
      new Option('--members <count>', 'replicas (default: 3)').argParser(wholeNumber(1, 9)),
    )
    .addOption(
      new Option('--controllers <count>', '1, 3 or 5 (default: 3)').argParser((text) => {
        const count = wholeNumber(1, 5)(text);
        if (count % 2 === 0) throw new UsageError(`--controllers is ${text}, allowed is 1, 3 or 5`);
        return count;
      }),
    )
    .addOption(
      new Option('--host <address>', 'of this machine, where clients and the console get to it')
        .env('JOURNAL_HOST')
        .argParser(hostOption)
        .default(LOOPBACK),
    )
    .option('--no-restart', 'leave a process that died dead')
    .action((flags: AskedFlags) => dev(flags));
}

type AskedFlags = Partial<DevFlags> & Pick<DevFlags, 'data' | 'host' | 'restart'>;

/** What a socket can be bound to; whether this machine has it shows when one is. */
function hostOption(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  const named = /^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$/.test(host) && !/^[\d.]+$/.test(host);
  if (isIP(host) !== 0 || named) return host;
  throw new UsageError(
    `--host (JOURNAL_HOST) is ${JSON.stringify(text)}, allowed is an IP address or a name of ` +
      'this machine, without a port; 0.0.0.0 for all of them',
  );
}

const IN_THE_CLEAR =
  'journal dev: whoever reaches this machine reads and writes: there is no TLS, and no roles';

async function dev(asked: AskedFlags): Promise<void> {
  const data = resolve(asked.data);
  const lock = await lockDirectory(data);
  try {
    const record = await recordOf(data, asked);
    const plan = planOf(record, data, asked.host);
    await claimPorts(plan, record, data);
    if (!isLoopback(asked.host)) note(IN_THE_CLEAR);
    await format(record, plan, data);
    await run(plan, asked.restart);
  } finally {
    rmSync(join(data, 'dev.pid'), { force: true });
    await lock.release();
  }
}

/** Takes the directory for this process, or says who has it. */
async function lockDirectory(data: string): Promise<{ release(): Promise<void> }> {
  const pidFile = join(data, 'dev.pid');
  makeDirectory(data);
  try {
    const lock = await nodeDisk.lock(data);
    writeFileSync(pidFile, `${process.pid}\n`);
    return lock;
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'EBUSY') throw error;
    const pid = existsSync(pidFile) ? readFileSync(pidFile, 'utf8').trim() : 'unknown';
    throw new UsageError(
      `the data directory ${data} is in use by process ${pid}: ` +
        'stop that one, or choose another directory with --data',
    );
  }
}

function makeDirectory(data: string): void {
  try {
    mkdirSync(data, { recursive: true });
    accessSync(data, constants.W_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `--data is ${JSON.stringify(data)}, allowed is a directory that this user may write: ${why}`,
    );
  }
}

/** What the directory was made with, or what a new one is to be made with. */
async function recordOf(data: string, asked: AskedFlags): Promise<DevRecord> {
  const path = join(data, 'dev.json');
  if (existsSync(path)) {
    const record = parseRecord(readFileSync(path, 'utf8'));
    if (record === undefined) {
      throw new UsageError(
        `${path} is not what this version writes: run the version that made it, ` +
          'or choose another directory with --data',
      );
    }
    if (!record.formatted) return newRecord(asked, record, record.cluster);
    const wrong = mismatch(record, asked, data);
    if (wrong !== undefined) throw new UsageError(wrong);
    return record;
  }
  const others = readdirSync(data).filter((name) => !OWN_FILES.has(name));
  if (others.length > 0) {
    throw new UsageError(
      `${data} holds ${others[0]} but no cluster: choose a new or empty directory with --data`,
    );
  }
  return newRecord(asked, null, nodeRandom().hex(16));
}

/** What the lock leaves in a directory that holds nothing else. */
const OWN_FILES: ReadonlySet<string> = new Set(['lock', 'dev.pid']);

/** Formats the controllers of a new directory; a start that was cut off here begins anew. */
async function format(record: DevRecord, plan: DevPlan, data: string): Promise<void> {
  const logs = join(data, 'logs');
  if (record.formatted) {
    mkdirSync(logs, { recursive: true });
    return;
  }
  // First: by its record a directory is told from one of something else.
  writeFileSync(join(data, 'dev.json'), `${JSON.stringify(record)}\n`);
  mkdirSync(logs, { recursive: true });
  const { formatController } = await import('../../operator/controller/format.ts');
  rmSync(join(data, 'controllers'), { recursive: true, force: true });
  const set = plan.controllers.map(({ name, address }) => ({ id: name, address }));
  const grants = plan.replicas.map(({ name, zone }) => ({ member: name, zone }));
  for (const { directory, name } of plan.controllers) {
    mkdirSync(directory, { recursive: true });
    const { cluster } = record;
    await formatController(nodeDisk, directory, { cluster, id: name, set, grants });
  }
  const formatted = { ...record, formatted: true };
  writeFileSync(join(data, 'dev.json'), `${JSON.stringify(formatted)}\n`);
}

async function run(plan: DevPlan, restart: boolean): Promise<void> {
  const start = (process: DevPlan['replicas'][number]): Supervised => {
    const supervised = new Supervised(process, restart);
    supervised.start();
    return supervised;
  };
  const controllers = plan.controllers.map(start);
  const replicas = plan.replicas.map(start);
  const killAll = (): void => {
    for (const one of [...replicas, ...controllers]) one.kill();
  };
  process.on('exit', killAll);
  try {
    await interruptible(async (signal) => {
      await announce(plan, signal);
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    });
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    // A second ^C while the processes end: everything is killed on the way out.
    process.on('SIGINT', () => process.exit(1));
    await Promise.all(replicas.map((one) => one.stop()));
    await Promise.all(controllers.map((one) => one.stop()));
    process.off('exit', killAll);
  }
}

/** Prints the one line on stdout once the controllers say that appends are accepted. */
async function announce(plan: DevPlan, signal: AbortSignal): Promise<void> {
  const endpoints = plan.replicas.map(({ address }) => address);
  // Only now: the processes start meanwhile.
  const { connect } = await import('../../client/index.ts');
  const { readyStatus } = await import('../status.ts');
  await using client = connect({ endpoints });
  const slow = setTimeout(() => {
    note('journal dev: not ready after 15 s, see `journal status` and the logs');
  }, 15_000);
  try {
    // For as long as it takes: what there is serves reads meanwhile, and ^C ends it.
    await readyStatus({ client, signal }, Number.POSITIVE_INFINITY);
    process.stdout.write(`ready ${endpoints.join(',')}\n`);
    note(`console ${plan.console}`);
  } finally {
    clearTimeout(slow);
  }
  signal.throwIfAborted();
}
