// What every server of the public API has besides: the standard health service and reflection.

import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Health } from './health.ts';

/** Services that health answers for; the empty name is the server as a whole. */
const SERVICES = ['', 'journal.v1.Journal', 'journal.v1.Cluster'];

/** `onFailed` hears why there is no reflection. */
export function addServices(
  server: Server,
  health: Health,
  onFailed: (error: unknown) => void,
): void {
  const implementation = new HealthImplementation();
  let described = false;
  health.follow((serving) => {
    const status = serving ? 'SERVING' : 'NOT_SERVING';
    for (const name of SERVICES) implementation.setStatus(name, status);
    if (!serving || described) return;
    described = true;
    // Describing takes a tenth of a process's start: it waits until the process takes work.
    void import('./reflection.ts')
      .then(({ addReflection }) => addReflection(server))
      .catch(onFailed);
  });
  implementation.addToServer(server);
}
