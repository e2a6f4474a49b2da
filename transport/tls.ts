// TLS from files that may change while the process runs: new connections use the new ones.
//
// Files are read again every few seconds. A set that does not fit together (a certificate whose key
// has not come yet, a file half written) is reported once and the last good one stays in use.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import {
  type ChannelCredentials,
  credentials,
  experimental,
  ServerCredentials,
} from '@grpc/grpc-js';
import type { Cancel, Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import { JournalError } from '../protocol/errors.ts';
import { type Micros, micros } from '../protocol/types.ts';

type CertificateProvider = experimental.CertificateProvider;

/** Paths of PEM files. */
export interface TlsFiles {
  /** Whom to trust: authorities of servers to a client, of clients to a server. */
  readonly ca?: string | undefined;
  /** The own certificate chain and its key: always both. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /**
   * Whether servers ask for a certificate of the authority `ca`: `required` (the default where
   * there is a `ca`), `optional`, or `none`.
   */
  readonly clients?: 'required' | 'optional' | 'none' | undefined;
  /** How often the files are looked at; 2 s by default. */
  readonly refresh?: Micros | undefined;
}

const REFRESH = micros(2_000_000);

interface Pems {
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

type CaListener = Parameters<CertificateProvider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<CertificateProvider['addIdentityCertificateListener']>[0];

/** The newest files that fit together, told to whoever listens. */
class Certificates implements CertificateProvider {
  readonly #files: TlsFiles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  #pems: Pems;
  #complaint = '';
  #stop: Cancel = () => {};
  #closed = false;

  constructor(files: TlsFiles, clock: Clock, logger: Logger) {
    this.#files = files;
    this.#clock = clock;
    this.#logger = logger;
    this.#pems = readNow(files);
    this.#again();
  }

  get pems(): Pems {
    return this.#pems;
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    listener(caOf(this.#pems));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    listener(identityOf(this.#pems));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  #again(): void {
    if (this.#closed) return;
    this.#stop = this.#clock.after(this.#files.refresh ?? REFRESH, () => {
      void this.#look().finally(() => this.#again());
    });
  }

  async #look(): Promise<void> {
    try {
      const { ca, cert, key } = this.#files;
      const read = async (path: string | undefined): Promise<Buffer | null> =>
        path === undefined ? null : readFile(path);
      const pems = { ca: await read(ca), cert: await read(cert), key: await read(key) };
      if (same(pems, this.#pems)) return;
      check(pems);
      this.#pems = pems;
      this.#complaint = '';
      for (const listener of this.#caListeners) listener(caOf(pems));
      for (const listener of this.#identityListeners) listener(identityOf(pems));
      this.#logger.info({ files: this.#files }, 'certificates were reloaded');
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message === this.#complaint) return;
      this.#complaint = message;
      this.#logger.warn({ error: message, files: this.#files }, 'certificates stay as they were');
    }
  }
}

const caOf = ({ ca }: Pems) => (ca === null ? null : { caCertificate: ca });

const identityOf = ({ cert, key }: Pems) =>
  cert === null || key === null ? null : { certificate: cert, privateKey: key };

const same = (one: Pems, other: Pems): boolean =>
  (['ca', 'cert', 'key'] as const).every((name) => {
    const [left, right] = [one[name], other[name]];
    return left === null || right === null ? left === right : left.equals(right);
  });

/** Throws where the three do not fit together. */
function check({ ca, cert, key }: Pems): void {
  createSecureContext({
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  });
}

function readNow(files: TlsFiles): Pems {
  const { ca, cert, key } = files;
  if ((cert === undefined) !== (key === undefined)) {
    throw new JournalError('INVALID_ARGUMENT', 'tls: cert and key are given both or not at all');
  }
  try {
    const read = (path: string | undefined): Buffer | null =>
      path === undefined ? null : readFileSync(path);
    const pems = { ca: read(ca), cert: read(cert), key: read(key) };
    check(pems);
    return pems;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new JournalError('INVALID_ARGUMENT', `tls: ${why}`, {}, 'none', { cause: error });
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
    // Without an authority of one's own those of the system count.
    if (provider.pems.ca === null) return credentials.createSsl();
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
