// `volume`: what the data directory of a replica holds, and whether it is whole. Reads only.

import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { DiskError } from '../../io/disk.ts';
import { nodeClock, nodeDisk } from '../../io/node.ts';
import type { Inspection, Verification } from '../../log/inspect.ts';
import { IDENTITY_NAME, VOLUME_DIRECTORY } from '../../log/layout.ts';
import { command, commandGroup, jsonOption } from '../options.ts';
import { EXIT, note, Output, UsageError } from '../output.ts';

interface VolumeFlags {
  readonly json?: boolean;
}

export function volumeCommand(): Command {
  const about = 'What a data directory holds, and whether it is whole; offline, reads only.';
  return commandGroup('volume', about, 'journal volume verify data/replicas/replica-1')
    .addCommand(inspectCommand())
    .addCommand(verifyCommand());
}

function inspectCommand(): Command {
  return command(
    'inspect <directory>',
    'Shows whose volume it is, its segments, and how far the log of each journal reaches.',
    'journal volume inspect data/replicas/replica-1',
  )
    .addOption(jsonOption())
    .action(async (directory: string, { json }: VolumeFlags) => {
      if (await inUse(directory)) note(`${directory} is in use: what is shown may be in motion`);
      const { inspectVolume } = await import('../../log/inspect.ts');
      const parts = { disk: nodeDisk, clock: nodeClock, directory: resolve(directory) };
      await show(await inspectVolume(parts), json ?? false);
    });
}

function verifyCommand(): Command {
  return command(
    'verify <directory>',
    `Reads and checks every frame and base. Ends with ${EXIT.damaged} where one is damaged.`,
    'journal volume verify data/replicas/replica-1',
  )
    .addOption(jsonOption())
    .action(async (directory: string, { json }: VolumeFlags) => {
      if (await inUse(directory)) {
        throw new UsageError(
          `the directory is ${directory}, which a process uses: stop that one, ` +
            'since what it is just writing cannot be told from damage',
        );
      }
      const { verifyVolume } = await import('../../log/inspect.ts');
      const parts = { disk: nodeDisk, clock: nodeClock, directory: resolve(directory) };
      const found = await verifyVolume(parts);
      await show(found, json ?? false);
      if (!found.whole) process.exitCode = EXIT.damaged;
    });
}

/** Whether a process holds the data directory; what is a volume alone is held by nobody. */
async function inUse(directory: string): Promise<boolean> {
  const held = await dataDirectory(resolve(directory));
  if (held === null) return false;
  try {
    await (await nodeDisk.lock(held)).release();
    return false;
  } catch (error) {
    // Whoever may only read the directory cannot ask, and need not.
    return error instanceof DiskError && error.code === 'EBUSY';
  }
}

/** The directory itself, or the one around it where it is the volume of one; null for neither. */
async function dataDirectory(directory: string): Promise<string | null> {
  const real = await realpath(directory).catch(() => directory);
  if (existsSync(join(real, VOLUME_DIRECTORY))) return real;
  const around = dirname(real);
  const isVolume = basename(real) === VOLUME_DIRECTORY && existsSync(join(around, IDENTITY_NAME));
  return isVolume ? around : null;
}

async function show(found: Inspection | Verification, json: boolean): Promise<void> {
  const output = new Output();
  if (json) await output.json(found);
  else await output.write(textOf(found));
  await output.flush();
}

function textOf(found: Inspection | Verification): string {
  const { identity, segments, journals, damages } = found;
  const whose =
    identity === null
      ? 'a volume without identity'
      : `${identity.kind} ${identity.member}, store ${identity.store}, cluster ${identity.cluster}`;
  const used = segments.reduce((sum, { bytes }) => sum + bytes, 0);
  const lines = [whose, `${segments.length} segments with ${used} bytes of frames`];
  for (const { file, bytes, batches } of segments) {
    lines.push(`  ${file}  ${bytes} bytes, ${batches} batches`);
  }
  for (const journal of journals) {
    const { baseLsn, trimmedLsn, endLsn, endEpoch, bytes } = journal;
    lines.push(
      `journal ${journal.journal}: base ${baseLsn}, trimmed ${trimmedLsn}, ` +
        `end ${endLsn} of epoch ${endEpoch}, ${bytes} bytes`,
    );
  }
  for (const { file, position, firstLsn, lastLsn, what } of damages) {
    const range = firstLsn === null ? '' : `, LSN ${firstLsn} to ${lastLsn ?? '?'}`;
    lines.push(`damaged: ${file} at ${position}${range}: ${what}`);
  }
  if ('whole' in found) {
    const { batches, bytes, whole } = found;
    lines.push(`${batches} batches with ${bytes} bytes were read: ${whole ? 'whole' : 'damaged'}`);
  }
  return `${lines.join('\n')}\n`;
}
