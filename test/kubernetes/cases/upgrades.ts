// A newer version beside an older one: of the operator while its clusters run on, and of replicas
// and controllers of one cluster in mid-roll. No append may fail.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { record } from '../lab/api.ts';
import { pause, until } from '../lab/commands.ts';
import { NEWER_IMAGE, NEWER_VERSION, newerImage } from '../lab/images.ts';
import type { Lab } from '../lab/lab.ts';
import {
  chart,
  type Helm,
  imageValues,
  OPERATOR,
  OPERATOR_NAMESPACE,
  operatorPods,
  operatorReady,
} from '../lab/operator.ts';
import { podsOf } from './cluster.ts';
import { CHANGE_MILLIS_MAX, type Observed, refusedAppends, Subject } from './subject.ts';

const NAMESPACE = 'upgrades';
const NAME = 'aged';
const TIMEOUT = { timeout: 900_000 };
/** Both versions serve in one chain for so long. */
const BESIDE_MILLIS = 20_000;
const spec = { zones: ['a', 'b', 'c'], storage: { size: '256Mi' }, deletionPolicy: 'Delete' };

export function upgradeCases(theLab: () => Lab, theHelm: () => Helm): void {
  const theSubject = (): Subject => new Subject(theLab(), NAMESPACE, NAME);

  test('the operator is upgraded, and no pod of a cluster restarts', TIMEOUT, async (context) => {
    const subject = theSubject();
    const { lab } = subject;
    await lab.importImage(await newerImage());
    await subject.make(spec);
    await subject.wholeWith(3);
    const before = await startsOf(subject);
    const where = ['--namespace', OPERATOR_NAMESPACE];
    const values = [...imageValues(NEWER_IMAGE), '--set', 'logLevel=debug'];
    const seen = await subject.underLoad('upgraded', async () => {
      await theHelm()(['upgrade', OPERATOR, chart, ...where, '--reuse-values', ...values]);
      await operatorReady(lab);
      await until('only the newer operator runs', CHANGE_MILLIS_MAX, async () => {
        const pods = await operatorPods(lab);
        const images = pods.map(({ spec: one }) => JSON.stringify(one?.containers));
        return images.every((text) => text.includes(`"${NEWER_IMAGE}"`)) ? true : undefined;
      });
      // What it is asked for now is done by the newer one.
      await subject.change({ journals: [{ name: 'asked-of-the-newer' }] });
      await until('it makes a journal', CHANGE_MILLIS_MAX, async () =>
        Number((await subject.found()).status?.journals) >= 2 ? true : undefined,
      );
      await subject.wholeWith(3);
    });
    tell(context, seen);
    assert.deepEqual(await startsOf(subject), before, 'no pod restarted, none is another one');
    await theHelm()(['rollback', OPERATOR, ...where, '--wait', '--timeout=3m']);
    await operatorReady(lab);
    await subject.wholeWith(3);
    assert.deepEqual(await startsOf(subject), before, 'nor by going back');
  });

  test('two versions serve side by side, each of them at the head', TIMEOUT, async (context) => {
    const subject = theSubject();
    const seen = await subject.underLoad('beside', async () => {
      await subject.change({ image: NEWER_IMAGE });
      const both = await until('two versions serve', CHANGE_MILLIS_MAX, async () => {
        const { versions } = await statusOf(subject);
        const replicas = [...versions].filter(([id]) => id.startsWith('replica'));
        const newer = replicas.find(([, version]) => version === NEWER_VERSION)?.[0];
        const older = replicas.find(([, version]) => version !== NEWER_VERSION)?.[0];
        return newer === undefined || older === undefined ? undefined : { newer, older };
      });
      await subject.change({ suspend: true });
      for (const id of [both.newer, both.older]) {
        await leads(subject, id);
        await pause(BESIDE_MILLIS);
      }
      const { versions } = await statusOf(subject);
      context.diagnostic([...versions].map((one) => one.join(' ')).join(', '));
      assert.equal(new Set(versions.values()).size, 2, 'the roll went on though it was suspended');
      await subject.change({ suspend: false });
      await until('every process is of the newer version', CHANGE_MILLIS_MAX * 2, async () => {
        const now = await statusOf(subject);
        return [...now.versions.values()].every((one) => one === NEWER_VERSION) ? true : undefined;
      });
      await subject.wholeWith(3);
    });
    tell(context, seen);
    await subject.remove();
  });
}

function tell(context: TestContext, { gapMillis, history }: Observed): void {
  context.diagnostic(`longest pause ${Math.round(gapMillis)} ms`);
  assert.deepEqual(refusedAppends(history), []);
}

/** Each pod of the cluster, which one it is, and how often its container was started again. */
async function startsOf({ lab, namespace, name }: Subject): Promise<readonly string[]> {
  const pods = await Promise.all(
    (['replica', 'controller'] as const).map((one) => podsOf(lab, namespace, name, one)),
  );
  return pods
    .flat()
    .map(({ metadata, status }) => {
      const containers = Array.isArray(status?.containerStatuses) ? status.containerStatuses : [];
      const restarts = containers.map((one) => record(one).restartCount).join();
      return `${metadata.name} ${metadata.uid} ${restarts}`;
    })
    .sort();
}

interface Inside {
  /** By the id of the process, as the controllers hear it. */
  readonly versions: ReadonlyMap<string, string>;
  /** Head of each journal, by the name of the journal. */
  readonly heads: ReadonlyMap<string, string>;
}

async function statusOf(subject: Subject): Promise<Inside> {
  const status = record(JSON.parse(await subject.operatorTool(['status', '--json'])));
  const list = (value: unknown) => (Array.isArray(value) ? value.map(record) : []);
  return {
    versions: new Map(list(status.processes).map((one) => [String(one.id), String(one.version)])),
    heads: new Map(
      list(status.journals).map(({ name, members }) => [
        String(name),
        String(list(members)[0]?.id),
      ]),
    ),
  };
}

/** Makes it the head of every journal, once it is well enough. */
async function leads(subject: Subject, id: string): Promise<void> {
  await until(`${id} heads every journal`, CHANGE_MILLIS_MAX, async () => {
    const others = [...(await statusOf(subject)).heads].filter(([, head]) => head !== id);
    for (const [name] of others) await subject.operatorTool(['admin', 'move-head', name, id]);
    return others.length === 0 ? true : undefined;
  });
}
