// One life, one stop, one crash, one recovery, one judgement.

import type { Volume } from '../../log/log.ts';
import type { CrashMode } from '../../sim/platter/file.ts';
import { goOn, judge, Life, openLife, wholeLife } from './life.ts';
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

async function judgeAndGoOn(
  life: Life | null,
  disk: Parameters<typeof openLife>[0],
): Promise<void> {
  const volume: Volume = await openLife(disk);
  if (life !== null) await judge(life.model, volume);
  await goOn(volume);
  const ends = volume.journals().map((log) => [log.journal, log.endLsn, log.endCrc]);
  await volume.close();
  const again = await openLife(disk);
  const found = again.journals().map((log) => [log.journal, log.endLsn, log.endCrc]);
  if (JSON.stringify(found.sort()) !== JSON.stringify(ends.sort())) {
    throw new Error(`after a close ${JSON.stringify(found)}, before ${JSON.stringify(ends)}`);
  }
  await again.close();
}
