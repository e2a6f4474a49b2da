// The lab itself: that it is what the other cases take it for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempt, until } from '../lab/commands.ts';
import { PAUSE_IMAGE } from '../lab/images.ts';
import { isReady, type Lab } from '../lab/lab.ts';
import { nodeAddress } from '../lab/network.ts';

const READY_MILLIS_MAX = 60_000;
const KUBELET_PORT = 10_250;
const PODS = '/api/v1/namespaces/lab-itself/pods';

const zonal = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'zonal', namespace: 'lab-itself' },
  spec: {
    serviceName: 'zonal',
    replicas: 3,
    podManagementPolicy: 'Parallel',
    selector: { matchLabels: { app: 'zonal' } },
    template: {
      metadata: { labels: { app: 'zonal' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'topology.kubernetes.io/zone',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: { app: 'zonal' } },
          },
        ],
        containers: [
          {
            name: 'pause',
            image: PAUSE_IMAGE,
            imagePullPolicy: 'Never',
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ],
      },
    },
    volumeClaimTemplates: [
      {
        metadata: { name: 'data' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    ],
  },
} as const;

export function labCases(theLab: () => Lab): void {
  test('pods of a StatefulSet are spread over zones, each on a volume of its zone', async () => {
    const lab = theLab();
    await lab.kubectl(['create', 'namespace', 'lab-itself']);
    await lab.apply(zonal);
    const pods = await until('three pods are ready', READY_MILLIS_MAX, async () => {
      const found = await lab.api.list(PODS);
      return found.filter(isReady).length === 3 ? found : undefined;
    });
    const nodes = pods.map(({ spec }) => String(spec?.nodeName)).sort();
    assert.deepEqual(nodes, ['node-a', 'node-b', 'node-c']);
    for (const { metadata, spec } of pods) {
      const claim = `/api/v1/namespaces/lab-itself/persistentvolumeclaims/data-${metadata.name}`;
      const volume = String((await lab.api.get(claim))?.spec?.volumeName);
      assert.equal(`node-${volume.split('-')[0]}`, spec?.nodeName);
    }
  });

  test('a zone is cut, one way and both ways, and healed', async () => {
    const lab = theLab();
    const reaches = async (from: string, to: string): Promise<boolean> => {
      const target = `/dev/tcp/${nodeAddress(to)}/${KUBELET_PORT}`;
      const dial = ['timeout', '1', 'bash', '-c', `: < ${target}`];
      return (await attempt(lab.network.inside(dial, from))).code === 0;
    };
    assert.ok(await reaches('a', 'b'), 'a reaches b before the cut');
    await lab.network.cut('b');
    assert.ok(!(await reaches('a', 'b')), 'a does not reach b');
    assert.ok(!(await reaches('b', 'a')), 'b does not reach a');
    assert.ok(await reaches('a', 'c'), 'a reaches c');
    await lab.network.heal('b');
    assert.ok(await reaches('b', 'a'), 'b reaches a again');
    await lab.network.cutOneWay('a', 'b');
    assert.ok(!(await reaches('a', 'b')), 'nothing goes from a to b');
    assert.ok(await reaches('a', 'c'), 'a reaches c all the same');
    await lab.network.heal('a');
    assert.ok(await reaches('a', 'b'), 'a reaches b again');
  });

  test('with the API server away a killed container is started again', async () => {
    const lab = theLab();
    await lab.controlPlane.stopApi();
    assert.notEqual((await lab.tryKubectl(['get', 'nodes', '--request-timeout=2s'])).code, 0);
    const node = lab.node('a');
    const running = async (): Promise<string[]> =>
      (await node.ctr('tasks', 'list', '--quiet')).split('\n').filter((id) => id !== '');
    const before = await running();
    const ours = await containerOf(lab);
    await node.ctr('tasks', 'kill', '--signal', 'SIGKILL', ours);
    await until('another container runs instead', READY_MILLIS_MAX, async () => {
      const now = await running();
      return !now.includes(ours) && now.length === before.length ? true : undefined;
    });
    await lab.controlPlane.startApi();
    await lab.ready();
    await until('all three pods are ready again', READY_MILLIS_MAX, async () => {
      const found = await lab.api.list(PODS);
      return found.filter(isReady).length === 3 ? true : undefined;
    });
    await lab.kubectl(['delete', 'namespace', 'lab-itself', '--wait=false']);
  });
}

/** The container of the pod on node a, which is no sandbox. */
async function containerOf(lab: Lab): Promise<string> {
  const filter = 'labels."io.kubernetes.container.name"==pause';
  const [id = ''] = (await lab.node('a').ctr('containers', 'list', '--quiet', filter)).split('\n');
  assert.notEqual(id, '', 'node a has a container of the StatefulSet');
  return id;
}
