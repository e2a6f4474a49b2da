// Zones that come and go while a cluster is in use: one that is added takes its share, and one that
// has no nodes is told, holds up nothing else, and is undone by the spec alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isObject, textAt } from '../../../operator/kube/fields.ts';
import { until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { CHANGE_MILLIS_MAX, refusedAppends, Subject } from './subject.ts';

const NAMESPACE = 'zones';
const TIMEOUT = { timeout: 900_000 };

/** `replica-1 a`, in the order of the status. */
async function placesOf(subject: Subject, kind: 'replicas' | 'controllers'): Promise<string[]> {
  const listed = (await subject.found()).status?.[kind];
  const all = Array.isArray(listed) ? listed.filter(isObject) : [];
  return all.map((one) => `${textAt(one, 'id')} ${textAt(one, 'zone')}`);
}

async function spreadOver(subject: Subject, zones: string): Promise<void> {
  await until(`both kinds are in ${zones}`, CHANGE_MILLIS_MAX, async () => {
    const kinds = ['replicas', 'controllers'] as const;
    const found = await Promise.all(
      kinds.map(async (kind) => {
        const places = await placesOf(subject, kind);
        return places.map((place) => place.split(' ')[1]).sort();
      }),
    );
    return found.every((places) => places.join('') === zones) ? true : undefined;
  });
}

export function zoneCases(theLab: () => Lab): void {
  test(
    'a zone that is added takes its share, and one without nodes is taken back',
    TIMEOUT,
    async (context) => {
      const subject = new Subject(theLab(), NAMESPACE, 'spread');
      const volumes = { storage: { size: '256Mi' }, deletionPolicy: 'Delete' };
      await subject.make({ zones: ['a', 'b'], members: 3, ...volumes });
      await subject.wholeWith(3);
      const seen = await subject.underLoad('spread', async () => {
        await subject.change({ zones: ['a', 'b', 'c'] });
        await spreadOver(subject, 'abc');
        await subject.wholeWith(3);
        await subject.says('ZoneSpread', 'True', /Spread/);

        const before = await placesOf(subject, 'replicas');
        await subject.change({ zones: ['a', 'b', 'nowhere'], journals: [{ name: 'meanwhile' }] });
        const why = /^PodNotRunning: replica-\d+ stays until replica-\d+ is there: .*take back/;
        context.diagnostic(await subject.says('Stalled', 'True', why));
        await until('the journal is made', CHANGE_MILLIS_MAX, async () =>
          /meanwhile/.test(await subject.tool(['list'])) ? true : undefined,
        );
        await subject.change({ zones: ['a', 'b', 'c'] });
        await subject.wholeWith(3);
        assert.deepEqual(await placesOf(subject, 'replicas'), before);
      });
      context.diagnostic(`longest pause ${Math.round(seen.gapMillis)} ms`);
      assert.deepEqual(refusedAppends(seen.history), []);
      await subject.remove();
    },
  );
}
