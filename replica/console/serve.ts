// The console over HTTP: one page, one script, two answers as JSON. Read-only, nothing from
// elsewhere, and nothing of what it shows can become code: see the headers.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Pages } from '../../io/node-probes.ts';
import { ERROR_CODES, JournalError } from '../../protocol/errors.ts';
import type { Console } from './console.ts';
import { isLocalHost } from './local.ts';

const PAGE = 'page.html';
const SCRIPT = 'page.js';

const asset = (name: string): string => readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export function consolePages(console: Console): Pages {
  const page = asset(PAGE);
  const script = asset(SCRIPT);
  const csp = { 'content-security-policy': contentPolicy(page) };
  const replies: Readonly<Record<string, (url: URL, host: string) => Promise<Reply> | Reply>> = {
    '/console': () => ({ status: 200, type: 'text/html', body: page }),
    '/console/page.js': () => ({ status: 200, type: 'text/javascript', body: script }),
    '/console/data': (url) => json(() => console.data(url.searchParams)),
    '/console/records': (url, host) =>
      json(() => {
        if (console.source.recordsLocalOnly) refuseForeignHost(host);
        return console.records(url.searchParams);
      }),
  };
  return {
    path: '/console',
    answer: async (request, response) => {
      const url = URL.parse(request.url ?? '/', 'http://console');
      if (url === null) return false;
      if (url.pathname === '/' || url.pathname === '/console/') {
        response.writeHead(302, { location: '/console' }).end();
        return true;
      }
      const reply = Object.hasOwn(replies, url.pathname) ? replies[url.pathname] : undefined;
      if (reply === undefined) return false;
      const { status, type, body } = await reply(url, request.headers.host ?? '');
      response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8`, ...csp });
      response.end(request.method === 'HEAD' ? undefined : body);
      return true;
    },
  };
}

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** The style of the page by its hash, its script by its origin, and nothing else at all. */
function contentPolicy(page: string): string {
  const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? '';
  const hash = createHash('sha256').update(style).digest('base64');
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'sha256-${hash}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}

async function json(answer: () => Promise<unknown>): Promise<Reply> {
  const type = 'application/json';
  try {
    return { status: 200, type, body: JSON.stringify(await answer()) };
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const { code, message, details } = error;
    const { firstLsn } = details;
    const shown = { code, message, ...(firstLsn === undefined ? {} : { firstLsn }) };
    return { status: statusOf(error), type, body: JSON.stringify({ error: shown }) };
  }
}

function statusOf({ code }: JournalError): number {
  if (code === 'PERMISSION_DENIED' || code === 'UNAUTHENTICATED') return 403;
  if (code === 'NOT_FOUND' || code === 'TRIMMED') return 404;
  if (code === 'INVALID_ARGUMENT' || code === 'OUT_OF_RANGE') return 400;
  return ERROR_CODES[code].retryable ? 503 : 500;
}

/**
 * A page of another site can make its own name mean this machine, and then read what is meant for
 * the people at this machine alone: so the name that was asked for has to be this machine's.
 */
function refuseForeignHost(host: string): void {
  if (isLocalHost(host)) return;
  throw new JournalError(
    'PERMISSION_DENIED',
    `Host is ${JSON.stringify(host.slice(0, 100))}, allowed for records is localhost or ` +
      'an address of the loopback network',
  );
}
