// The real volume on the simulated disk, through random lives that end in power failures: what was
// synced is there again, byte for byte, and nothing is there that was not appended.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError } from '../io/disk.ts';
import { silent } from '../io/logger.ts';
import { batchCrc, encodeBatch, encodeBody } from '../log/batch.ts';
import type { JournalLog, Volume } from '../log/log.ts';
import { openVolume } from '../log/volume.ts';
import { KIB } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Batch, epoch, journalId, lastLsn, lsn, micros } from '../protocol/types.ts';
import { MachineClock, simulatedClock } from './clock.ts';
import { SimulatedDisk } from './disk.ts';
import type { CrashMode } from './platter/file.ts';
import { Dice } from './random.ts';
import { type Actor, World } from './world.ts';

const JOURNALS = ['aa', 'bb', 'cc'].map((name) => journalId(name.repeat(16)));
const SEEDS = 25;
const LIVES = 6;

/** What one journal must hold: batches that were appended, and how far they are surely durable. */
interface Expected {
  batches: Batch[];
  durableLsn: number;
  /** Up to here it may be gone, since a trim was asked for. */
  trimmable: number;
}

class Life {
  readonly world: World;
  readonly dice: Dice;
  readonly disk: SimulatedDisk;
  readonly clock: MachineClock;
  readonly expected = new Map<string, Expected>();
  actor: Actor;
  batches = 0;
  /** So often the disk was full. */
  refusals = 0;

  constructor(seed: string) {
    this.world = new World(seed);
    this.dice = new Dice(`life/${seed}`);
    const sectorBytes = this.dice.pick([512, 4096]);
    this.disk = new SimulatedDisk(this.world, 'disk', { sectorBytes, capacityBytes: 2 ** 28 });
    this.clock = new MachineClock(this.world, { offset: 0, driftPpm: 0, booted: 1 });
    this.actor = this.world.birth('life');
  }

  async open(): Promise<Volume> {
    const disk = this.disk.attach(this.actor);
    // The names above its directory are made durable by whoever gives it the directory.
    await disk.makeDirectory('/data');
    await disk.syncDirectory('/');
    return await openVolume({
      disk,
      directory: '/data',
      clock: simulatedClock(this.world, this.actor, this.clock),
      logger: silent,
      random: this.dice,
      options: { segmentBytes: 64 * KIB, reserveBytes: KIB, checkpointBytes: 32 * KIB },
    });
  }

  of(log: JournalLog): Expected {
    const known = this.expected.get(log.journal) ?? { batches: [], durableLsn: 0, trimmable: 0 };
    this.expected.set(log.journal, known);
    return known;
  }

  /** The log must be a piece of what was appended that reaches at least as far as was synced. */
  async judge(log: JournalLog): Promise<void> {
    const expected = this.of(log);
    const { baseLsn } = log.shape();
    assert.ok(log.endLsn >= expected.durableLsn, `${log.endLsn} of ${expected.durableLsn} synced`);
    assert.ok(baseLsn <= expected.trimmable, `base ${baseLsn}, trimmed ${expected.trimmable}`);
    let next = baseLsn + 1;
    while (next <= log.endLsn) {
      for (const batch of await log.read(lsn(next), 20 * KIB)) {
        assert.equal(batch.header.firstLsn, next);
        const same = expected.batches.find(({ header }) => header.firstLsn === next);
        assert.ok(same !== undefined, `nobody appended what is at ${next}`);
        assert.deepEqual(Buffer.from(batch.bytes), Buffer.from(same.bytes));
        next = lastLsn(batch.header) + 1;
      }
    }
    expected.batches = expected.batches.filter(({ header }) => header.firstLsn <= log.endLsn);
    expected.durableLsn = log.endLsn;
  }

  append(log: JournalLog): void {
    this.batches += 1;
    const expected = this.of(log);
    const count = this.dice.between(1, 4);
    const body = encodeBody(
      Array.from({ length: count }, () => ({
        data: new Uint8Array(this.dice.spread(1, 9_000)).fill(this.dice.below(256)),
      })),
    );
    const previous = expected.batches.at(-1);
    const batch = encodeBatch(
      {
        journal: log.journal,
        firstLsn: lsn(log.endLsn + 1),
        count,
        epoch: epoch(1),
        timestamp: micros(1_000_000 + this.batches * 100),
        kind: 'data',
        keyOperation: 'tag',
        leaseMillis: 0,
        idempotence: null,
        keys: [],
        control: null,
        bodyCrc: body.crc,
        bodyBytes: body.bytes.length,
      },
      body.bytes,
      previous === undefined ? log.endCrc : batchCrc(previous),
    );
    log.append(batch);
    expected.batches.push(batch);
  }

  async work(volume: Volume): Promise<void> {
    for (;;) {
      const journal = this.dice.pick(JOURNALS);
      const log = volume.find(journal) ?? volume.create(journal);
      const dice = this.dice.fraction();
      if (dice < 0.6) this.append(log);
      else if (dice < 0.9) {
        const ends = volume.journals().map((one) => [this.of(one), one.endLsn] as const);
        if (await this.fits(() => volume.sync())) {
          for (const [one, end] of ends) one.durableLsn = Math.max(one.durableLsn, end);
        }
      } else if (dice < 0.95 && this.of(log).durableLsn > 0) {
        const through = this.dice.between(1, this.of(log).durableLsn);
        this.of(log).trimmable = Math.max(this.of(log).trimmable, through);
        await this.insist(() => log.trim(lsn(through)));
      } else await this.cut(log);
      if (this.dice.chance(0.1)) this.fill();
      else if (this.dice.chance(0.3)) this.disk.faults.takenBytes = 0;
    }
  }

  /** Somebody else takes all of the disk but so much. */
  fill(): void {
    const { capacityBytes } = this.disk.image;
    const left = this.dice.spread(1, 40_000);
    this.disk.faults.takenBytes = capacityBytes - this.disk.image.usedBytes() - left;
  }

  /** False where the disk is full. */
  async fits(task: () => Promise<unknown>): Promise<boolean> {
    try {
      await task();
      return true;
    } catch (error) {
      const full = error instanceof JournalError && error.code === 'DISK_FULL';
      if (!full && !(error instanceof DiskError && error.code === 'ENOSPC')) throw error;
      this.refusals += 1;
      return false;
    }
  }

  /** Again, once there is room, where the disk was full. */
  async insist(task: () => Promise<unknown>): Promise<void> {
    while (!(await this.fits(task))) this.disk.faults.takenBytes = 0;
  }

  /** Everything after some border is given up; old bytes must never come back. */
  async cut(log: JournalLog): Promise<void> {
    const expected = this.of(log);
    const { baseLsn } = log.shape();
    const borders = [baseLsn, ...expected.batches.map(({ header }) => lastLsn(header))];
    const lawful = borders.filter((border) => border >= baseLsn && border <= log.endLsn);
    const end = this.dice.pick(lawful.slice(-3));
    const before = { ...expected };
    expected.durableLsn = Math.min(expected.durableLsn, end);
    await this.insist(() => log.cut(lsn(end)));
    expected.batches = before.batches.filter(({ header }) => lastLsn(header) <= end);
  }

  /** One life, from recovery to the failure of the power. */
  async live(): Promise<void> {
    this.actor = this.world.birth('life');
    const box: { error?: unknown } = {};
    const events = this.dice.spread(5, 1_000);
    this.disk.faults.takenBytes = 0;
    const life = async (): Promise<void> => {
      const volume = await this.open();
      for (const log of volume.journals()) await this.judge(log);
      for (const [journal, expected] of this.expected) {
        if (volume.find(journalId(journal)) !== undefined) continue;
        assert.equal(expected.durableLsn, 0, `${journal} is gone`);
        expected.batches = [];
      }
      await this.work(volume);
    };
    life().catch((error: unknown) => {
      box.error = error;
    });
    const until = this.world.events + events;
    const done = (): boolean => 'error' in box || this.world.events >= until;
    await this.world.run(done, micros(this.world.now + 3_600_000_000));
    if ('error' in box) throw box.error;
    this.world.kill(this.actor);
    this.disk.crash(this.dice.pick<CrashMode>(['some', 'some', 'none', 'all']));
  }
}

test(`${SEEDS} seeds of ${LIVES} lives lose nothing that was synced`, async () => {
  let [batches, refusals] = [0, 0];
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const life = new Life(`volume ${seed}`);
    try {
      for (let at = 0; at < LIVES; at += 1) await life.live();
    } catch (error) {
      throw new Error(`seed ${seed} of the volume fails`, { cause: error });
    }
    batches += life.batches;
    refusals += life.refusals;
  }
  assert.ok(refusals > SEEDS, `the disk was full ${refusals} times`);
  assert.ok(batches > SEEDS * LIVES * 10, `only ${batches} batches were appended`);
});
