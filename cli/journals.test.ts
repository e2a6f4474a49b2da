// Flags of `create` that contradict each other are refused, and questions take every kind of end.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { settingsOf, typed } from './journals.ts';
import { Interrupted } from './output.ts';

test('copies that are needed are held against those that are asked for', () => {
  const refused = { replicas: 2, minReplicas: 3 };
  assert.throws(() => settingsOf(refused), /--min-replicas is 3, allowed is at most --replicas/);
  assert.throws(() => settingsOf({ replicas: 1 }), /left out, which is 2, allowed is at most/);
  assert.throws(() => settingsOf({ minReplicas: 2, allowSolo: true }), /--allow-solo is given/);
  const solo = { replicationFactor: 1, minReplicas: 1 };
  assert.deepEqual(settingsOf({ replicas: 1, allowSolo: true }), solo);
});

test('where the copies are left to the cluster, it judges how many of them are needed', () => {
  assert.deepEqual(settingsOf({ minReplicas: 4 }), { minReplicas: 4 });
  assert.deepEqual(settingsOf({}), {});
});

test('a question is answered by a line, by the end of the input, or by ^C', async () => {
  const asking = (keys: string): Promise<string> => {
    const input = new PassThrough();
    const answer = typed('Delete? ', input, new PassThrough());
    input.write(keys);
    return answer;
  };
  assert.equal(await asking('yes\r'), 'yes');
  assert.equal(await asking('\u0004'), '');
  await assert.rejects(asking('\u0003'), Interrupted);
});
