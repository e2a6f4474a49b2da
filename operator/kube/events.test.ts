// How often an event is said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../io/logger.ts';
import { nodeRandom } from '../../io/node.ts';
import { handClock } from '../../test/hand-clock.ts';
import { MemoryKube } from '../../test/kube-api.ts';
import type { KubeObject } from './api.ts';
import { Events, type EventText } from './events.ts';

const SECOND = 1_000_000;

function begin() {
  const api = new MemoryKube();
  const { clock, forward } = handClock();
  const events = new Events({ api, clock, random: nodeRandom('events') }, silent, 'test');
  const about = (name: string): KubeObject => ({
    apiVersion: 'journal.dev/v1alpha1',
    kind: 'JournalCluster',
    metadata: { name, namespace: 'n', uid: `uid-${name}` },
  });
  const say = (type: EventText['type'], note: string, more: object = {}): void => {
    const { name = 'orders', reason = 'Refused' }: { name?: string; reason?: string } = more;
    events.say(about(name), { type, reason, note });
  };
  const said = async (): Promise<readonly unknown[]> => {
    await new Promise((resolve) => setImmediate(resolve));
    return [...api.objects.values()].map(({ note }) => note);
  };
  return { say, said, forward };
}

test('the same is said once in ten minutes', async () => {
  const { say, said, forward } = begin();
  for (const type of ['Normal', 'Warning'] as const) say(type, type);
  forward(590 * SECOND);
  for (const type of ['Normal', 'Warning'] as const) say(type, type);
  assert.deepEqual(await said(), ['Normal', 'Warning']);
  forward(11 * SECOND);
  for (const type of ['Normal', 'Warning'] as const) say(type, type);
  assert.deepEqual(await said(), ['Normal', 'Warning', 'Normal', 'Warning']);
});

test('of warnings that vary one is said at once, and the last after ten seconds', async () => {
  const { say, said, forward } = begin();
  for (const number of [1, 2, 3]) say('Warning', `uid ${number}`);
  assert.deepEqual(await said(), ['uid 1']);
  forward(9 * SECOND);
  assert.deepEqual(await said(), ['uid 1']);
  forward(SECOND);
  assert.deepEqual(await said(), ['uid 1', 'uid 3']);
  say('Warning', 'uid 4');
  forward(9 * SECOND);
  assert.deepEqual(await said(), ['uid 1', 'uid 3']);
  forward(SECOND);
  assert.deepEqual(await said(), ['uid 1', 'uid 3', 'uid 4']);
  forward(60 * SECOND);
  say('Warning', 'uid 5');
  assert.equal((await said()).at(-1), 'uid 5');
});

test('a warning holds back none of another reason or object, and nothing normal', async () => {
  const { say, said } = begin();
  say('Warning', 'one');
  say('Warning', 'two', { reason: 'Stalled' });
  say('Warning', 'three', { name: 'audit' });
  for (const note of ['four', 'five']) say('Normal', note);
  assert.deepEqual(await said(), ['one', 'two', 'three', 'four', 'five']);
});

test('a note has at most as many bytes as the API server takes, and whole characters', async () => {
  const { say, said } = begin();
  say('Normal', 'a'.repeat(2_000));
  // Three bytes each, and four: what a policy says in the words of its people.
  say('Normal', '\u7b56'.repeat(400));
  say('Normal', `a${'\u{1f6d1}'.repeat(300)}`);
  const wanted = ['a'.repeat(1_024), '\u7b56'.repeat(341), `a${'\u{1f6d1}'.repeat(255)}`];
  assert.deepEqual(await said(), wanted);
});
