// Ports of this machine that nobody listens at, for clusters of real processes.
//
// Test files run side by side, and a process that is down between two steps of its test listens at
// nothing: what one file was given, no other is given for as long as it runs. Ten ports in a row
// are one socket in the abstract name space, which ends with its process.

import { createServer } from 'node:net';

const BLOCK = 10;

/** The first of `count` ports in a row that nobody listens at. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    // Below the ports that the system gives to outgoing connections.
    const first = 12_000 + Math.floor(Math.random() * 2_000) * BLOCK;
    const all = Array.from({ length: count }, (_, at) => first + at);
    const blocks = all.filter((port) => port % BLOCK === 0);
    if (!(await every(blocks, isClaimed))) continue;
    if (await every(all, isFree)) return first;
  }
  throw new Error(`no ${count} free ports in a row were found`);
}

const every = async <T>(items: readonly T[], test: (item: T) => Promise<boolean>) =>
  (await Promise.all(items.map(test))).every((passed) => passed);

/** Claimed by this process from now on; false where it was before, by whomever. */
function isClaimed(block: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    // Systems without such sockets claim nothing.
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'));
    server.listen({ path: `\0journal-test-ports-${block}` }, () => {
      server.unref();
      resolve(true);
    });
  });
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
