// Three clusters that run beside many that sleep: what they cost an operator, and that a steady
// state writes nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pause, until } from '../lab/commands.ts';
import type { Lab } from '../lab/lab.ts';
import { OPERATOR_NAMESPACE, operatorPods } from '../lab/operator.ts';
import { journalCluster, makeNamespace } from './cluster.ts';
import { small } from './stalls.ts';
import { Subject } from './subject.ts';

const NAMESPACE = 'many';
const SLEEPING = 97;
const RUNNING = 3;
const SETTLE_MILLIS_MAX = 900_000;
/** Several of the operator's looks at each cluster that runs. */
const WATCHED_MILLIS = 60_000;
const MEMORY_BYTES_MAX = 400 * 2 ** 20;

interface Cost {
  readonly memoryBytes: number;
  readonly reads: number;
  readonly writes: number;
}

/** Of all processes of the operator together. */
async function costOf(lab: Lab): Promise<Cost> {
  const pods = await operatorPods(lab);
  const texts = await Promise.all(
    pods.map(({ metadata }) =>
      lab.kubectl([
        'get',
        '--raw',
        `/api/v1/namespaces/${OPERATOR_NAMESPACE}/pods/${metadata.name}:7480/proxy/metrics`,
      ]),
    ),
  );
  const sum = (line: RegExp): number =>
    texts.reduce(
      (all, text) => [...text.matchAll(line)].reduce((now, [, one]) => now + Number(one), all),
      0,
    );
  return {
    memoryBytes: sum(/^process_resident_memory_bytes (\S+)$/gm),
    reads: sum(/^journal_operator_api_requests_total\{method="GET"[^}]*\} (\S+)$/gm),
    writes: sum(
      /^journal_operator_api_requests_total\{method="(?:POST|PATCH|PUT|DELETE)",what="object"\} (\S+)$/gm,
    ),
  };
}

export function manyCases(theLab: () => Lab): void {
  test('3 clusters run and 97 sleep: the steady state writes nothing', {
    timeout: 1_500_000,
  }, async (context) => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    const sleeping = Array.from({ length: SLEEPING }, (_, at) =>
      journalCluster(NAMESPACE, `sleeping-${at}`, { ...small, hibernate: true }),
    );
    await lab.apply(...sleeping);
    const running = Array.from({ length: RUNNING }, (_, at) => {
      return new Subject(lab, NAMESPACE, `running-${at}`);
    });
    for (const subject of running) await subject.make(small);
    for (const subject of running) await subject.wholeWith(1);
    await until('all others sleep', SETTLE_MILLIS_MAX, async () => {
      const path = `/apis/journal.dev/v1alpha1/namespaces/${NAMESPACE}/journalclusters`;
      const found = await lab.api.list(path);
      const asleep = found.filter(({ status }) => status?.mode === 'hibernated').length;
      return asleep === SLEEPING ? true : undefined;
    });
    // What was written last has come back by then.
    await pause(15_000);
    const before = await costOf(lab);
    await pause(WATCHED_MILLIS);
    const after = await costOf(lab);
    const reads = after.reads - before.reads;
    const mebibytes = Math.round(after.memoryBytes / 2 ** 20);
    context.diagnostic(`${mebibytes} MiB in two processes, ${reads} reads in a minute`);
    assert.equal(after.writes - before.writes, 0, 'the steady state wrote');
    assert.ok(after.memoryBytes < 2 * MEMORY_BYTES_MAX, `${mebibytes} MiB`);
    await lab.kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']);
  });
}
