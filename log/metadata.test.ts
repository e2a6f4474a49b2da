// Metadata are there after any stop: every save that was answered, and each save whole or not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk } from '../io/disk.ts';
import { DiskError } from '../io/disk.ts';
import { nodeRandom } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { metadataCalls, stoppedMetadata } from '../test/log/crash.ts';
import {
  judgeMetadata,
  METADATA,
  metadataText,
  openLifeMetadata,
} from '../test/log/metadata-life.ts';
import { passing } from '../test/log/passing.ts';
import { StoppingDisk } from '../test/log/stopping-disk.ts';
import type { Metadata } from './metadata.ts';

const DIRECTORY = METADATA;
const open = openLifeMetadata;
const text = metadataText;

const bytes = (value: string | number): Uint8Array => Buffer.from(String(value));

async function onDisk(body: (disk: Disk, machine: StoppingDisk) => Promise<void>): Promise<void> {
  const machine = new StoppingDisk();
  await machine.live(Number.POSITIVE_INFINITY, (disk) => body(disk, machine));
}

test('values are saved, replaced, deleted and listed', async () => {
  await onDisk(async (disk) => {
    const first = await open(disk);
    await first.save(
      new Map([
        ['a/1', bytes('one')],
        ['a/2', bytes('two')],
        ['b', bytes('')],
      ]),
    );
    await first.save(
      new Map<string, Uint8Array | null>([
        ['a/1', null],
        ['a/2', bytes('three')],
      ]),
    );
    await first.close();
    const second = await open(disk);
    assert.deepEqual(second.keys('a/'), ['a/2']);
    assert.deepEqual(second.keys(''), ['a/2', 'b']);
    assert.deepEqual([text(second, 'a/2'), text(second, 'b')], ['three', '']);
    assert.equal(second.get('a/1'), undefined);
    await second.close();
    await assert.rejects(second.save(new Map([['b', bytes(1)]])), JournalError);
  });
});

test('of two processes on one volume the later one goes on, with all that was saved', async () => {
  await onDisk(async (disk) => {
    const first = await open(disk);
    await first.save(new Map([['promise', bytes(7)]]));
    const second = await open(disk);
    assert.equal(text(second, 'promise'), '7');
    const isTaken = (error: unknown) =>
      error instanceof JournalError && /opened by another process/.test(error.message);
    await assert.rejects(first.save(new Map([['promise', bytes(8)]])), isTaken);
    await assert.rejects(first.save(new Map([['promise', bytes(9)]])), isTaken);
    assert.equal(first.failed?.code, 'UNAVAILABLE');
    await second.save(new Map([['promise', bytes(10)]]));
    const third = await open(disk);
    assert.equal(text(third, 'promise'), '10');
  });
});

test('metadata that outgrow their file begin a new one, unless another process came', async () => {
  await onDisk(async (disk) => {
    const grow = async (metadata: Metadata, from: number): Promise<void> => {
      for (let count = from; count < from + 12; count += 1) {
        const big = Buffer.alloc(300 * 1024, String(count));
        await metadata.save(
          new Map([
            ['big', big],
            ['count', bytes(count)],
          ]),
        );
      }
    };
    const first = await open(disk);
    await grow(first, 0);
    const names = await disk.list(DIRECTORY);
    assert.deepEqual(names.length, 2, `one generation, one claim: ${names.join(' ')}`);
    const second = await open(disk);
    assert.equal(text(second, 'count'), '11');
    await assert.rejects(grow(first, 20), /opened by another process/);
    await grow(second, 40);
    await second.close();
    assert.equal(text(await open(disk), 'count'), '51');
  });
});

test('whatever a process saves while another one opens is there, or was not answered', async () => {
  for (let pause = 0; pause < 40; pause += 1) {
    await onDisk(async (disk) => {
      const first = await open(disk);
      let saved = 0;
      const saving = (async () => {
        for (let value = 1; ; value += 1) {
          await first.save(new Map([['promise', bytes(value)]]));
          saved = value;
        }
      })().catch(() => undefined);
      for (let turn = 0; turn < pause; turn += 1) await Promise.resolve();
      await open(disk);
      await saving;
      const last = await open(disk);
      assert.ok(Number(text(last, 'promise') ?? 0) >= saved, `${pause} turns, saved ${saved}`);
    });
  }
});

test('a saved value is a copy', async () => {
  await onDisk(async (disk) => {
    const metadata = await open(disk);
    const value = Buffer.from('before');
    const saving = metadata.save(new Map([['key', value]]));
    value.fill(0);
    await saving;
    assert.equal(text(metadata, 'key'), 'before');
    await metadata.close();
  });
});

test('saves of one moment share a sync', async () => {
  await onDisk(async (disk, machine) => {
    const metadata = await open(disk);
    const before = machine.calls;
    const saves = Array.from({ length: 50 }, (_, at) =>
      metadata.save(new Map([[`k${at}`, bytes(at)]])),
    );
    await Promise.all(saves);
    assert.equal(machine.calls - before, 2, 'one write and one sync');
    await metadata.close();
  });
});

test('a stop after every call loses no answered save and tears none', async () => {
  const calls = await metadataCalls();
  assert.ok(calls > 30);
  for (let stop = 1; stop <= calls; stop += 1) {
    for (const mode of ['none', 'some'] as const) {
      const machine = new StoppingDisk();
      const last = await stoppedMetadata(machine, stop);
      machine.crash(`${stop}`, mode);
      await machine.live(Number.POSITIVE_INFINITY, (disk) => judgeMetadata(disk, last));
    }
  }
});

/** The file that holds the values. */
function valuesOf(machine: StoppingDisk) {
  const found = machine.image.files().find(([path]) => path.endsWith('.metadata'));
  assert.ok(found);
  return found[1];
}

test('no single flipped bit loses a value', async () => {
  await onDisk(async (disk, machine) => {
    const metadata = await open(disk);
    for (let count = 1; count <= 5; count += 1) {
      await metadata.save(new Map([['key', bytes(`value ${count}`)]]));
    }
    const image = machine.image.copy();
    const { size } = valuesOf(machine);
    assert.ok(size > 200);
    for (let at = 0; at < size; at += 1) {
      machine.image.restore(image);
      valuesOf(machine).rot(at, at % 8);
      const again = await open(disk);
      assert.equal(text(again, 'key'), 'value 5', `byte ${at}`);
      await again.close();
    }
  });
});

test('a lost record in the middle is damage, not an end', async () => {
  await onDisk(async (disk, machine) => {
    const metadata = await open(disk);
    for (let count = 1; count <= 5; count += 1) {
      await metadata.save(new Map([['key', bytes(`value ${count}`)]]));
    }
    const file = valuesOf(machine);
    const content = Buffer.from(file.read(0, file.size));
    // Both copies of one record.
    for (let at = content.indexOf('value 3'); at >= 0; at = content.indexOf('value 3', at + 1)) {
      file.rot(at, 0);
    }
    await assert.rejects(
      open(disk),
      (error) => error instanceof JournalError && error.code === 'DAMAGED',
    );
  });
});

test('a failed sync fails for good', async () => {
  await onDisk(async (disk) => {
    let failing = false;
    const metadata = await open({
      ...disk,
      open: async (path) => {
        const file = await disk.open(path);
        return {
          ...passing(file),
          sync: async () => {
            if (failing) throw new DiskError('EIO', path);
            return file.sync();
          },
        };
      },
    });
    await metadata.save(new Map([['key', bytes(1)]]));
    failing = true;
    const isDamaged = (error: unknown): boolean =>
      error instanceof JournalError && error.code === 'DAMAGED';
    await assert.rejects(metadata.save(new Map([['key', bytes(2)]])), isDamaged);
    failing = false;
    await assert.rejects(metadata.save(new Map([['key', bytes(3)]])), isDamaged);
    assert.equal(text(metadata, 'key'), '1');
    await metadata.close();
  });
});

test('many random lives keep what the last answers said', async () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const random = nodeRandom(`metadata ${seed}`);
    const machine = new StoppingDisk();
    const answered = new Map<string, string>();
    for (let round = 0; round < 4; round += 1) {
      let saving: readonly [string, string] | null = null;
      await machine.live(1 + random.below(25), async (disk) => {
        const metadata = await open(disk);
        for (;;) {
          const [key, value] = [`k${random.below(5)}`, random.hex(20)];
          saving = [key, value];
          await metadata.save(new Map([[key, bytes(value)]]));
          answered.set(key, value);
          saving = null;
        }
      });
      machine.crash(`${seed}/${round}`, 'some');
      const lost: readonly [string, string] | null = saving;
      await machine.live(Number.POSITIVE_INFINITY, async (disk) => {
        const metadata = await open(disk);
        for (const [key, value] of answered) {
          const found = text(metadata, key);
          const allowed = lost?.[0] === key ? [value, lost[1]] : [value];
          assert.ok(found !== undefined && allowed.includes(found), `seed ${seed}: ${key}`);
        }
        for (const key of metadata.keys('')) answered.set(key, text(metadata, key) ?? '');
      });
    }
  }
});
