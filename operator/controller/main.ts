// The process of one chain controller: certificates, logs, signals and probes around
// startController; and `format`, which makes its directory. config.ts has the flags.

import process from 'node:process';
import pino from 'pino';
import { nodeClock, nodeDisk, nodeRandom } from '../../io/node.ts';
import { type ProbeSource, serveProbes } from '../../io/node-probes.ts';
import { crashOn, packageVersion, tooOld } from '../../io/node-process.ts';
import { SettingError, tlsFiles } from '../../io/node-settings.ts';
import { RangeViolation } from '../../protocol/types.ts';
import { fileAuthorizer } from '../../transport/authorize.ts';
import { grpcNetwork } from '../../transport/grpc.ts';
import { CLUSTER_LIMITS } from '../../transport/limits.ts';
import { type CommandLine, type ProcessConfig, readCommandLine } from './config.ts';
import { type Controller, startController } from './controller.ts';
import { formatController } from './format.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const STOP_MILLIS = 1_000;

/** Runs a controller until it is told to stop, or formats its directory. */
export async function main(args: readonly string[]): Promise<void> {
  const old = tooOld(process.versions.node);
  if (old !== null) return leave(old);
  try {
    const about = { pid: process.pid, version: packageVersion() };
    await obey(readCommandLine(args, process.env, about));
  } catch (error) {
    if (error instanceof SettingError || error instanceof RangeViolation) leave(error.message);
    else leave(error instanceof Error ? error.message : String(error), EXIT_FAILURE);
  }
}

function leave(message: string, code = EXIT_USAGE): void {
  process.stderr.write(`journal controller: ${message}\n`);
  process.exitCode = code;
}

async function obey(line: CommandLine): Promise<void> {
  switch (line.kind) {
    case 'print':
      process.stdout.write(line.text);
      return;
    case 'format':
      await formatController(nodeDisk, line.directory, line.format);
      process.stderr.write(`formatted ${line.directory} for controller ${line.format.id}\n`);
      return;
    case 'run':
      await live(line.config);
      process.exit();
  }
}

async function live(config: ProcessConfig): Promise<void> {
  const destination = pino.destination({ dest: 2, sync: true });
  const logger = pino(
    { level: config.logLevel, base: { zone: config.controller.zone } },
    destination,
  );
  crashOn(logger, 'this controller');
  const tls = tlsFiles(config.tls);
  const network = grpcNetwork({ clock: nodeClock, logger, tls, limits: CLUSTER_LIMITS });
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
