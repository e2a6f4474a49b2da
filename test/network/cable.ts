// A cable to an address that can be cut, or made to carry nothing without a word to either end.

import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';

export async function cableTo(address: string) {
  const port = Number(address.split(':')[1]);
  const sockets: Socket[] = [];
  const server: Server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    sockets.push(near, far);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  assert.ok(typeof bound === 'object' && bound !== null);
  return {
    address: `127.0.0.1:${bound.port}`,
    silence: () => {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
