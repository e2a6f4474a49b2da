// PodDisruptionBudgets: a drain takes one replica and one controller at a time.
//
// Pods that are not ready may always be evicted: a budget must not hold a drain for ever because of
// a pod that is broken anyway.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { type Component, made, namesOf, selectorFor } from './common.ts';

export function budget(settled: Settled, component: Component): KubeObject {
  const names = namesOf(settled.name);
  const name = component === 'replica' ? names.replicas : names.controllers;
  const spec = {
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: { matchLabels: selectorFor(settled.name, component) },
  };
  return made(settled, 'PodDisruptionBudget', name, { spec });
}
