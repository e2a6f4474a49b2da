// The ports of a cluster that is about to run: refused where somebody has them, or is about to.
//
// A port shows that it is taken only once a process listens at it, some hundred milliseconds after
// `dev` asked. Of two that ask at once each would find all free, and whoever loses would take the
// cluster of the other for its own: so what will be listened at is claimed first, for as long as
// this process lives, by sockets in the abstract name space of Linux, which nobody has to remove.

import { createServer, type ListenOptions } from 'node:net';
import { UsageError } from '../output.ts';
import type { DevPlan, DevRecord } from './plan.ts';

/** @throws UsageError which port it is, and what can be done */
export async function claimPorts(plan: DevPlan, record: DevRecord, data: string): Promise<void> {
  const range = `${plan.ports[0]?.port} to ${plan.ports.at(-1)?.port}`;
  for (const { port, host } of plan.ports) {
    const trouble = (await claim(port, host)) || (await troubleAt(port, host));
    if (trouble === '') continue;
    if (trouble !== 'EADDRINUSE' && trouble !== 'EACCES') {
      throw new UsageError(
        `--host is ${host}, allowed is an address or a name of this machine: ${trouble}`,
      );
    }
    // Where controllers are is in their registers: a cluster that was made cannot be moved.
    const advice = record.formatted
      ? `${data} was made with ports ${range}; another cluster takes another --data and --port`
      : `or choose another first port with --port (this cluster takes ${range})`;
    throw new UsageError(`port ${port} on ${host} is in use: stop what listens there, ${advice}`);
  }
}

/** EADDRINUSE where another `dev` has claimed it. Systems without such sockets claim nothing. */
async function claim(port: number, host: string): Promise<string> {
  const { trouble } = await listening({ path: `\0journal-dev-${host}-${port}` });
  return trouble === 'EADDRINUSE' ? trouble : '';
}

/** Why nobody can listen there; '' where one can. */
async function troubleAt(port: number, host: string): Promise<string> {
  const { trouble, close } = await listening({ port, host, exclusive: true });
  await close();
  return trouble;
}

interface Listening {
  /** Code of the error; '' where it listens. */
  readonly trouble: string;
  close(): Promise<void>;
}

function listening(where: ListenOptions): Promise<Listening> {
  return new Promise((resolve) => {
    const server = createServer((connection) => connection.destroy());
    const close = (): Promise<void> => new Promise((done) => server.close(() => done()));
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve({ trouble: error.code ?? error.message, close: async () => {} });
    });
    server.listen(where, () => {
      server.unref();
      resolve({ trouble: '', close });
    });
  });
}
