// The PodMonitor by which the Prometheus operator finds the pods of a cluster.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { CLUSTER_LABEL, COMPONENT_LABEL, MEMBER_LABEL, made, ZONE_LABEL } from './common.ts';

/** `labels` are those by which a Prometheus selects what it reads. */
export function podMonitor(settled: Settled, labels: Readonly<Record<string, string>>): KubeObject {
  const spec = {
    selector: {
      matchLabels: { [CLUSTER_LABEL]: settled.name },
      matchExpressions: [
        { key: COMPONENT_LABEL, operator: 'In', values: ['replica', 'controller'] },
      ],
    },
    podTargetLabels: [CLUSTER_LABEL, COMPONENT_LABEL, MEMBER_LABEL, ZONE_LABEL],
    podMetricsEndpoints: [{ port: 'probes', path: '/metrics' }],
  };
  return made(settled, 'PodMonitor', settled.name, { spec }, { labels });
}
