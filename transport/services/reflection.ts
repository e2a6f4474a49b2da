// Reflection: lets tools ask which services and messages there are.

import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { protoPath as healthProto } from 'grpc-health-check';

let described: PackageDefinition | undefined;

export function addReflection(server: Server): void {
  described ??= {
    ...loadSync(fileURLToPath(new URL('../journal.proto', import.meta.url)), { keepCase: true }),
    ...loadSync(healthProto, { keepCase: true }),
  };
  new ReflectionService(described).addToServer(server);
}
