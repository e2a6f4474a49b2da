// The real API server over HTTP: addresses and proofs come from the official client's KubeConfig.
//
// Requests are made here and not by the client's generated classes: those drop fields that their
// model does not know, and its `Watch` hides the answer that says how long to wait.

import {
  type IncomingMessage,
  type RequestOptions as PlainOptions,
  request as plainRequest,
} from 'node:http';
import { type RequestOptions, request as secureRequest } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../io/clock.ts';
import { micros } from '../../protocol/types.ts';
import {
  type KubeApi,
  KubeError,
  type KubeRequest,
  type WatchEvent,
  type WatchRequest,
} from './api.ts';
import { isObject, textAt } from './fields.ts';

const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Where nothing is configured the client makes up an address that nobody gave. */
export function isConfigured(config: KubeConfig): boolean {
  const { name, server } = config.getCurrentCluster() ?? {};
  return server !== undefined && !(name === 'cluster' && server === 'http://localhost:8080');
}

/** From KUBECONFIG, the home folder, or the service account of the pod; throws where none fits. */
export function loadKubeConfig(): KubeConfig {
  const config = new KubeConfig();
  config.loadFromDefault();
  if (!isConfigured(config)) {
    throw new Error('no cluster is configured: set KUBECONFIG, or run in a pod');
  }
  return config;
}

/** Requests that were sent: how often by method, those about leases apart. */
export interface ApiCount {
  readonly method: string;
  readonly what: 'lease' | 'object';
  count: number;
}

/** `counts` is added to with each request. */
export function httpKube(config: KubeConfig, clock: Clock, counts: ApiCount[] = []): KubeApi {
  return new HttpKube(config, clock, counts);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  readonly signal: AbortSignal;
}

class HttpKube implements KubeApi {
  readonly #config: KubeConfig;
  readonly #clock: Clock;
  readonly #counts: ApiCount[];

  constructor(config: KubeConfig, clock: Clock, counts: ApiCount[]) {
    this.#config = config;
    this.#clock = clock;
    this.#counts = counts;
  }

  #note(method: string, path: string): void {
    const what = path.includes('/leases') ? 'lease' : 'object';
    const known = this.#counts.find((one) => one.method === method && one.what === what);
    if (known === undefined) this.#counts.push({ method, what, count: 1 });
    else known.count += 1;
  }

  async request({ timeout, signal, body, ...rest }: KubeRequest): Promise<unknown> {
    const giveUp = new AbortController();
    const cancel = this.#clock.after(timeout, () => giveUp.abort(new Error('it took too long')));
    const either = signal === undefined ? giveUp.signal : AbortSignal.any([signal, giveUp.signal]);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const what = `${rest.method} ${rest.path}`;
    try {
      const answer = await this.#send({ ...rest, body: text, signal: either });
      return parse(what, await textOf(what, answer));
    } catch (error) {
      throw unreachable(what, error, either);
    } finally {
      cancel();
    }
  }

  async *watch({ path, query, silence, signal }: WatchRequest): AsyncGenerator<WatchEvent> {
    const what = `watch ${path}`;
    const giveUp = new AbortController();
    const either = AbortSignal.any([signal, giveUp.signal]);
    let cancel = (): void => {};
    const alive = (): void => {
      cancel();
      cancel = this.#clock.after(silence, () => giveUp.abort(new Error('it fell silent')));
    };
    alive();
    try {
      const asked = { method: 'GET', path, query: { ...query, watch: '1' }, signal: either };
      const answer = await this.#send(asked);
      for await (const line of linesOf(answer, alive)) {
        const event = parse(what, line);
        if (!isObject(event)) continue;
        yield { type: textAt(event, 'type') ?? '', object: event.object };
      }
      if (!answer.complete) throw new Error('the connection broke');
    } catch (error) {
      throw unreachable(what, error, either);
    } finally {
      cancel();
      giveUp.abort(new Error('the watch is over'));
    }
  }

  /** The answer, whose status is 2xx: others are thrown. */
  async #send({ method, path, query, body, contentType, signal }: Asked): Promise<IncomingMessage> {
    this.#note(method, path);
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null) throw new Error('no cluster is configured');
    const url = new URL(cluster.server.replace(/\/$/, '') + path);
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    const options: RequestOptions = { method, headers: { accept: 'application/json' } };
    await this.#config.applyToHTTPSOptions(options);
    const headers: Record<string, string> = { 'user-agent': 'journal-operator' };
    if (body !== undefined) {
      headers['content-type'] = contentType ?? 'application/json';
      headers['content-length'] = String(Buffer.byteLength(body));
    }
    const answer = await send(url, options, headers, body, signal);
    if (answer.statusCode !== undefined && answer.statusCode < 300) return answer;
    throw await refusal(`${method} ${path}`, answer);
  }
}

function send(
  url: URL,
  options: RequestOptions,
  headers: Record<string, string>,
  body: string | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { agent, ...rest } = options;
  const all = { ...rest, headers: { ...options.headers, ...headers }, signal };
  return new Promise((resolve, reject) => {
    // The agent of the configuration is one for TLS; `kubectl proxy` and tests speak without.
    const secure = url.protocol === 'https:';
    const plain: PlainOptions = { method: all.method ?? 'GET', headers: all.headers, signal };
    const request = secure
      ? secureRequest(url, agent === undefined ? all : { ...all, agent }, resolve)
      : plainRequest(url, plain, resolve);
    request.on('error', reject);
    request.end(body);
  });
}

/** An answer line by line, each piece told; throws where it breaks off. */
async function* linesOf(answer: IncomingMessage, alive: () => void): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer) {
    alive();
    rest += decoder.decode(Buffer.from(chunk), { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > ANSWER_BYTES_MAX) throw new Error(`a line is over ${ANSWER_BYTES_MAX} bytes`);
    for (const line of lines) if (line !== '') yield line;
  }
}

async function textOf(what: string, answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`${what}: over ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(what: string, text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new Error(`${what} answered what is no JSON: ${text.slice(0, 80)}`, { cause });
  }
}

async function refusal(what: string, answer: IncomingMessage): Promise<KubeError> {
  const status = answer.statusCode ?? 0;
  const text = await textOf(what, answer).catch(() => '');
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    said = undefined;
  }
  const message = textAt(said, 'message') ?? text.slice(0, 200);
  const reason = textAt(said, 'reason') ?? answer.statusMessage ?? '';
  const seconds = Number(answer.headers['retry-after'] ?? '0');
  const retryAfter = micros(seconds > 0 ? Math.round(seconds * 1_000_000) : 0);
  return new KubeError(`${what}: ${status} ${message}`, { status, reason, retryAfter });
}

function unreachable(what: string, error: unknown, signal: AbortSignal): KubeError {
  if (error instanceof KubeError) return error;
  const cause: unknown = signal.aborted ? signal.reason : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  const facts = { status: 0, reason: 'Unreachable', retryAfter: micros(0) };
  return new KubeError(`${what}: ${why}`, facts, { cause: error });
}
