// PodDisruptionBudgets: a drain takes one replica and one controller at a time.
//
// Pods that are not ready may always be evicted: a budget must not hold a drain for ever because of
// a pod that is broken anyway. One that is ready may still be copying its log: meanwhile the others
// are all that there is, and `maxUnavailable` is 0 where none of them can be spared.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { type Component, groupName, made, selectorFor } from './common.ts';

export function budget(
  settled: Settled,
  component: Component,
  maxUnavailable: 0 | 1 = 1,
): KubeObject {
  const name = groupName(settled.name, component);
  const spec = {
    maxUnavailable,
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: { matchLabels: selectorFor(settled.name, component) },
  };
  return made(settled, 'PodDisruptionBudget', name, { spec });
}
