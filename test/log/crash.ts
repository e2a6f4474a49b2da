// One life, one stop, one crash, one recovery, one judgement.

import type { Disk } from '../../io/disk.ts';
import { nodeDisk } from '../../io/node.ts';
import type { Volume } from '../../log/log.ts';
import type { CrashMode } from '../../sim/platter/file.ts';
import { KilledDisk, layOut, realFolder } from './killed-disk.ts';
import { DIRECTORY, goOn, judge, judgeAsides, Life, openLife, wholeLife } from './life.ts';
import { judgeMetadata, METADATA, metadataLife } from './metadata-life.ts';
import { StoppingDisk } from './stopping-disk.ts';

/** How many calls the whole life makes. */
export async function lifeCalls(): Promise<number> {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
    await wholeLife(new Life(await openLife(disk)), () => openLife(disk));
  });
  return machine.calls;
}

/**
 * Stops a life at the call `stop`, lets the power fail and judges what is recovered; with `second`
 * the recovery is stopped as well, and done again. False where the recovery ended before that.
 */
export async function crashAt(
  stop: number,
  mode: CrashMode,
  seed: string,
  second?: number,
): Promise<boolean> {
  const machine = new StoppingDisk();
  let life: Life | null = null;
  await machine.live(stop, async (disk) => {
    life = new Life(await openLife(disk));
    await wholeLife(life, () => openLife(disk));
  });
  const trail = [...machine.trail];
  machine.crash(seed, mode);
  let hit = true;
  if (second !== undefined) {
    hit = await machine.live(second, async (disk) => {
      await openLife(disk);
    });
    machine.crash(`${seed}/second`, mode);
  }
  const lived: Life | null = life;
  try {
    await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
      await judgeAndGoOn(lived, disk);
    });
  } catch (error) {
    const how = `${mode}, seed ${seed}, second ${second ?? 'none'}`;
    const where = `stop ${stop} (${trail.at(-1)}), ${how}`;
    throw new Error(`${where}\n  ${trail.join('\n  ')}`, { cause: error });
  }
  return hit;
}

/** Stops a life at a call, lets the power fail, and recovers on the real disk what that leaves. */
export async function crashOntoDisk(stop: number, mode: CrashMode, seed: string): Promise<void> {
  const machine = new StoppingDisk();
  let life: Life | null = null;
  await machine.live(stop, async (disk) => {
    life = new Life(await openLife(disk));
    await wholeLife(life, () => openLife(disk));
  });
  machine.crash(seed, mode);
  await using folder = await realFolder();
  await layOut(machine.image, folder.path);
  const lived: Life | null = life;
  await naming(`stop ${stop}, ${mode}, seed ${seed}, on a real disk`, () =>
    judgeAndGoOn(lived, nodeDisk, `${folder.path}${DIRECTORY}`),
  );
}

/**
 * Lives on the real disk, is killed at the call `stop`, and recovers there; false where the life
 * ended before.
 */
export async function killAt(stop: number): Promise<boolean> {
  await using folder = await realFolder();
  const directory = `${folder.path}${DIRECTORY}`;
  let life: Life | null = null;
  const killed = await new KilledDisk(stop).live(async (disk) => {
    life = new Life(await openLife(disk, directory));
    await wholeLife(life, () => openLife(disk, directory));
  });
  const lived: Life | null = life;
  await naming(`killed at call ${stop} on a real disk`, () =>
    judgeAndGoOn(lived, nodeDisk, directory),
  );
  return killed;
}

// ── Metadata ──────────────────────────────────────────────────────────────────────────────────

/** How many calls a life of metadata makes. */
export async function metadataCalls(): Promise<number> {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, (disk) => metadataLife(disk, () => {}));
  return machine.calls;
}

/** A life of metadata that ends at the call `stop`; the last save that was answered by then. */
export async function stoppedMetadata(machine: StoppingDisk, stop: number): Promise<number> {
  let last = 0;
  await machine.live(stop, (disk) =>
    metadataLife(disk, (count) => {
      last = count;
    }),
  );
  return last;
}

/** As `crashOntoDisk`, of metadata. */
export async function crashMetadataOntoDisk(
  stop: number,
  mode: CrashMode,
  seed: string,
): Promise<void> {
  const machine = new StoppingDisk();
  const last = await stoppedMetadata(machine, stop);
  machine.crash(seed, mode);
  await using folder = await realFolder();
  await layOut(machine.image, folder.path);
  await naming(`metadata, stop ${stop}, ${mode}, seed ${seed}, on a real disk`, () =>
    judgeMetadata(nodeDisk, last, `${folder.path}${METADATA}`),
  );
}

/** As `killAt`, of metadata. */
export async function killMetadataAt(stop: number): Promise<boolean> {
  await using folder = await realFolder();
  const directory = `${folder.path}${METADATA}`;
  let last = 0;
  const note = (count: number): void => {
    last = count;
  };
  const killed = await new KilledDisk(stop).live((disk) => metadataLife(disk, note, directory));
  await naming(`metadata, killed at call ${stop} on a real disk`, () =>
    judgeMetadata(nodeDisk, last, directory),
  );
  return killed;
}

// ── Judgement ─────────────────────────────────────────────────────────────────────────────────

/** What goes wrong is told with where it did. */
async function naming(where: string, judged: () => Promise<void>): Promise<void> {
  try {
    await judged();
  } catch (error) {
    throw new Error(where, { cause: error });
  }
}

async function judgeAndGoOn(
  life: Life | null,
  disk: Disk,
  directory: string = DIRECTORY,
): Promise<void> {
  const volume: Volume = await openLife(disk, directory);
  if (life !== null) {
    await judge(life.model, volume);
    await judgeAsides(life.asides, volume, disk, directory);
  }
  await goOn(volume);
  const ends = volume.journals().map((log) => [log.journal, log.endLsn, log.endCrc]);
  await volume.close();
  const again = await openLife(disk, directory);
  const found = again.journals().map((log) => [log.journal, log.endLsn, log.endCrc]);
  if (JSON.stringify(found.sort()) !== JSON.stringify(ends.sort())) {
    throw new Error(`after a close ${JSON.stringify(found)}, before ${JSON.stringify(ends)}`);
  }
  await again.close();
}
