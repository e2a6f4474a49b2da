// `journal console`: the page of the cluster, served from this machine with this user's own rights.

import { type Command, Option } from 'commander';
import type { Client } from '../../client/index.ts';
import { nodeClock } from '../../io/node.ts';
import { Console } from '../../replica/console/console.ts';
import { consolePages } from '../../replica/console/serve.ts';
import type { ConsoleSource } from '../../replica/console/source.ts';
import { type ConnectionFlags, connected, withClient } from '../connection.ts';
import { command, wholeNumber } from '../options.ts';
import { Interrupted } from '../output.ts';

const HOST = '127.0.0.1';
const PATIENCE = { headersTimeout: 5_000, requestTimeout: 5_000 };

export const portOption = (): Option =>
  new Option('--port <port>', 'of this machine')
    .argParser(wholeNumber(0, 65_535))
    .default(0, 'any free one');

interface ConsoleFlags extends ConnectionFlags {
  readonly port: number;
}

export function consoleCommand(): Command {
  const made = command(
    'console',
    'Serves a page that shows the cluster and its records, from this machine, until ^C.',
    'journal console --port 8080',
  );
  return connected(made)
    .addOption(portOption())
    .action((flags: ConsoleFlags) =>
      withClient(flags, ({ client, signal }) =>
        servePage(client, { port: flags.port, signal, json: flags.json ?? false }),
      ),
    );
}

/** Prints where the page is, and serves it until the signal aborts. */
export async function servePage(
  client: Client,
  options: { readonly port: number; readonly signal: AbortSignal; readonly json: boolean },
): Promise<void> {
  const { port, signal, json } = options;
  // Loaded only here: with it comes a web client, 70 ms of a core for every other command.
  const { createServer } = await import('node:http');
  const pages = consolePages(new Console(nodeClock, sourceOf(client)));
  const server = createServer(PATIENCE, (request, response) => {
    const known = ['GET', 'HEAD'].includes(request.method ?? '')
      ? pages.answer(request, response)
      : Promise.resolve(false);
    known.then(
      (answered) => {
        if (!answered) response.writeHead(404).end();
      },
      () => response.destroy(),
    );
  });
  server.maxConnections = 100;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, resolve);
  });
  const address = server.address();
  const at = typeof address === 'object' && address !== null ? address.port : port;
  const url = `http://${HOST}:${at}/console`;
  process.stdout.write(json ? `${JSON.stringify({ console: url })}\n` : `console ${url}\n`);
  try {
    await new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } catch (error) {
    // ^C is how it ends.
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

function sourceOf(client: Client): ConsoleSource {
  return {
    servedBy: 'journal console',
    recordsHidden: '',
    recordsLocalOnly: true,
    status: (signal) => client.status({ signal, timeoutMillis: 3_000 }),
    read: ({ journal, from, limit, bytesMax }, signal) =>
      client.journal(journal).read({ from, limit, bytesMax, signal }),
  };
}
