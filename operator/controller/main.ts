// The process of one chain controller: flags, certificates, logs, signals and probes around
// startController; and `format`, which makes its directory.

import process from 'node:process';
import pino from 'pino';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { type ProbeSource, serveProbes } from '../../io/node-probes.ts';
import { crashOn, packageVersion, tooOld } from '../../io/node-process.ts';
import {
  flag,
  flagRows,
  isAddress,
  LOG_LEVELS,
  readSettings,
  readTls,
  SettingError,
  type Settings,
  switchRow,
  type TlsPaths,
  tlsFiles,
  tlsFlags,
  type Vocabulary,
} from '../../io/node-settings.ts';
import { label, micros, RangeViolation, storeId, zone } from '../../protocol/types.ts';
import { fileAuthorizer } from '../../transport/authorize.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import type { ControllerConfig } from './config.ts';
import { type Controller, startController } from './controller.ts';
import { type ControllerFormat, formatController } from './format.ts';

const KEEP_ALIVE = micros(500_000);
const KEEP_ALIVE_TIMEOUT = micros(1_500_000);
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const STOP_MILLIS = 1_000;

const RUN: Vocabulary = {
  command: 'journal controller',
  prefix: 'JOURNAL_',
  switches: ['print-config'],
  flags: [
    flag('data', 'DIR', 'data', 'data directory, formatted before'),
    flag('listen', 'HOST:PORT', '127.0.0.1:7411', 'where to serve replicas and controllers'),
    flag('advertise', 'HOST:PORT', '', 'how others reach --listen; the same when left out'),
    flag('zone', 'ZONE', 'a', 'failure domain, shown by status'),
    flag('cluster', 'ID', '', 'refuse a directory of any other cluster'),
    flag('id', 'ID', '', 'refuse a directory of any other controller'),
    flag('probe-listen', 'HOST:PORT', '', 'where to serve /livez, /readyz and /metrics; none'),
    ...tlsFlags('controller'),
    flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
  ],
};

const FORMAT: Vocabulary = {
  command: 'journal controller format',
  prefix: 'JOURNAL_',
  switches: ['join', 'if-absent'],
  flags: [
    flag('data', 'DIR', 'data', 'directory to format: empty, or not there'),
    flag('cluster', 'ID', '', '32 lowercase hex digits, the same for all; required'),
    flag('id', 'ID', '', 'label of this controller; required'),
    flag(
      'set',
      'ID=HOST:PORT,…',
      '',
      'all controllers, 1, 3 or 5, the same list at each; required',
    ),
    flag('grant', 'MEMBER=ZONE,…', '', 'members that may format one volume each'),
    flag('recovery', 'WORD', '', 'all controllers were lost: wait for recover-controllers'),
  ],
};

/** What a process has beyond the controller itself. */
interface ProcessConfig {
  readonly controller: ControllerConfig;
  readonly probeListen: string;
  readonly tls: TlsPaths;
  readonly authorization: string;
  readonly logLevel: string;
}

/** Runs a controller until it is told to stop, or formats its directory. */
export async function main(args: readonly string[]): Promise<void> {
  const old = tooOld(process.versions.node);
  if (old !== null) return leave(old);
  try {
    if (args[0] === 'format') await format(args.slice(1));
    else await run(args);
  } catch (error) {
    if (error instanceof SettingError || error instanceof RangeViolation) leave(error.message);
    else leave(error instanceof Error ? error.message : String(error), EXIT_FAILURE);
  }
}

function leave(message: string, code = EXIT_USAGE): void {
  process.stderr.write(`journal controller: ${message}\n`);
  process.exitCode = code;
}

// ── Flags ─────────────────────────────────────────────────────────────────────────────────────

function readConfig(settings: Settings): ProcessConfig {
  const tls = readTls(settings);
  return {
    controller: {
      directory: settings.required('data'),
      listen: settings.address('listen'),
      advertise: settings.addressOrNone('advertise'),
      zone: settings.made('zone', zone),
      cluster: settings.madeOrNone('cluster', storeId),
      id: settings.madeOrNone('id', (given) => label('id', given)),
      pid: process.pid,
      version: packageVersion(),
    },
    probeListen: settings.addressOrNone('probe-listen'),
    tls,
    authorization: settings.text('authorization'),
    logLevel: settings.oneOf('log-level', LOG_LEVELS),
  };
}

/** `NAME=VALUE,…` as pairs. */
function pairs(
  settings: Settings,
  name: string,
  allowed: string,
): readonly (readonly [string, string])[] {
  const given = settings.text(name);
  if (given === '') return [];
  return given.split(',').map((one) => {
    const at = one.indexOf('=');
    const pair = [one.slice(0, at).trim(), one.slice(at + 1).trim()] as const;
    if (at < 1 || pair[1] === '') throw settings.wrong(name, allowed);
    return pair;
  });
}

// ── Formatting ────────────────────────────────────────────────────────────────────────────────

async function format(args: readonly string[]): Promise<void> {
  const settings = readSettings(FORMAT, args, process.env);
  if (settings.on('help')) {
    process.stdout.write(formatHelp());
    return;
  }
  const { text } = settings;
  for (const name of ['cluster', 'id', 'set']) settings.required(name);
  const set = pairs(settings, 'set', 'ID=HOST:PORT, with commas');
  if (!set.every(([, at]) => isAddress(at))) {
    throw settings.wrong('set', 'ID=HOST:PORT with a port from 0 to 65535, with commas');
  }
  const grants = pairs(settings, 'grant', 'MEMBER=ZONE, with commas');
  const wanted: ControllerFormat = {
    cluster: settings.made('cluster', storeId),
    id: text('id'),
    set: set.map(([id, address]) => ({ id, address })),
    grants: grants.map(([member, place]) => ({ member, zone: place })),
    join: settings.on('join'),
    ifAbsent: settings.on('if-absent'),
    recovery: text('recovery') === '' ? undefined : text('recovery'),
  };
  await formatController(nodeDisk, text('data'), wanted);
  process.stderr.write(`formatted ${text('data')} for controller ${wanted.id}\n`);
}

// ── Running ───────────────────────────────────────────────────────────────────────────────────

async function run(args: readonly string[]): Promise<void> {
  const settings = readSettings(RUN, args, process.env);
  if (settings.on('help')) {
    process.stdout.write(runHelp());
    return;
  }
  const config = readConfig(settings);
  if (settings.on('print-config')) {
    const { pid: _pid, version: _version, ...controller } = config.controller;
    process.stdout.write(`${JSON.stringify({ ...config, controller }, null, 2)}\n`);
    return;
  }
  await live(config);
  process.exit();
}

async function live(config: ProcessConfig): Promise<void> {
  const destination = pino.destination({ dest: 2, sync: true });
  const logger = pino(
    { level: config.logLevel, base: { zone: config.controller.zone } },
    destination,
  );
  crashOn(logger, 'this controller');
  const tls = tlsFiles(config.tls);
  // Who is silent is told by the pings: a connection is given up later, since on a starved machine
  // a process that is late would lose all of them at once.
  const limits = { keepAlive: KEEP_ALIVE, keepAliveTimeout: KEEP_ALIVE_TIMEOUT };
  const network = grpcNetwork({ clock: nodeClock, logger, tls, limits });
  const authorizer =
    config.authorization === ''
      ? null
      : fileAuthorizer({ path: config.authorization, clock: nodeClock, logger });
  const controller = await startController({
    clock: nodeClock,
    random: nodeRandom(),
    disk: nodeDisk,
    network,
    logger,
    config: config.controller,
    access:
      authorizer === null ? undefined : (context) => authorizer.check(context, 'member', null),
  });
  const { probeListen } = config;
  const probes =
    probeListen === '' ? null : await serveProbes(probeListen, sourceOf(controller), logger);
  const stop = (): void => {
    setTimeout(() => process.exit(), STOP_MILLIS).unref();
    void controller.close();
  };
  process.once('SIGTERM', stop);
  // Under `journal dev` ^C is for the parent, which then sends SIGTERM.
  if (!process.connected) process.once('SIGINT', stop);
  const health = setInterval(() => network.health.set(controller.unready() === ''), 200);
  health.unref();
  try {
    await controller.ended;
  } finally {
    await probes?.close();
    authorizer?.close();
    await network.close();
  }
}

function sourceOf(controller: Controller): ProbeSource {
  const { registry } = controller;
  return {
    dead: () => '',
    unready: () => controller.unready(),
    metrics: async () => {
      controller.measure();
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

// ── Help ──────────────────────────────────────────────────────────────────────────────────────

const runHelp = (): string =>
  'Usage: journal controller --data DIR --listen HOST:PORT [flags]\n' +
  '       journal controller format --data DIR --cluster ID --id ID --set LIST [flags]\n\n' +
  'Runs one chain controller: it keeps the registers and finds and answers faults.\n' +
  'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
  `${flagRows(RUN)}${switchRow('print-config', 'print the settings as JSON and exit')}\n` +
  'Example:\n  journal controller --data data/c1 --listen 127.0.0.1:7411 --zone a\n';

const formatHelp = (): string =>
  'Usage: journal controller format --data DIR --cluster ID --id ID --set LIST [flags]\n\n' +
  'Makes the directory of one controller, once. --set and --grant are the same at each.\n\n' +
  `${flagRows(FORMAT)}${switchRow('join', 'wait to take the place of another controller')}` +
  `${switchRow('if-absent', 'no error where it is formatted so already')}\n` +
  'Example:\n  journal controller format --data data/c1 --id c1 \\\n' +
  '    --cluster 0123456789abcdef0123456789abcdef --set c1=127.0.0.1:7411 --grant a=a\n';
