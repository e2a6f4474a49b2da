// What every server of the public API has besides: the standard health service and reflection.

import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath as healthProto } from 'grpc-health-check';
import type { Health } from './health.ts';

/** Services that health answers for; the empty name is the server as a whole. */
const SERVICES = ['', 'journal.v1.Journal', 'journal.v1.Cluster'];

export function addHealth(server: Server, health: Health): void {
  const implementation = new HealthImplementation();
  health.follow((serving) => {
    const status = serving ? 'SERVING' : 'NOT_SERVING';
    for (const name of SERVICES) implementation.setStatus(name, status);
  });
  implementation.addToServer(server);
}

let described: PackageDefinition | undefined;

/** Lets tools ask which services and messages there are. */
export function addReflection(server: Server): void {
  described ??= {
    ...loadSync(fileURLToPath(new URL('journal.proto', import.meta.url)), { keepCase: true }),
    ...loadSync(healthProto, { keepCase: true }),
  };
  new ReflectionService(described).addToServer(server);
}
