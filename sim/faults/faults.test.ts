// Faults do what their names say: those that are a matter of chance have one, and controllers whose
// volumes were lost, set back or spoiled do not vote on what is left.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bench } from '../../test/sim/bench.ts';
import type { Machine } from '../machine.ts';
import { Dice } from '../random.ts';
import { Faults } from './faults.ts';
import { KINDS } from './kinds.ts';
import type { Kind } from './scene.ts';

function kindOf(name: string): Kind {
  const kind = KINDS.find((one) => one.name === name);
  assert.ok(kind !== undefined, name);
  return kind;
}

/** A cluster of three controllers that works, with nothing to do. */
class Suffering extends Bench {
  /** A fault from its beginning to its end, and until the operator has nothing to do any more. */
  async suffer(name: string, victim: Machine, dice: Dice, lasts = 2_000_000): Promise<void> {
    const end = kindOf(name).begin(this.cluster, victim, dice);
    await this.world.sleep(lasts);
    end?.();
    const ended = this.world.now;
    await this.until(() => this.cluster.whole(ended));
  }
}

test('faults that are a matter of chance have a chance, until they end', async () => {
  const bench = new Suffering('chances');
  await bench.turn(async () => {
    const victim = await bench.start();
    const { fabric } = bench.cluster;
    const looks: readonly (readonly [string, () => number])[] = [
      ['failSyncs', () => victim.disk.faults.syncErrorChance],
      ['failReads', () => victim.disk.faults.readErrorChance],
      ['misdirect', () => victim.disk.faults.misdirectChance],
      ['misdirectController', () => victim.disk.faults.misdirectChance],
      ['repeatCalls', () => fabric.faults.repeatChance],
      ['badWires', () => fabric.faults.stallChance],
      ['badWires', () => fabric.faults.breakChance],
    ];
    for (const [name, chance] of looks) {
      for (let seed = 0; seed < 5; seed += 1) {
        const end = kindOf(name).begin(bench.cluster, victim, new Dice(`${seed}`));
        assert.ok(end !== null, name);
        assert.ok(chance() > 0 && chance() < 1, `${name}: ${chance()}`);
        end();
        assert.equal(chance(), 0, name);
      }
    }
  });
});

test('a process is taken one version up and back, whichever it runs', async () => {
  const bench = new Suffering('versions');
  await bench.turn(async () => {
    const victim = await bench.start();
    const { cluster } = bench;
    const lives = victim.lives;
    for (const first of ['present', 'next']) {
      if (first === 'next') await bench.suffer('upgrade', victim, new Dice('1'));
      assert.equal(cluster.isNext(victim), first === 'next');
      await bench.suffer('downgrade', victim, new Dice('1'));
      assert.equal(cluster.isNext(victim), false);
    }
    assert.equal(victim.lives, lives + 4);
  });
});

test('a fault that nothing came of is not counted', async () => {
  const bench = new Suffering('counted');
  await bench.turn(async () => {
    await bench.start();
    // Without a journal no record can rot, and hardly anything is written that could go astray.
    const only = ['rot', 'misdirect', 'restart'];
    const faults = new Faults(bench.cluster, new Dice('counted'), 'anything', only);
    faults.start();
    await bench.world.sleep(20_000_000);
    faults.stop();
    const tried = faults.struck.filter(({ kind }) => kind === 'misdirect');
    const done = tried.filter((one) => one.done);
    assert.ok(tried.length > done.length, `${done.length} of ${tried.length} went astray`);
    const { rot, misdirect = 0, restart = 0 } = faults.counts;
    assert.deepEqual([rot, misdirect], [undefined, done.length]);
    assert.ok(restart > 0, 'nothing was done at all');
  });
});

test('a full disk of a controller ends it, and room brings it back', async () => {
  const bench = new Suffering('full');
  await bench.turn(async () => {
    const victim = await bench.start();
    await bench.suffer('fullDisk', victim, new Dice('1'));
    await bench.until(() => bench.cluster.isBack(victim));
    assert.deepEqual(bench.controllers, ['k1', 'k2', 'k3']);
  });
});

for (const [seed, said] of [
  ['1', /to be formatted already, and is empty/],
  ['2', /knows that this is an old copy of k1/],
] as const) {
  test(`a wiped controller votes no more, and is replaced: ${said.source}`, async () => {
    const bench = new Suffering('wiped');
    await bench.turn(async () => {
      const victim = await bench.start();
      await bench.suffer('wipeController', victim, new Dice(seed));
      assert.match(victim.exits.join('\n'), said);
      assert.deepEqual(bench.controllers, ['k2', 'k3', 'k4']);
    });
  });
}

test('a controller that was set back votes no more, and is replaced', async () => {
  const bench = new Suffering('old');
  await bench.turn(async () => {
    const victim = await bench.start();
    await bench.suffer('oldController', victim, new Dice('1'));
    assert.match(victim.exits.join('\n'), /knows that this is an old copy of k1/);
    assert.deepEqual(bench.controllers, ['k2', 'k3', 'k4']);
  });
});

test('a controller is set back only where all others know of a later start', async () => {
  const bench = new Suffering('unknown');
  await bench.turn(async () => {
    const victim = await bench.start();
    bench.cluster.fabric.cut('k1', 'k3');
    bench.cluster.fabric.cut('k3', 'k1');
    await bench.suffer('oldController', victim, new Dice('1'));
    assert.deepEqual(victim.exits, []);
    assert.deepEqual(bench.controllers, ['k1', 'k2', 'k3']);
  });
});

test('bits that rot on a controller are mended by a second copy, or cost it its seat', async () => {
  const bench = new Suffering('rot');
  await bench.turn(async () => {
    let victim = await bench.start();
    let [mended, replaced] = [0, 0];
    for (let left = 12; left > 0; left -= 1) {
      await bench.suffer('rotController', victim, new Dice(`${left}`), 100_000);
      const [first] = bench.cluster.controllers;
      assert.ok(first !== undefined && bench.controllers.length === 3);
      if (first === victim) mended += 1;
      else {
        replaced += 1;
        assert.match(victim.exits.join('\n'), /identity\.json/);
      }
      victim = first;
    }
    assert.ok(mended > 0 && replaced > 0, `${mended} mended, ${replaced} replaced`);
  });
});

test('a controller whose writes land elsewhere says so at its next start', async () => {
  const bench = new Suffering('misdirect');
  await bench.turn(async () => {
    const victim = await bench.start();
    victim.disk.faults.misdirectChance = 1;
    await bench.cluster.client.createJournal('orders', { settings: { replicationFactor: 1 } });
    await bench.suffer('misdirectController', victim, new Dice('1'));
    assert.match(victim.exits.join('\n'), /is damaged/);
    assert.deepEqual(bench.controllers, ['k2', 'k3', 'k4']);
  });
});
