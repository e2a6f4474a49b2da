// The ServiceAccount of the data pods: it has no rights, and its token is never mounted.

import type { Settled } from '../journal/settle.ts';
import type { KubeObject } from '../kube/api.ts';
import { made, namesOf } from './common.ts';

export const account = (settled: Settled): KubeObject =>
  made(settled, 'ServiceAccount', namesOf(settled.name).account, {
    automountServiceAccountToken: false,
  });
