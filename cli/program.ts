// The command tree, in the order in which --help lists it.

import { Command } from 'commander';
import { packageVersion } from '../io/node-process.ts';
import { adminCommand } from './admin.ts';
import { appendCommand } from './append.ts';
import { backupCommand } from './backup/backup.ts';
import { importCommand } from './backup/import.ts';
import { restoreCommand } from './backup/restore.ts';
import { benchCommand } from './bench.ts';
import { completionCommand } from './completion.ts';
import { consoleCommand } from './console/console.ts';
import { cursorCommand, keyCommand } from './cursor.ts';
import { devCommand } from './dev/dev.ts';
import { controllerCommand, operatorCommand, replicaCommand } from './dev/processes.ts';
import { exportCommand } from './export.ts';
import {
  createCommand,
  deleteCommand,
  describeCommand,
  listCommand,
  trimCommand,
} from './journals.ts';
import { leadCommand } from './lead/lead.ts';
import { EXIT_CODES } from './output.ts';
import { statusCommand, versionCommand } from './status.ts';
import { readCommand, subscribeCommand, tailCommand } from './subscribe.ts';
import { volumeCommand } from './volume/volume.ts';

const FURTHER = `
${EXIT_CODES}
  lead: the code of its command, 75 if leadership was lost

Example:
  journal dev &
  journal create orders
  echo hello | journal append orders
  journal read orders`;

export function buildProgram(): Command {
  const program = new Command('journal')
    .description('A durable, totally ordered log, replicated over three zones.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .enablePositionalOptions()
    .commandsGroup('Tool:')
    .addHelpText('after', FURTHER);
  const groups: readonly [string, readonly Command[]][] = [
    ['Run:', [devCommand(), replicaCommand(), controllerCommand(), operatorCommand()]],
    [
      'Records:',
      [appendCommand(), subscribeCommand(), readCommand(), tailCommand(), trimCommand()],
    ],
    ['Journals:', [createCommand(), listCommand(), describeCommand(), deleteCommand()]],
    [
      'Work with:',
      [
        cursorCommand(),
        keyCommand(),
        leadCommand(),
        exportCommand(),
        importCommand(),
        backupCommand(),
        restoreCommand(),
      ],
    ],
    [
      'Look after:',
      [statusCommand(), consoleCommand(), adminCommand(), volumeCommand(), benchCommand()],
    ],
    ['Tool:', [versionCommand(), completionCommand(buildProgram)]],
  ];
  for (const [heading, commands] of groups) {
    for (const one of commands) program.addCommand(one.helpGroup(heading));
  }
  return program;
}
