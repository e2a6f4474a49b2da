// The real metadata on a disk whose writes land elsewhere: they open with all that was saved, or
// say that they are damaged. Controllers keep their promises in them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { type Metadata, openMetadata } from '../../log/metadata.ts';
import { JournalError } from '../../protocol/errors.ts';
import { micros } from '../../protocol/types.ts';
import { SimulatedDisk } from '../disk.ts';
import type { Dice } from '../random.ts';
import { type Actor, World } from '../world.ts';
import type { CrashMode } from './file.ts';

const SEEDS = 150;
const LIVES = 3;
const HOUR = micros(3_600_000_000);

class Lives {
  readonly world: World;
  readonly dice: Dice;
  readonly disk: SimulatedDisk;
  readonly #saved = new Map<string, string>();

  constructor(seed: string) {
    this.world = new World(seed);
    this.dice = this.world.dice.fork('lives');
    const sectorBytes = this.dice.pick([512, 4096]);
    this.disk = new SimulatedDisk(this.world, 'disk', { sectorBytes, capacityBytes: 2 ** 28 });
  }

  /** What became of the metadata: read whole in all lives, or found damaged. */
  async all(power: boolean): Promise<'whole' | 'damaged'> {
    for (let life = 0; life < LIVES; life += 1) {
      const { dice, disk, world } = this;
      disk.faults.misdirectChance = dice.chance(0.7) ? dice.odds(0.01, 0.3) : 0;
      const actor = world.birth(`life ${life}`);
      const metadata = await this.#open(actor);
      if (metadata === null) return 'damaged';
      for (const [key, value] of this.#saved) {
        assert.equal(Buffer.from(metadata.get(key) ?? []).toString(), value, `${key} is lost`);
      }
      for (let left = dice.between(1, 40); left > 0; left -= 1) await this.#save(metadata);
      if (power) await this.#saveNever(metadata);
      world.kill(actor);
      if (power) disk.crash(dice.pick<CrashMode>(['some', 'none', 'all']));
    }
    return 'whole';
  }

  async #open(actor: Actor): Promise<Metadata | null> {
    try {
      const disk = this.disk.attach(actor);
      return await openMetadata({ disk, directory: '/data', logger: silent });
    } catch (error) {
      if (error instanceof JournalError && error.code === 'DAMAGED') return null;
      throw error;
    }
  }

  #change(): readonly [string, string] {
    const { dice } = this;
    return [`key ${dice.below(12)}`, dice.hex(4) + 'x'.repeat(dice.spread(1, 3_000))];
  }

  async #save(metadata: Metadata): Promise<void> {
    const [key, value] = this.#change();
    await metadata.save(new Map([[key, Buffer.from(value)]]));
    this.#saved.set(key, value);
  }

  /** The power fails before it is answered: it may be there, or not. */
  async #saveNever(metadata: Metadata): Promise<void> {
    const [key, value] = this.#change();
    this.#saved.delete(key);
    void metadata.save(new Map([[key, Buffer.from(value)]])).catch(() => undefined);
    await this.world.sleep(this.dice.spread(10, 3_000));
  }
}

for (const power of [false, true]) {
  const ends = power ? 'power failures' : 'kills';
  test(`writes that land elsewhere lose nothing in secret over ${ends}`, async () => {
    const counts = { whole: 0, damaged: 0 };
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const lives = new Lives(`${ends} ${seed}`);
      let over = false;
      const task = lives.all(power);
      const end = (): void => {
        over = true;
      };
      task.then(end, end);
      await lives.world.run(() => over, HOUR);
      counts[await task] += 1;
    }
    assert.ok(counts.damaged > SEEDS / 5, `${counts.damaged} of ${SEEDS} were found damaged`);
    assert.ok(counts.whole > SEEDS / 5, `${counts.whole} of ${SEEDS} were read whole`);
  });
}
