// All checkers, in the order in which a run is judged: the first that complains names the failure.

import { conditions } from './conditions.ts';
import { cursors } from './cursors.ts';
import { durability } from './durability.ts';
import type { Checker } from './history.ts';
import { idempotence } from './idempotence.ts';
import { leases } from './leases.ts';
import { linear } from './linear.ts';
import { order } from './order.ts';
import { subscriptions } from './subscriptions.ts';
import { timestamps } from './timestamps.ts';
import { trims } from './trims.ts';

export const checkers: readonly Checker[] = [
  order,
  durability,
  cursors,
  trims,
  idempotence,
  conditions,
  subscriptions,
  leases,
  timestamps,
  linear,
];
