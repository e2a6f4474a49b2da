// What becomes of volumes that are lost, swapped, old or full: refused by name, repaired where
// enough others have it all, never served wrongly, and the documented way out works.

import assert from 'node:assert/strict';
import { cpSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { boundedVolume, volumePath } from '../lab/volumes.ts';
import type { Spec } from './cluster.ts';
import { CHANGE_MILLIS_MAX, Subject } from './subject.ts';

const NAMESPACE = 'volumes';
const TIMEOUT = { timeout: 600_000 };

/** Nothing of it is left for a second run on the same lab. */
const spec: Spec = {
  zones: ['a', 'b', 'c'],
  storage: { size: '256Mi' },
  deletionPolicy: 'Delete',
};

/** Where the volume of a process lies on this machine. */
async function pathOf({ lab, name, ...subject }: Subject, id: string): Promise<string> {
  const path = `/api/v1/namespaces/${subject.namespace}/persistentvolumeclaims/${name}-${id}-data`;
  const volume = String((await lab.api.get(path))?.spec?.volumeName);
  return volumePath(lab.node(volume.split('-')[0] ?? ''), volume);
}

function wipe(path: string): void {
  for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true });
}

/** What is on the one is on the other, and the other way round. */
function swap(one: string, other: string): void {
  const aside = `${one}.aside`;
  renameSync(one, aside);
  renameSync(other, one);
  renameSync(aside, other);
}

const append = (subject: Subject, text: string): Promise<string> =>
  subject.tool(['append', 'kept'], text);
const read = (subject: Subject): Promise<string> => subject.tool(['read', 'kept', '--raw']);

/** Whole, with a journal `kept` that holds "one\n". */
async function prepared(lab: Lab, name: string): Promise<Subject> {
  const subject = new Subject(lab, NAMESPACE, name);
  await subject.make(spec);
  await subject.wholeWith(3);
  await subject.tool(['create', 'kept']);
  await append(subject, 'one\n');
  // Where a member was late, the journal was made without it, and it is given the record now.
  await until('three members have it', CHANGE_MILLIS_MAX, async () => {
    const status = await subject.operatorTool(['status', '--json']);
    return status.match(/"role":\s*"(head|middle|tail)"/g)?.length === 3 ? true : undefined;
  });
  return subject;
}

export function volumeCases(theLab: () => Lab): void {
  losses(theLab);
  deletions(theLab);
  exchanges(theLab);
  controllers(theLab);
  room(theLab);
}

function losses(theLab: () => Lab): void {
  test('a deleted volume is given up, and a new member takes its place', TIMEOUT, async () => {
    const subject = await prepared(theLab(), 'lost');
    const before = await subject.members();
    await subject.underLoad(
      'deleted',
      async () => {
        await subject.kubectl('delete', 'pvc', 'lost-replica-2-data', '--wait=false');
        await subject.kubectl('delete', 'pod', 'lost-replica-2-0', '--wait=false');
        await until('another member is there', CHANGE_MILLIS_MAX, async () =>
          (await subject.members()).some((id) => !before.includes(id)) ? true : undefined,
        );
        await subject.wholeWith(3);
      },
      'c',
    );
    assert.deepEqual(await subject.members(), ['replica-1', 'replica-3', 'replica-4']);
    assert.equal(await read(subject), 'one\n');
    await subject.remove();
  });

  test('an emptied volume is not served, and said by name', TIMEOUT, async (context) => {
    const subject = await prepared(theLab(), 'emptied');
    await subject.hibernate();
    wipe(await pathOf(subject, 'replica-1'));
    await subject.change({ hibernate: false });
    context.diagnostic(
      await subject.says(
        'Stalled',
        'True',
        /VolumeRefused: replica-1: .*it is empty.*replace=replica-1/,
      ),
    );
    await until('the others take appends', CHANGE_MILLIS_MAX, async () =>
      (await append(subject, 'two\n')) === '' ? undefined : true,
    );
    await subject.annotate('replace', 'replica-1');
    await until('it is replaced', CHANGE_MILLIS_MAX, async () =>
      (await subject.members()).includes('replica-1') ? undefined : true,
    );
    await subject.wholeWith(3);
    assert.equal(await read(subject), 'one\ntwo\n');
    await subject.remove();
  });

  test('with all volumes of replicas gone nothing is served', TIMEOUT, async (context) => {
    const subject = await prepared(theLab(), 'gone');
    await subject.hibernate();
    for (const id of await subject.members()) wipe(await pathOf(subject, id));
    await subject.change({ hibernate: false });
    context.diagnostic(await subject.says('Stalled', 'True', /VolumeRefused: replica-\d: .*empty/));
    context.diagnostic(await subject.says('Ready', 'False', /kept takes no appends/));
    await assert.rejects(read(subject));
    await beginAnew(subject);
    await subject.remove();
  });
}

function deletions(theLab: () => Lab): void {
  test('a volume that goes with its pod is copied before that', TIMEOUT, async (context) => {
    const subject = await prepared(theLab(), 'going');
    await subject.kubectl('delete', 'pvc', 'going-replica-2-data', '--wait=false');
    context.diagnostic(await subject.says('Degraded', 'True', /VolumeDeleted: replica-2/));
    await subject.hibernate();
    await subject.change({ hibernate: false });
    await subject.wholeWith(3);
    assert.deepEqual(await subject.members(), ['replica-1', 'replica-3', 'replica-4']);
    assert.equal(await read(subject), 'one\n');
    await subject.remove();
  });
}

/** The way out when nothing is left: new members, and the journal that nobody has any more goes. */
async function beginAnew(subject: Subject): Promise<void> {
  const lost = await subject.members();
  await subject.annotate('replace', lost.join());
  await until('another member is there', CHANGE_MILLIS_MAX, async () =>
    (await subject.members()).some((id) => !lost.includes(id)) ? true : undefined,
  );
  await subject.tool(['delete', 'kept', '--yes']);
  await until('all of them are other ones', CHANGE_MILLIS_MAX, async () =>
    (await subject.members()).some((id) => lost.includes(id)) ? undefined : true,
  );
  await subject.wholeWith(lost.length);
  await subject.tool(['create', 'kept']);
  await append(subject, 'anew\n');
  assert.equal(await read(subject), 'anew\n');
}

function exchanges(theLab: () => Lab): void {
  test("another member's volume under its name is refused", TIMEOUT, async (context) => {
    const subject = await prepared(theLab(), 'swapped');
    await subject.hibernate();
    const paths = [await pathOf(subject, 'replica-1'), await pathOf(subject, 'replica-2')] as const;
    swap(...paths);
    await subject.change({ hibernate: false });
    context.diagnostic(await subject.says('Degraded', 'True', /replica-1: .*replica-2/));
    await subject.hibernate();
    swap(...paths);
    await subject.change({ hibernate: false });
    await subject.wholeWith(3);
    assert.equal(await read(subject), 'one\n');
    await subject.remove();
  });

  test('an old volume under its name loses nothing', TIMEOUT, async () => {
    const subject = await prepared(theLab(), 'old');
    await putOldCopyBack(subject, 'two\nthree\n');
    await subject.change({ hibernate: false });
    await subject.wholeWith(3);
    assert.equal(await read(subject), 'one\ntwo\nthree\n');
    await subject.remove();
  });

  test('of an old copy alone nothing is served, until a loss is forced', TIMEOUT, async () => {
    const subject = await prepared(theLab(), 'forced');
    await putOldCopyBack(subject, 'two\n');
    for (const id of ['replica-2', 'replica-3']) wipe(await pathOf(subject, id));
    await subject.change({ hibernate: false });
    await subject.says('Ready', 'False', /JournalNotWritable: journal kept takes no appends/);
    await assert.rejects(append(subject, 'never\n'));
    const lost = ['admin', 'force-loss', 'kept', '--member', 'replica-1', '--reason', 'a test'];
    await subject.operatorTool([...lost, '--yes']);
    // It goes on alone, and appends with those that take the places of the lost ones.
    await subject.annotate('replace', 'replica-2,replica-3');
    await until('what is left takes appends again', CHANGE_MILLIS_MAX, async () =>
      (await append(subject, 'after\n')) === '' ? undefined : true,
    );
    assert.equal(await read(subject), 'one\nafter\n');
    await subject.remove();
  });
}

/** Hibernated, with replica-1's volume as it was before `lines` were appended. */
async function putOldCopyBack(subject: Subject, lines: string): Promise<void> {
  await subject.hibernate();
  const path = await pathOf(subject, 'replica-1');
  const copy = `${path}.copy`;
  cpSync(path, copy, { recursive: true, preserveTimestamps: true });
  await subject.change({ hibernate: false });
  await subject.wholeWith(3);
  await append(subject, lines);
  await subject.hibernate();
  swap(path, copy);
}

function controllers(theLab: () => Lab): void {
  const name = 'headless';
  const seats = ['controller-1', 'controller-2', 'controller-3'];

  test(
    'with all volumes of controllers gone appends go on, and new ones take over',
    TIMEOUT,
    async (context) => {
      const subject = await prepared(theLab(), name);
      await subject.underLoad('headless', async () => {
        for (const id of seats) {
          await subject.kubectl('delete', 'pvc', `${name}-${id}-data`, '--wait=false');
          await subject.kubectl('delete', 'pod', `${name}-${id}-0`, '--wait=false', '--force');
        }
        context.diagnostic(
          await subject.says('Stalled', 'True', /VolumeLost: .*recover-controllers/),
        );
      });
      // The lineage rises: who subscribes goes on from a new start.
      await subject.annotate('recover-controllers', 'once');
      await until('other controllers are seated', CHANGE_MILLIS_MAX, async () => {
        const text = JSON.stringify((await subject.found()).status?.controllers);
        return /controller-6/.test(text) && !/controller-3/.test(text) ? true : undefined;
      });
      await subject.wholeWith(3);
      await append(subject, 'two\n');
      assert.equal(await read(subject), 'one\ntwo\n');
      await subject.remove();
    },
  );
}

const MIB = 2 ** 20;
/** Of which a volume keeps 64 MiB back. */
const ROOM_BYTES = 160 * MIB;
const LINE_BYTES = 500_000;

function room(theLab: () => Lab): void {
  test('a full volume is said by name, and a trim makes room', TIMEOUT, async (context) => {
    const subject = new Subject(theLab(), NAMESPACE, 'full');
    const { lab } = subject;
    // Claims of exactly this size take these volumes, and no others.
    const size = '300Mi';
    for (const node of lab.nodes.slice(0, 2)) {
      await lab.apply(await boundedVolume(node, `${node.name}-bounded`, ROOM_BYTES, size));
    }
    await subject.make({ zones: ['a', 'b'], members: 2, storage: { size } });
    await subject.wholeWith(2);
    await subject.tool(['create', 'kept']);
    const line = `${'x'.repeat(LINE_BYTES)}\n`;
    await assert.rejects(async () => {
      for (let count = 0; count < 400; count += 10) await append(subject, line.repeat(10));
    }, /kept in reserve/);
    context.diagnostic(
      await subject.says('Ready', 'False', /the disk of replica-\d is full: trim/),
    );
    const tail = (await subject.tool(['tail', 'kept'])).trim();
    await subject.tool(['trim', 'kept', '--through', tail]);
    await subject.says('Ready', 'True', /./);
    await append(subject, 'after\n');
    await subject.remove();
  });
}
