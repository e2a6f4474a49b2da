// The command tree of the plugin `kubectl journal`.

import { Command } from 'commander';
import { packageVersion } from '../../io/node-process.ts';
import { EXIT_CODES } from '../output.ts';
import { benchCommand } from './bench.ts';
import { bundleCommand } from './bundle.ts';
import { consoleCommand } from './console.ts';
import { drainCommand } from './drain.ts';
import { logsCommand } from './logs.ts';
import { promoteCommand } from './promote.ts';
import { describeCommand, statusCommand } from './status.ts';

const FURTHER = `
Every command goes through port-forwards of its own, with the rights of your kubeconfig: it takes
those to read JournalClusters, pods and Secrets of the namespace, and to forward ports of pods.

${EXIT_CODES}
  drain: 1 where it is not safe

Example:
  kubectl journal status orders -n shop`;

export function buildPlugin(): Command {
  const program = new Command('kubectl journal')
    .description('Looks after the JournalClusters of a Kubernetes.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .enablePositionalOptions()
    .addHelpText('after', FURTHER);
  const commands = [
    statusCommand(),
    describeCommand(),
    promoteCommand(),
    drainCommand(),
    logsCommand(),
    bundleCommand(),
    benchCommand(),
    consoleCommand(),
  ];
  for (const one of commands) program.addCommand(one);
  return program;
}
