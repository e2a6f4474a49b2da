// `kubectl journal console`: the page of a cluster, served from this machine.

import type { Command } from 'commander';
import { portOption, servePage } from '../console/console.ts';
import { interruptible } from '../line.ts';
import { clusterOf, kubeCommand, type PlaceFlags, placeOf } from './place.ts';
import { reached } from './reach.ts';

interface ConsoleFlags extends PlaceFlags {
  readonly port: number;
}

export function consoleCommand(): Command {
  return kubeCommand(
    'console <cluster>',
    'Serves a page that shows the cluster and its records, from this machine, until ^C. Records ' +
      'are read with the client Secret.',
    'kubectl journal console orders -n shop --port 8080',
  )
    .addOption(portOption())
    .action(async (name: string, flags: ConsoleFlags) => {
      const place = placeOf(flags);
      const cluster = await clusterOf(place, name);
      await interruptible((signal) =>
        reached(place, cluster, 'client', ({ client }) =>
          servePage(client, { port: flags.port, signal, json: flags.json ?? false }),
        ),
      );
    });
}
