// Whether both sides of a connection believe what an authority issues: tried, by a handshake
// within this process. Constraints on names, purposes, lengths of paths and kinds of keys of
// somebody else's authority are for TLS to judge, and nothing else judges them as it does.

import { duplexPair } from 'node:stream';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { type Authority, type Issuing, issue, joinPems, type Pair, type Subject } from './pki.ts';

const PATIENCE_MILLIS = 5_000;
const TRIALS_MAX = 1_000;
const LATE = 'a handshake takes too long';
/** Whether a certificate holds now is judged by the time of the pass, not of this machine. */
const OF_TIME = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];

/** Verdicts by authority and names: every look at a cluster asks for its own again. */
const trials = new Map<string, Promise<string>>();

/**
 * Why a server and a client that an authority issues for would not believe each other; empty where
 * they do. `server` is asked by its first name.
 */
export function troubleOfIssued(
  authority: Authority,
  server: Subject,
  client: Subject,
  issuing: Issuing,
): Promise<string> {
  const { cert, key, root } = authority;
  const about = JSON.stringify([cert, key, root, server.dnsNames, client.commonName]);
  const known = trials.get(about);
  if (known !== undefined) return known;
  if (trials.size >= TRIALS_MAX) trials.clear();
  const trial = tried(authority, server, client, issuing).then((verdict) => {
    // A machine that was busy says nothing of an authority.
    if (verdict.endsWith(LATE)) trials.delete(about);
    return verdict;
  });
  trials.set(about, trial);
  return trial;
}

async function tried(
  authority: Authority,
  server: Subject,
  client: Subject,
  issuing: Issuing,
): Promise<string> {
  try {
    const ca = joinPems([authority.cert, authority.root ?? '']);
    const pairs = [
      await issue(authority, server, issuing),
      await issue(authority, client, issuing),
    ] as const;
    const wrong = await handshake(ca, ...pairs, server.dnsNames[0] ?? '');
    return wrong === '' ? '' : `what it issues is believed by nobody: ${wrong}`;
  } catch (error) {
    return `it cannot issue: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What either side has against the other; empty where both are content. */
async function handshake(
  ca: string,
  server: Pair,
  client: Pair,
  servername: string,
): Promise<string> {
  const [near, far] = duplexPair();
  const listener = createServer({ ca, ...server, requestCert: true, rejectUnauthorized: true });
  let dialling: TLSSocket | null = null;
  try {
    return await new Promise<string>((resolve) => {
      const end = (error: Error): void => {
        const code = 'code' in error ? String(error.code) : '';
        resolve(OF_TIME.includes(code) ? '' : error.message);
      };
      setTimeout(() => resolve(LATE), PATIENCE_MILLIS).unref();
      // The server is the last to be content: a client of TLS 1.3 is so before it was judged.
      listener.on('secureConnection', () => resolve(''));
      listener.on('tlsClientError', end);
      listener.emit('connection', far);
      dialling = connect({ socket: near, ca, ...client, servername });
      dialling.on('error', end);
    });
  } finally {
    // cast: assigned within the promise, which the compiler does not follow.
    (dialling as TLSSocket | null)?.destroy();
    near.destroy();
    far.destroy();
  }
}
