// The process of one chain controller: flags, certificates, logs, signals and probes around
// startController; and `format`, which makes its directory.

import { readFileSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { type ProbeSource, serveProbes } from '../../io/node-probes.ts';
import { label, RangeViolation, storeId, zone } from '../../protocol/types.ts';
import { fileAuthorizer } from '../../transport/authorize.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import type { ControllerConfig } from './config.ts';
import { type Controller, startController } from './controller.ts';
import { type ControllerFormat, formatController } from './format.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const NODE_MIN = [24, 0] as const;
const STOP_MILLIS = 1_000;

interface Flag {
  readonly name: string;
  readonly value: string;
  readonly fallback: string;
  readonly help: string;
}

const flag = (name: string, value: string, fallback: string, help: string): Flag => ({
  name,
  value,
  fallback,
  help,
});

const RUN_FLAGS: readonly Flag[] = [
  flag('data', 'DIR', 'data', 'data directory, formatted before'),
  flag('listen', 'HOST:PORT', '127.0.0.1:7411', 'where to serve replicas and controllers'),
  flag('advertise', 'HOST:PORT', '', 'how others reach --listen; the same when left out'),
  flag('zone', 'ZONE', 'a', 'failure domain, shown by status'),
  flag('cluster', 'ID', '', 'refuse a directory of any other cluster'),
  flag('id', 'ID', '', 'refuse a directory of any other controller'),
  flag('probe-listen', 'HOST:PORT', '', 'where to serve /livez, /readyz and /metrics; none'),
  flag('tls-ca', 'FILE', '', 'certificates that sign replicas and controllers'),
  flag('tls-cert', 'FILE', '', 'certificate of this controller'),
  flag('tls-key', 'FILE', '', 'key of this controller'),
  flag('tls-server-name', 'NAME', '', 'name to expect in the certificates of others'),
  flag('authorization', 'FILE', '', 'roles by certificate name; needs --tls-ca'),
  flag('log-level', 'LEVEL', 'info', 'debug, info, warn or error'),
];

const FORMAT_FLAGS: readonly Flag[] = [
  flag('data', 'DIR', 'data', 'directory to format: empty, or not there'),
  flag('cluster', 'ID', '', '32 lowercase hex digits, the same for all; required'),
  flag('id', 'ID', '', 'label of this controller; required'),
  flag('set', 'ID=HOST:PORT,…', '', 'all controllers, 1, 3 or 5, the same list at each; required'),
  flag('grant', 'MEMBER=ZONE,…', '', 'members that may format one volume each'),
  flag('recovery', 'WORD', '', 'all controllers were lost: wait for recover-controllers'),
];

class UsageError extends Error {}

/** What a process has beyond the controller itself. */
interface ProcessConfig {
  readonly controller: ControllerConfig;
  readonly probeListen: string;
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly serverName: string;
  };
  readonly authorization: string;
  readonly logLevel: string;
}

/** Runs a controller until it is told to stop, or formats its directory. */
export async function main(args: readonly string[]): Promise<void> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    leave(`Node.js is ${process.versions.node}, allowed is ${NODE_MIN.join('.')} or newer`);
    return;
  }
  try {
    if (args[0] === 'format') await format(args.slice(1));
    else await run(args);
  } catch (error) {
    if (error instanceof UsageError || error instanceof RangeViolation) leave(error.message);
    else leave(error instanceof Error ? error.message : String(error), EXIT_FAILURE);
  }
}

function leave(message: string, code = EXIT_USAGE): void {
  process.stderr.write(`journal controller: ${message}\n`);
  process.exitCode = code;
}

// ── Flags ─────────────────────────────────────────────────────────────────────────────────────

const envOf = (name: string): string => `JOURNAL_${name.replaceAll('-', '_').toUpperCase()}`;

interface Given {
  readonly text: (name: string) => string;
  readonly on: (name: string) => boolean;
}

function read(args: readonly string[], flags: readonly Flag[], switches: readonly string[]): Given {
  const options: Record<string, { type: 'string' | 'boolean' }> = {};
  for (const { name } of flags) options[name] = { type: 'string' };
  for (const name of [...switches, 'help']) options[name] = { type: 'boolean' };
  let values: Record<string, unknown>;
  try {
    ({ values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false }));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`${message}; journal controller --help lists every flag`, { cause });
  }
  const text = (name: string): string => {
    const value = values[name];
    if (typeof value === 'string') return value;
    const fallback = flags.find((one) => one.name === name)?.fallback ?? '';
    return process.env[envOf(name)] ?? fallback;
  };
  return { text, on: (name) => values[name] === true };
}

function wrong(name: string, given: string, allowed: string): UsageError {
  const spelled = JSON.stringify(given);
  return new UsageError(`--${name} (${envOf(name)}) is ${spelled}, allowed is ${allowed}`);
}

function address(name: string, given: string): string {
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:,[\]]+):(\d{1,5})$/.exec(given);
  if (match !== null && Number(match[1]) <= 65_535) return given;
  throw wrong(name, given, 'HOST:PORT with a port from 0 to 65535');
}

const optional = (
  name: string,
  text: Given['text'],
  check: (name: string, given: string) => string,
): string => (text(name) === '' ? '' : check(name, text(name)));

function checked(name: string, given: string, make: (value: string) => string): string {
  try {
    return make(given);
  } catch (error) {
    if (error instanceof RangeViolation) throw wrong(name, given, error.allowed);
    throw error;
  }
}

function readConfig({ text }: Given): ProcessConfig {
  const [ca, cert, key] = [text('tls-ca'), text('tls-cert'), text('tls-key')];
  if ((cert === '') !== (key === '')) {
    throw new UsageError('one of --tls-cert and --tls-key is given, allowed is both or neither');
  }
  if (ca !== '' && cert === '') {
    throw new UsageError('--tls-ca is given, allowed is with --tls-cert and --tls-key only');
  }
  if (text('authorization') !== '' && ca === '') {
    throw new UsageError('--authorization is given, allowed is with --tls-ca only');
  }
  const levels = ['debug', 'info', 'warn', 'error'];
  if (!levels.includes(text('log-level'))) {
    throw wrong('log-level', text('log-level'), levels.join(', '));
  }
  if (text('data') === '') throw wrong('data', '', 'a directory');
  return {
    controller: {
      directory: text('data'),
      listen: address('listen', text('listen')),
      advertise: optional('advertise', text, address),
      zone: checked('zone', text('zone'), zone),
      cluster: optional('cluster', text, (name, given) => checked(name, given, storeId)),
      id: optional('id', text, (name, given) => checked(name, given, (id) => label('id', id))),
      pid: process.pid,
      version: version(),
    },
    probeListen: optional('probe-listen', text, address),
    tls: { ca, cert, key, serverName: text('tls-server-name') },
    authorization: text('authorization'),
    logLevel: text('log-level'),
  };
}

function version(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  const known = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return known ? String(manifest.version) : 'unknown';
}

/** `NAME=VALUE,…` as pairs. */
function pairs(
  name: string,
  given: string,
  allowed: string,
): readonly (readonly [string, string])[] {
  if (given === '') return [];
  return given.split(',').map((one) => {
    const at = one.indexOf('=');
    const pair = [one.slice(0, at).trim(), one.slice(at + 1).trim()] as const;
    if (at < 1 || pair[1] === '') throw wrong(name, given, allowed);
    return pair;
  });
}

// ── Formatting ────────────────────────────────────────────────────────────────────────────────

async function format(args: readonly string[]): Promise<void> {
  const given = read(args, FORMAT_FLAGS, ['join', 'if-absent']);
  if (given.on('help')) {
    process.stdout.write(formatHelp());
    return;
  }
  const { text } = given;
  for (const name of ['cluster', 'id', 'set']) {
    if (text(name) === '') throw wrong(name, '', 'anything but nothing: it is required');
  }
  const set = pairs('set', text('set'), 'ID=HOST:PORT, with commas');
  const grants = pairs('grant', text('grant'), 'MEMBER=ZONE, with commas');
  const wanted: ControllerFormat = {
    cluster: checked('cluster', text('cluster'), storeId),
    id: text('id'),
    set: set.map(([id, at]) => ({ id, address: address('set', at) })),
    grants: grants.map(([member, place]) => ({ member, zone: place })),
    join: given.on('join'),
    ifAbsent: given.on('if-absent'),
    recovery: text('recovery') === '' ? undefined : text('recovery'),
  };
  await formatController(nodeDisk, text('data'), wanted);
  process.stderr.write(`formatted ${text('data')} for controller ${wanted.id}\n`);
}

// ── Running ───────────────────────────────────────────────────────────────────────────────────

async function run(args: readonly string[]): Promise<void> {
  const given = read(args, RUN_FLAGS, ['print-config']);
  if (given.on('help')) {
    process.stdout.write(runHelp());
    return;
  }
  const config = readConfig(given);
  if (given.on('print-config')) {
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
  const crash = (error: unknown): void => {
    const stack = error instanceof Error ? error.stack : String(error);
    logger.fatal({ stack }, 'this controller crashes');
    process.exit(EXIT_FAILURE);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  const { ca, cert, key, serverName } = config.tls;
  const tls =
    cert === ''
      ? undefined
      : {
          ca: ca === '' ? undefined : ca,
          cert,
          key,
          serverName: serverName === '' ? undefined : serverName,
        };
  const network = grpcNetwork({ clock: nodeClock, logger, tls });
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
    metrics: async () => ({ type: registry.contentType, text: await registry.metrics() }),
  };
}

// ── Help ──────────────────────────────────────────────────────────────────────────────────────

function rows(flags: readonly Flag[]): string {
  const indent = ' '.repeat(30);
  return flags
    .map(({ name, value, fallback, help }) => {
      const left = `  --${name} ${value}`.padEnd(30);
      return `${left}${help}${fallback === '' ? '' : ` [${fallback}]`}\n${indent}${envOf(name)}\n`;
    })
    .join('');
}

const runHelp = (): string =>
  'Usage: journal controller --data DIR --listen HOST:PORT [flags]\n' +
  '       journal controller format --data DIR --cluster ID --id ID --set LIST [flags]\n\n' +
  'Runs one chain controller: it keeps the registers and finds and answers faults.\n' +
  'Each flag may also come from the environment variable below it; the flag wins.\n\n' +
  `${rows(RUN_FLAGS)}${'  --print-config'.padEnd(30)}print the settings as JSON and exit\n\n` +
  'Example:\n  journal controller --data data/c1 --listen 127.0.0.1:7411 --zone a\n';

const formatHelp = (): string =>
  'Usage: journal controller format --data DIR --cluster ID --id ID --set LIST [flags]\n\n' +
  'Makes the directory of one controller, once. --set and --grant are the same at each.\n\n' +
  `${rows(FORMAT_FLAGS)}${'  --join'.padEnd(30)}wait to take the place of another controller\n` +
  `${'  --if-absent'.padEnd(30)}no error where it is formatted so already\n\n` +
  'Example:\n  journal controller format --data data/c1 --id c1 \\\n' +
  '    --cluster 0123456789abcdef0123456789abcdef --set c1=127.0.0.1:7411 --grant a=a\n';
