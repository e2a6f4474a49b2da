// A replica in trouble: too many requests, a disk that fails or hangs, a newer start of its store.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Disk, DiskError, type DiskFile } from '../../io/disk.ts';
import { nodeDisk } from '../../io/node.ts';
import { JournalError } from '../../protocol/errors.ts';
import { journalMethods } from '../../transport/methods.ts';
import { passing } from '../log/passing.ts';
import { CALL, House, type Housed, position, texts } from './house.ts';
import { until } from './shepherd.ts';

/** The real disk, whose syncs can be held back or made to fail, those of segments by default. */
class Trouble {
  fails = false;
  /** Takes no bytes into these files. */
  full = false;
  refused = 0;
  readonly #ending: string;
  #gate: Promise<void> = Promise.resolve();
  release: () => void = () => {};

  constructor(ending = '.segment') {
    this.#ending = ending;
  }

  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  disk(): Disk {
    return {
      ...nodeDisk,
      create: async (path) => this.#file(await nodeDisk.create(path)),
      open: async (path) => this.#file(await nodeDisk.open(path)),
    };
  }

  #file(file: DiskFile): DiskFile {
    return {
      ...passing(file),
      write: async (position, chunks) => {
        if (this.full && file.path.endsWith(this.#ending)) {
          this.refused += 1;
          throw new DiskError('ENOSPC', file.path);
        }
        await file.write(position, chunks);
      },
      sync: async () => {
        if (!file.path.endsWith(this.#ending)) return await file.sync();
        await this.#gate;
        if (this.fails) throw new DiskError('EIO', file.path);
        await file.sync();
      },
    };
  }
}

const code = (given: string) => (error: unknown) =>
  error instanceof JournalError && error.code === given;

describe('a replica in trouble', () => {
  let house: House;

  before(async () => {
    house = await House.open();
  });
  after(() => house.close());

  const journal = async (name: string, one: Housed): Promise<string> => {
    const { journal: id } = house.shepherd.create(name, [one.sheep]);
    await until(`${name} has its head`, () => one.sheep.reports.get(id)?.live === true);
    return name;
  };

  // Else nobody starts it anew, and it never has the journal.
  test('a copy whose base cannot be written ends the process', async () => {
    const whole = await house.start('based');
    const { journal: id } = house.shepherd.create('based', [whole.sheep]);
    const report = () => whole.sheep.reports.get(id);
    await until('it serves', () => report()?.live === true);
    // So many long keys that the base is a file of its own.
    const records = Array.from({ length: 100 }, (_, at) => ({
      data: new Uint8Array(1),
      key: `${at}${'k'.repeat(500)}`,
    }));
    await house.append(whole, 'based', [], { records });
    const trim = { journal: 'based', through: position(100), force: false };
    await house.network.call(whole.replica.address, journalMethods.trim, trim, CALL);
    await until('it is cut', () => report()?.baseLsn === 100);
    const trouble = new Trouble('.base.tmp');
    trouble.fails = true;
    const copy = await house.start('copy', {}, trouble.disk());
    const configuration = house.shepherd.named('based');
    const [source] = configuration.serving;
    assert.ok(source !== undefined);
    copy.sheep.directives = [{ kind: 'learn', configuration, source }];
    await until('its liveness probe fails', () => /EIO/.test(copy.replica.dead()));
  });

  test('what is above the bound of the queue is refused, and the rest is done', async () => {
    const trouble = new Trouble();
    const one = await house.start('full', { queueRequestsMax: 10 }, trouble.disk());
    const name = await journal('full', one);
    trouble.hold();
    const appends = Array.from({ length: 30 }, (_, n) => house.append(one, name, [`r${n}`]));
    const settled = Promise.allSettled(appends);
    // The refused ones are answered while the others still wait for the disk.
    let refusedNow = 0;
    for (const append of appends) append.catch(() => (refusedNow += 1));
    await until('the rest is refused', () => refusedNow === 20);
    trouble.release();
    const results = await settled;
    const refusals = results.filter(({ status }) => status === 'rejected');
    assert.equal(refusals.length, 20);
    for (const one of refusals) {
      assert.ok(one.status === 'rejected' && code('OVERLOADED')(one.reason));
    }
    assert.equal((await house.read(one, name, 1, true)).records.length, 10);
  });

  test('a disk that hangs shows in every pong, and nothing is acknowledged meanwhile', async () => {
    const trouble = new Trouble();
    const one = await house.start('hung', {}, trouble.disk());
    const name = await journal('hung', one);
    await house.append(one, name, ['before']);
    trouble.hold();
    let answered = false;
    const waiting = house.append(one, name, ['during']).then(() => {
      answered = true;
    });
    await until('its age is told', () => (one.sheep.pong?.health.syncAge ?? 0) > 300_000);
    assert.equal(answered, false);
    assert.deepEqual(texts(await house.read(one, name, 1)), ['before']);
    trouble.release();
    await waiting;
    assert.deepEqual(texts(await house.read(one, name, 1)), ['before', 'during']);
  });

  test('a sync that failed ends all writing, and reading goes on', async () => {
    const trouble = new Trouble();
    const one = await house.start('failed', {}, trouble.disk());
    const name = await journal('failed', one);
    await house.append(one, name, ['before']);
    trouble.fails = true;
    await assert.rejects(
      house.append(one, name, ['lost']),
      (error: unknown) => error instanceof JournalError && error.outcome === 'unknown',
    );
    trouble.fails = false;
    await assert.rejects(house.append(one, name, ['after']), code('UNAVAILABLE'));
    await until('it is told', () => /EIO/.test(one.sheep.pong?.health.failed ?? ''));
    assert.match(one.replica.dead(), /EIO/);
    assert.deepEqual(texts(await house.read(one, name, 1)), ['before']);
  });

  test('a probe whose sync failed ends the replica, and is not tried again', async () => {
    const trouble = new Trouble('.metadata');
    const one = await house.start('unsaved', {}, trouble.disk());
    const name = await journal('unsaved', one);
    await house.append(one, name, ['before']);
    trouble.fails = true;
    one.sheep.directives = [{ kind: 'probe', probe: 7 }];
    await until('it is told', () => /synced/.test(one.sheep.pong?.health.failed ?? ''));
    trouble.fails = false;
    assert.match(one.replica.dead(), /metadata .* could not be synced/);
    assert.equal(one.sheep.pong?.health.probe, 0);
    await assert.rejects(house.append(one, name, ['after']), code('UNAVAILABLE'));
    assert.deepEqual(texts(await house.read(one, name, 1)), ['before']);
  });

  test('a probe that a full disk refused is done once there is room', async () => {
    const trouble = new Trouble('.metadata');
    const one = await house.start('roomless', {}, trouble.disk());
    const name = await journal('roomless', one);
    trouble.full = true;
    one.sheep.directives = [{ kind: 'probe', probe: 7 }];
    await until('it was tried', () => trouble.refused > 0);
    assert.equal(one.sheep.pong?.health.probe, 0);
    trouble.full = false;
    await until('it is done', () => one.sheep.pong?.health.probe === 7);
    await house.append(one, name, ['after']);
  });

  test('a cluster that has outgrown its version gets nothing from it any more', async () => {
    const one = await house.start('outgrown');
    const name = await journal('outgrown', one);
    await house.append(one, name, ['before']);
    one.sheep.featureLevel = 2;
    const said = /feature level 2, this version knows up to 1: start a newer one/;
    await until('it is told', () => said.test(one.sheep.pong?.health.failed ?? ''));
    await assert.rejects(house.append(one, name, ['after']), code('UNAVAILABLE'));
    assert.match(one.replica.unready(), said);
  });

  test('a newer start of its store ends all writing at once', async () => {
    const one = await house.start('copied');
    const name = await journal('copied', one);
    await house.append(one, name, ['before']);
    const incarnation = one.replica.incarnation + 1;
    one.sheep.directives = [{ kind: 'superseded', incarnation }];
    await until('it is told', () => /superseded/.test(one.sheep.pong?.health.failed ?? ''));
    await assert.rejects(
      house.append(one, name, ['after']),
      (error: unknown) => code('UNAVAILABLE')(error) && /superseded/.test(String(error)),
    );
    assert.match(one.replica.unready(), /superseded/);
  });
});
