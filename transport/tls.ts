// TLS from files that may change while the process runs: new connections use the new ones, servers
// do not restart and open connections stay.

import { X509Certificate } from 'node:crypto';
import * as tls from 'node:tls';
import {
  type ChannelCredentials,
  credentials,
  experimental,
  ServerCredentials,
} from '@grpc/grpc-js';
import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import { JournalError } from '../protocol/errors.ts';
import type { Micros } from '../protocol/types.ts';
import { WatchedFiles } from './watch.ts';

type CertificateProvider = experimental.CertificateProvider;

/** Paths of PEM files. */
export interface TlsFiles {
  /**
   * Whom to trust: authorities of servers to a client, of clients to a server. Without it a client
   * trusts those that Node ships, those of NODE_EXTRA_CA_CERTS and those of the machine.
   */
  readonly ca?: string | undefined;
  /** The own certificate chain and its key: always both. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /**
   * Whether servers ask for a certificate of the authority `ca`: `required` (the default where
   * there is a `ca`), `optional`, or `none`.
   */
  readonly clients?: 'required' | 'optional' | 'none' | undefined;
  /**
   * Name that certificates of servers carry which are dialled by an IP address: where addresses
   * come and go, certificates name the cluster. Without it they must carry the IP address.
   */
  readonly serverName?: string | undefined;
  /** How often the files are looked at; 2 s by default. */
  readonly refresh?: Micros | undefined;
}

interface Pems {
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

type CaListener = Parameters<CertificateProvider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<CertificateProvider['addIdentityCertificateListener']>[0];

/** The newest files that fit together, told to whoever listens. */
class Certificates implements CertificateProvider {
  readonly #files: WatchedFiles<Pems>;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();

  constructor(files: TlsFiles, clock: Clock, logger: Logger) {
    const { ca, cert, key, refresh } = files;
    if ((cert === undefined) !== (key === undefined)) {
      throw new JournalError('INVALID_ARGUMENT', 'tls: cert and key are given both or not at all');
    }
    this.#files = new WatchedFiles<Pems>({
      what: 'tls',
      paths: [ca, cert, key].filter((path) => path !== undefined),
      parse: (contents) => {
        const left = [...contents];
        const next = (path: string | undefined): Buffer | null =>
          path === undefined ? null : (left.shift() ?? null);
        return fitting({ ca: next(ca), cert: next(cert), key: next(key) });
      },
      clock,
      logger,
      refresh,
      onChange: (pems) => {
        for (const listener of this.#caListeners) listener(caOf(pems));
        for (const listener of this.#identityListeners) listener(identityOf(pems));
      },
    });
  }

  get pems(): Pems {
    return this.#files.value;
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    // A tick later: credentials that ask put their own listeners in place right after.
    process.nextTick(() => {
      if (this.#caListeners.has(listener)) listener(caOf(this.pems));
    });
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    process.nextTick(() => {
      if (this.#identityListeners.has(listener)) listener(identityOf(this.pems));
    });
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  close(): void {
    this.#files.close();
  }
}

const caOf = ({ ca }: Pems) => ({ caCertificate: ca ?? commonAuthorities() });

function commonAuthorities(): Buffer {
  // Node.js 22 has it from 22.15 on; before that the authorities that it ships are all there are.
  const read: typeof tls.getCACertificates | undefined = tls.getCACertificates;
  const authorities =
    read === undefined ? tls.rootCertificates : [...read('default'), ...read('system')];
  return Buffer.from(authorities.join('\n'));
}

const identityOf = ({ cert, key }: Pems) =>
  cert === null || key === null ? null : { certificate: cert, privateKey: key };

/** Throws where the three do not fit together, or nobody would be trusted. */
function fitting(pems: Pems): Pems {
  const { ca, cert, key } = pems;
  if (ca !== null) checkAuthority(ca);
  tls.createSecureContext({
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  });
  return pems;
}

/** OpenSSL passes over what is no certificate: then everybody would be a stranger. */
function checkAuthority(ca: Buffer): void {
  try {
    new X509Certificate(ca);
  } catch {
    const given = `${ca.length} bytes that do not begin with one`;
    throw new Error(`ca has ${given}, allowed are certificates in PEM form`);
  }
}

/** What channels and servers of one network prove themselves with. */
export class Credentials {
  readonly #files: TlsFiles | undefined;
  readonly #certificates: Certificates | undefined;
  #channel: ChannelCredentials | undefined;

  /** Throws JournalError INVALID_ARGUMENT where a file cannot be read or used. */
  constructor(files: TlsFiles | undefined, clock: Clock, logger: Logger) {
    this.#files = files;
    this.#certificates = files && new Certificates(files, clock, logger);
  }

  channel(): ChannelCredentials {
    this.#channel ??= this.#makeChannel();
    return this.#channel;
  }

  #makeChannel(): ChannelCredentials {
    const provider = this.#certificates;
    if (provider === undefined) return credentials.createInsecure();
    const identity = provider.pems.cert === null ? null : provider;
    return experimental.createCertificateProviderChannelCredentials(provider, identity);
  }

  server(): ServerCredentials {
    const provider = this.#certificates;
    if (provider === undefined) return ServerCredentials.createInsecure();
    if (provider.pems.cert === null) {
      throw new JournalError('INVALID_ARGUMENT', 'tls: a server needs cert and key');
    }
    const clients = this.#files?.clients ?? (provider.pems.ca === null ? 'none' : 'required');
    if (clients !== 'none' && provider.pems.ca === null) {
      throw new JournalError('INVALID_ARGUMENT', 'tls: asking for client certificates needs ca');
    }
    // cast: the signature takes the two providers the wrong way round; either of ours is both.
    const authority = (clients === 'none' ? null : provider) as CertificateProvider;
    return experimental.createCertificateProviderServerCredentials(
      provider,
      authority,
      clients === 'required',
    );
  }

  close(): void {
    this.#certificates?.close();
  }
}
