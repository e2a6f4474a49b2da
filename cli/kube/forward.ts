// Port-forwards of the plugin's own: a local port for each port of a pod, through the API server.

import { createServer, type Server, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { type KubeConfig, PortForward } from '@kubernetes/client-node';
import type { Method, Network } from '../../io/network.ts';

const HOST = '127.0.0.1';

export class Forwards {
  readonly #forward: PortForward;
  readonly #namespace: string;
  readonly #servers = new Set<Server>();
  readonly #sockets = new Set<Socket>();

  constructor(config: KubeConfig, namespace: string) {
    this.#forward = new PortForward(config);
    this.#namespace = namespace;
  }

  /** The local `host:port` that leads to a port of a pod; each connection is one of its own. */
  async open(pod: string, port: number): Promise<string> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      // Who dialled sees a connection that broke, and why is in what it then says.
      socket.on('error', () => socket.destroy());
      void this.#carry(socket, pod, port);
    });
    this.#servers.add(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, HOST, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no local port is free');
    return `${HOST}:${address.port}`;
  }

  async #carry(socket: Socket, pod: string, port: number): Promise<void> {
    // The first message only opens the channel; what the kubelet then says is that the port cannot
    // be reached.
    const refused = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        if (piece.length > 0) socket.destroy();
        done();
      },
    });
    try {
      const tunnel = await this.#forward.portForward(
        this.#namespace,
        pod,
        [port],
        socket,
        refused,
        socket,
      );
      const web = typeof tunnel === 'function' ? tunnel() : tunnel;
      if (web === null) throw new Error('the tunnel was not opened');
      web.onclose = () => socket.destroy();
      web.onerror = () => socket.destroy();
      socket.once('close', () => web.close());
    } catch {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      [...this.#servers].map((server) => new Promise((resolve) => server.close(resolve))),
    );
  }
}

/** A network whose addresses are led elsewhere: clients learn addresses that only pods can dial. */
export function ledThrough(network: Network, lead: (address: string) => string): Network {
  return {
    call: (address, method, request, options) =>
      network.call(lead(address), method, request, options),
    stream: <Q, A>(
      address: string,
      method: Method<Q, A, 'serverStream'>,
      request: Q,
      options: Parameters<Network['stream']>[3],
    ) => network.stream(lead(address), method, request, options),
    duplex: (address, method, options) => network.duplex(lead(address), method, options),
    serve: (address, handlers) => network.serve(address, handlers),
    forget: (address) => network.forget(lead(address)),
    close: () => network.close(),
  };
}
