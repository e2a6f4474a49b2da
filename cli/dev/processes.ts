// `replica`, `controller`, `operator` as the tool's help and completion know them. A command line
// that names one never comes here: main.ts starts it without the tool (start.ts).

import type { Command } from 'commander';
import { command } from '../options.ts';
import { startProcess } from './start.ts';

export const replicaCommand = (): Command =>
  processCommand(
    'replica',
    'Runs one replica. Every flag is an environment variable too; --help lists them.',
    'journal replica --member a --zone a --data data/a --controllers 127.0.0.1:7411',
  );

export const controllerCommand = (): Command =>
  processCommand(
    'controller',
    'Runs one chain controller, or formats its directory. --help lists every flag.',
    'journal controller --data data/controller-1 --listen 127.0.0.1:7411',
  );

export const operatorCommand = (): Command =>
  processCommand(
    'operator',
    'Keeps JournalClusters of a Kubernetes cluster. --help lists every flag.',
    'journal operator --identity journal-operator-0 --own-namespace journal-system',
  );

function processCommand(name: string, about: string, example: string): Command {
  return command(`${name} [flags...]`, about, example)
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .passThroughOptions()
    .action((args: readonly string[]) => startProcess(name, args));
}
