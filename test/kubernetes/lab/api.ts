// Speaks to the lab's API server over the Unix socket of `kubectl proxy`, in plain JSON.

import { request } from 'node:http';

const MILLIS_MAX = 30_000;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** A Kubernetes object as far as the lab looks into it. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

export class Api {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Answers whatever the status; throws only where there is no answer. */
  send(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Answer> {
    const text = body === undefined ? '' : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = request(
        { socketPath: this.#socket, method, path, timeout: MILLIS_MAX },
        (got) => {
          const pieces: Buffer[] = [];
          got.on('data', (piece: Buffer) => pieces.push(piece));
          got.on('error', reject);
          got.on('end', () => {
            const said = Buffer.concat(pieces).toString('utf8');
            resolve({ status: got.statusCode ?? 0, body: parsed(said) });
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer in time`)));
      call.on('error', reject);
      if (text !== '') call.setHeader('content-type', type);
      call.end(text);
    });
  }

  /** The object, or undefined where there is none. */
  async get(path: string): Promise<KubeObject | undefined> {
    const { status, body } = await this.send('GET', path);
    if (status === 404) return undefined;
    return objectOf(succeeded(`GET ${path}`, status, body));
  }

  async list(path: string): Promise<readonly KubeObject[]> {
    const { status, body } = await this.send('GET', path);
    const { items } = record(succeeded(`GET ${path}`, status, body));
    return Array.isArray(items) ? items.map(objectOf) : [];
  }

  async create(path: string, object: unknown): Promise<void> {
    const { status, body } = await this.send('POST', path, object);
    succeeded(`POST ${path}`, status, body);
  }

  async patch(path: string, change: unknown): Promise<void> {
    const type = 'application/merge-patch+json';
    const { status, body } = await this.send('PATCH', path, change, type);
    succeeded(`PATCH ${path}`, status, body);
  }

  async remove(path: string): Promise<void> {
    const { status, body } = await this.send('DELETE', path);
    if (status !== 404) succeeded(`DELETE ${path}`, status, body);
  }
}

function succeeded(what: string, status: number, body: unknown): unknown {
  if (status >= 200 && status < 300) return body;
  throw new Error(`${what}: ${status} ${JSON.stringify(body).slice(0, 1_000)}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value));
}

function objectOf(value: unknown): KubeObject {
  const { metadata, spec, status } = record(value);
  const { name, namespace, uid, resourceVersion, deletionTimestamp, ...more } = record(metadata);
  const text = (field: unknown): string | undefined =>
    typeof field === 'string' ? field : undefined;
  const optional = Object.entries({
    namespace: text(namespace),
    uid: text(uid),
    resourceVersion: text(resourceVersion),
    deletionTimestamp: text(deletionTimestamp),
  }).filter(([, field]) => field !== undefined);
  const texts = (field: unknown) =>
    Object.fromEntries(Object.entries(record(field)).map(([key, one]) => [key, String(one)]));
  return {
    metadata: {
      name: text(name) ?? '',
      ...Object.fromEntries(optional),
      labels: texts(more.labels),
      annotations: texts(more.annotations),
    },
    spec: record(spec),
    status: record(status),
  };
}
