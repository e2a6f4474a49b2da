// What a user does first: install, apply ten lines, wait, and append from a pod of their own.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../lab/commands.ts';
import { PROJECT_IMAGE } from '../lab/images.ts';
import type { Lab } from '../lab/lab.ts';
import { makeNamespace, podsOf, whole } from './cluster.ts';

const root = join(import.meta.dirname, '..', '..', '..');
/** Thirty seconds where the machine does nothing else; others may be at work on this one. */
const READY_MILLIS_MAX = 120_000;
const POD_MILLIS_MAX = 60_000;

/** The hand tool, inside the project's image. */
const TOOL = ['node', '/app/cli/main.ts'] as const;

export const NAMESPACE = 'shop';
export const CLUSTER = 'orders';

/** Whose Secret the pod has: that of clients, or the operator's, which may give orders. */
export type Role = 'client' | 'operator';

export interface User {
  readonly namespace: string;
  readonly cluster: string;
  readonly role: Role;
}

export const podName = (cluster: string, role: Role): string => `${role}-of-${cluster}`;

/** A pod with the tool and the client Secret of a cluster, which does nothing by itself. */
const userPod = (namespace: string, cluster: string, role: Role): unknown => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: podName(cluster, role), namespace },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65_532,
      fsGroup: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'user',
        image: PROJECT_IMAGE,
        imagePullPolicy: 'Never',
        command: ['node', '-e', 'setInterval(() => {}, 1e9)'],
        env: [
          { name: 'JOURNAL_ENDPOINTS', value: `${cluster}.${namespace}.svc:7400` },
          { name: 'JOURNAL_TLS_CA', value: '/tls/ca.crt' },
          { name: 'JOURNAL_TLS_CERT', value: '/tls/tls.crt' },
          { name: 'JOURNAL_TLS_KEY', value: '/tls/tls.key' },
        ],
        volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
    volumes: [{ name: 'tls', secret: { secretName: `${cluster}-${role}`, defaultMode: 0o440 } }],
  },
});

/** Runs the hand tool in a pod that stays, and that is made where there is none. */
export async function runTool(
  lab: Lab,
  { namespace, cluster, role }: User,
  args: readonly string[],
  input = '',
): Promise<string> {
  await startUser(lab, namespace, cluster, role);
  const exec = ['--namespace', namespace, 'exec', '--stdin', podName(cluster, role), '--'];
  return await lab.kubectl([...exec, ...TOOL, ...args, '--timeout', '60s'], { input });
}

async function startUser(lab: Lab, namespace: string, cluster: string, role: Role): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods/${podName(cluster, role)}`;
  if ((await lab.api.get(path))?.status?.phase === 'Running') return;
  await lab.apply(userPod(namespace, cluster, role));
  await until('the pod of the user runs', POD_MILLIS_MAX, async () =>
    (await lab.api.get(path))?.status?.phase === 'Running' ? true : undefined,
  );
}

export function userCases(theLab: () => Lab): void {
  /** The tool, in the user's pod. */
  const user = { namespace: NAMESPACE, cluster: CLUSTER, role: 'client' } as const;
  const journal = (args: readonly string[], input = ''): Promise<string> =>
    runTool(theLab(), user, args, input);

  test('the smallest example becomes Ready', async (context) => {
    const lab = theLab();
    await makeNamespace(lab, NAMESPACE);
    const example = readFileSync(join(root, 'examples', 'minimal.yaml'), 'utf8');
    const policy = '  imagePullPolicy: Never\n';
    await lab.kubectl(['--namespace', NAMESPACE, 'apply', '-f', '-'], {
      input: example.replace(/^spec:\n/m, (line) => line + policy),
    });
    const { cluster, millis } = await whole(lab, NAMESPACE, CLUSTER);
    context.diagnostic(`Ready and whole ${Math.round(millis / 1_000)} s after apply`);
    assert.equal(cluster.status?.memberSummary, '3/3');
    for (const component of ['replica', 'controller'] as const) {
      const pods = await podsOf(lab, NAMESPACE, CLUSTER, component);
      const nodes = pods.map(({ spec }) => spec?.nodeName);
      assert.equal(new Set(nodes).size, 3, `a ${component} on each node: ${nodes}`);
    }
    assert.ok(millis < READY_MILLIS_MAX, `it took ${millis} ms`);
  });

  test('`kubectl get` shows what there is', async () => {
    const table = await theLab().kubectl(['--namespace', NAMESPACE, 'get', 'journalclusters']);
    assert.match(table, /^NAME\s+READY\s+MODE\s+JOURNALS\s+MEMBERS\s+AGE\n/);
    assert.match(table, /^orders\s+True\s+chain\s+0\s+3\/3\s/m);
  });

  test('a pod of the user appends and reads with the client Secret', async () => {
    await journal(['create', 'first']);
    const acknowledged = await journal(['append', 'first'], 'one\ntwo\nthree\n');
    assert.match(acknowledged, /^1\t\S+\n2\t\S+\n3\t\S+\n$/);
    assert.equal(await journal(['read', 'first', '--raw']), 'one\ntwo\nthree\n');
    assert.equal((await journal(['tail', 'first'])).trim(), '3');
  });

  test('a client without a certificate is refused', async () => {
    const script = `JOURNAL_TLS_CERT= JOURNAL_TLS_KEY= exec ${TOOL.join(' ')} tail first`;
    const exec = [
      '--namespace',
      NAMESPACE,
      'exec',
      podName(CLUSTER, 'client'),
      '--',
      'sh',
      '-c',
      script,
    ];
    const { code, stdout } = await theLab().tryKubectl(exec);
    assert.notEqual(code, 0);
    assert.equal(stdout, '');
  });
}
