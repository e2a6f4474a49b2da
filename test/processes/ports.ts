// Ports of this machine that nobody listens at, for clusters of real processes.

import { createServer } from 'node:net';

/** Given out before by this process: nobody may listen there yet. */
const taken = new Set<number>();

/** The first of `count` ports in a row that nobody listens at. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    // Below the ports that the system gives to outgoing connections.
    const first = 12_000 + Math.floor(Math.random() * 2_000) * 10;
    const all = Array.from({ length: count }, (_, at) => first + at);
    if (all.some((port) => taken.has(port))) continue;
    const free = await Promise.all(all.map(isFree));
    if (!free.every((one) => one)) continue;
    for (const port of all) taken.add(port);
    return first;
  }
  throw new Error(`no ${count} free ports in a row were found`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}
