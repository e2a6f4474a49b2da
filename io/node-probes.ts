// The HTTP port of a process that Kubernetes and Prometheus ask: /livez, /readyz, /metrics, and
// what else the process has to show. The simulator has none.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Logger } from './logger.ts';

// An import would ask the module for every name that it exports, WebSocket among them, which loads
// a web client: 70 ms of a core at each start.
const { createServer } = process.getBuiltinModule('node:http');

export interface ProbeSource {
  /** Why this process is of no use and should be started again; empty while it is. */
  dead(): string;
  /** Why it should get no traffic now; empty while it may. */
  unready(): string;
  /** The metrics as text, with their content type. */
  metrics(): Promise<{ readonly type: string; readonly text: string }>;
  /** What else is answered to GET and HEAD; nothing where it is left out. */
  readonly pages?: Pages;
}

/** Answers what is below `/name`; false where there is nothing at the path. */
export interface Pages {
  readonly path: string;
  answer(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

export interface Probes {
  /** `host:port` as it is reached. */
  readonly address: string;
  close(): Promise<void>;
}

/** A connection that asks nothing, or half a question, is closed after 5 s, give or take one. */
const PATIENCE = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};
/** Above what idle strangers are likely to hold: who asks must get in before those are closed. */
const CONNECTIONS_MAX = 10_000;

/** Serves the probes at `host:port`; rejects where the port is taken. */
export async function serveProbes(
  listen: string,
  source: ProbeSource,
  logger: Logger,
): Promise<Probes> {
  const server = createServer(PATIENCE, (request, response) => {
    answer(source, request, response).catch((error: unknown) => {
      logger.error({ error: String(error) }, 'a probe could not be answered');
      response.writeHead(500).end();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  const split = listen.lastIndexOf(':');
  const host = listen.slice(0, split).replace(/^\[|\]$/g, '');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(listen.slice(split + 1)), host, resolve);
  });
  server.on('error', (error) => logger.error({ error: String(error) }, 'the probe port failed'));
  return { address: addressOf(server, listen), close: () => closed(server) };
}

async function answer(
  source: ProbeSource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path] = (request.url ?? '/').split('?');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    say(response, 405, `method is ${request.method}, allowed are GET and HEAD`);
  } else if (path === '/livez') {
    judge(response, source.dead());
  } else if (path === '/readyz') {
    judge(response, source.unready());
  } else if (path === '/metrics') {
    const { type, text } = await source.metrics();
    response.writeHead(200, { 'content-type': type }).end(text);
  } else if (source.pages === undefined) {
    say(response, 404, `path is ${path}, allowed are /livez, /readyz and /metrics`);
  } else if (!(await source.pages.answer(request, response))) {
    const allowed = `/livez, /readyz, /metrics and ${source.pages.path}`;
    say(response, 404, `path is ${path}, allowed are ${allowed}`);
  }
}

function judge(response: ServerResponse, reason: string): void {
  if (reason === '') say(response, 200, 'ok');
  else say(response, 503, reason);
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

function addressOf(server: Server, listen: string): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return listen;
  return `${listen.slice(0, listen.lastIndexOf(':'))}:${address.port}`;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
