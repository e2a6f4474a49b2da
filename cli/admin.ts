// `admin`: what only an operator does. The controllers carry it out and log it.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { silent } from '../io/logger.ts';
import { nodeClock, nodeRandom } from '../io/node.ts';
import { journalName, memberId, zone } from '../protocol/types.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import type { AdminRequest } from '../transport/public.ts';
import { addresses, type ConnectionFlags, connected, tlsOf, withClient } from './connection.ts';
import { confirm } from './journals.ts';
import { command, commandGroup } from './options.ts';
import { Output } from './output.ts';

export function adminCommand(): Command {
  const about = 'What only an operator does; the controllers carry it out and log it.';
  return commandGroup('admin', about, 'journal admin member replace replica-2')
    .addCommand(memberCommand())
    .addCommand(moveHeadCommand())
    .addCommand(controllerCommand())
    .addCommand(forceLossCommand())
    .addCommand(recoverCommand());
}

async function ask(flags: ConnectionFlags, request: AdminRequest): Promise<void> {
  await withClient(flags, async ({ client, output, signal }) => {
    const { done } = await client.admin(request, { signal });
    if (flags.json) return output.json({ done });
    for (const line of done) await output.line(line);
  });
}

function memberCommand(): Command {
  const add = command(
    'add <member>',
    'Lets a new member in: it may format one volume.',
    'journal admin member add replica-4 --zone a',
  );
  connected(add)
    .addOption(zoneOption().makeOptionMandatory())
    .action((member: string, flags: ConnectionFlags & { readonly zone: string }) =>
      ask(flags, { kind: 'memberAdd', member: memberId(member), zone: flags.zone }),
    );
  const remove = command(
    'remove <member>',
    'Takes a member out of all journals and lets it in no more.',
    'journal admin member remove replica-4',
  );
  connected(remove).action((member: string, flags: ConnectionFlags) =>
    ask(flags, { kind: 'memberRemove', member: memberId(member) }),
  );
  const replace = command(
    'replace <member> [by]',
    'Lets a new member take the places of another. Without a second name: lets the member start ' +
      'with a new, empty volume, since its old one is lost.',
    'journal admin member replace replica-2',
    'journal admin member replace replica-2 replica-4',
  );
  connected(replace).action((member: string, by: string | undefined, flags: ConnectionFlags) =>
    ask(flags, { kind: 'memberReplace', member: memberId(member), by: memberId(by ?? member) }),
  );
  const example = 'journal admin member add replica-4 --zone a';
  return commandGroup('member', 'Who may hold journals.', example)
    .addCommand(add)
    .addCommand(remove)
    .addCommand(replace);
}

const zoneOption = (): Option =>
  new Option('--zone <zone>', 'its failure domain').argParser((text) => zone(text));

function moveHeadCommand(): Command {
  const made = command(
    'move-head <journal> <member>',
    'Makes a serving member the head of a journal.',
    'journal admin move-head orders replica-2',
  );
  return connected(made).action((journal: string, member: string, flags: ConnectionFlags) =>
    ask(flags, { kind: 'moveHead', journal: journalName(journal), member: memberId(member) }),
  );
}

function controllerCommand(): Command {
  const made = command(
    'replace <controller> <by>',
    'Lets another controller take the place of one in the set of acceptors: ID=HOST:PORT.',
    'journal admin controller replace controller-2 controller-4=10.0.0.4:7404',
  );
  connected(made).action((remove: string, add: string, flags: ConnectionFlags) =>
    ask(flags, { kind: 'controllerReplace', remove, add }),
  );
  const example = 'journal admin controller replace controller-2 controller-4=10.0.0.4:7404';
  return commandGroup('controller', 'Who keeps the registers.', example).addCommand(made);
}

interface ForceLossFlags extends ConnectionFlags {
  readonly member: string;
  readonly reason: string;
  readonly yes?: boolean;
}

function forceLossCommand(): Command {
  const made = command(
    'force-loss <journal>',
    'Goes on with one member alone although acknowledged records may be lost. Recorded for ever; ' +
      'positions that were taken before fail with LINEAGE_CHANGED.',
    'journal admin force-loss orders --member replica-3 --reason "zones a and b burned down"',
  );
  return connected(made)
    .addOption(new Option('--member <member>', 'whose log goes on').makeOptionMandatory())
    .addOption(new Option('--reason <text>', 'kept in the register').makeOptionMandatory())
    .option('-y, --yes', 'do not ask')
    .action(async (journal: string, flags: ForceLossFlags) => {
      const { reason, yes = false } = flags;
      const member = memberId(flags.member);
      await confirm(
        `Go on with ${member} alone and give up what only others of ${journal} hold?`,
        yes,
      );
      await ask(flags, { kind: 'forceLoss', journal: journalName(journal), member, reason });
    });
}

interface RecoverFlags extends ConnectionFlags {
  readonly cluster: string;
  readonly controllers: readonly string[];
  readonly acceptLoss?: boolean;
  readonly yes?: boolean;
}

function clusterId(text: string): string {
  if (/^[0-9a-f]{32}$/.test(text)) return text;
  throw new InvalidArgumentError('Allowed are 32 lowercase hex digits.');
}

function recoverCommand(): Command {
  const made = command(
    'recover-controllers',
    'Rebuilds the registers from the volumes of the members, when a majority of controllers is ' +
      'lost for good. The new controllers were formatted with --recovery; --endpoints names ' +
      'every member that is to be read.',
    'journal admin recover-controllers --cluster 0123456789abcdef0123456789abcdef \\',
    '  --controllers 10.0.0.4:7404,10.0.0.5:7404,10.0.0.6:7404',
  );
  return connected(made)
    .addOption(
      new Option('--cluster <id>', '32 hex digits, as `volume inspect` shows them')
        .argParser(clusterId)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--controllers <list>', 'all the new ones, HOST:PORT with commas')
        .argParser(addresses('--controllers'))
        .makeOptionMandatory(),
    )
    .option('--accept-loss', 'although a store that served last cannot be read')
    .option('-y, --yes', 'do not ask')
    .action(async (flags: RecoverFlags) => {
      const { cluster, controllers, acceptLoss = false, yes = false } = flags;
      await confirm('Rebuild the registers, and give up the old controllers for ever?', yes);
      const { recoverControllers } = await import('../operator/controller/recover.ts');
      const seams = { clock: nodeClock, random: nodeRandom(), logger: silent };
      const network = grpcNetwork({ clock: nodeClock, logger: silent, tls: tlsOf(flags) });
      const output = new Output();
      const request = { cluster, controllers, members: flags.endpoints, acceptLoss };
      const done = await recoverControllers({ ...seams, network }, request);
      if (flags.json) await output.json({ done });
      else for (const line of done) await output.line(line);
      await output.flush();
      await network.close();
    });
}
