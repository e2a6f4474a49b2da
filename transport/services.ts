// What every server of the public API has besides: the standard health service and reflection.

import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath as healthProto } from 'grpc-health-check';

/** The metadata key in which a caller says which version of the API it speaks. */
export const PROTOCOL_KEY = 'journal-protocol';
/** Version of the public and internal API; a caller that names another one gets INCOMPATIBLE. */
export const PROTOCOL_VERSION = '1';

/** Services that health answers for; the empty name is the server as a whole. */
export const PUBLIC_SERVICES = ['journal.v1.Journal', 'journal.v1.Cluster'] as const;

/** What the health service of all servers of one network says. */
export class ServiceHealth {
  readonly #implementation = new HealthImplementation();

  constructor() {
    this.set(true);
  }

  /** Whether the process takes work: load balancers and probes ask for this. */
  set(serving: boolean): void {
    for (const name of ['', ...PUBLIC_SERVICES]) {
      this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    }
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }
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
