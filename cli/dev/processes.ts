// `replica`, `controller`, `operator`: one process each, whose own rooms read their flags.
// They are loaded only to be run: `journal tail` need not wait for them.

import type { Command } from 'commander';
import { command } from '../options.ts';

export function replicaCommand(): Command {
  return processCommand(
    'replica',
    'Runs one replica. Every flag is an environment variable too; --help lists them.',
    'journal replica --member a --zone a --data data/a --controllers 127.0.0.1:7411',
    async (args) => (await import('../../replica/main.ts')).main(args),
  );
}

export function controllerCommand(): Command {
  return processCommand(
    'controller',
    'Runs one chain controller, or formats its directory. --help lists every flag.',
    'journal controller --data data/controller-1 --listen 127.0.0.1:7411',
    async (args) => (await import('../../operator/controller/main.ts')).main(args),
  );
}

/** Loaded only when it is run: the Kubernetes client is large, and no other process needs it. */
export function operatorCommand(): Command {
  return processCommand(
    'operator',
    'Keeps JournalClusters of a Kubernetes cluster. --help lists every flag.',
    'journal operator --identity journal-operator-0 --own-namespace journal-system',
    async (args) => {
      const { main } = await import('../../operator/main.ts');
      await main(args);
    },
  );
}

function processCommand(
  name: string,
  about: string,
  example: string,
  run: (args: readonly string[]) => Promise<void>,
): Command {
  return command(`${name} [flags...]`, about, example)
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .passThroughOptions()
    .action(async (args: readonly string[]) => {
      endWithParent();
      await run(args);
    });
}

/**
 * Under `journal dev` a process neither ends by the ^C that its parent answers, nor outlives it.
 * The channel to the parent keeps nothing running by itself.
 */
function endWithParent(): void {
  if (!process.connected) return;
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel?.unref();
}
