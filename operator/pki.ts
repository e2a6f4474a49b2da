// A small certificate authority: makes one, issues from it, reads what is there.
//
// Pure but for the keys that it draws: times and serial numbers come in. What is issued names
// members, controllers and the cluster's Service, never an address of a pod.

import 'reflect-metadata';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MILLIS = 86_400_000;
/** Clocks that are behind must not refuse what was issued a moment ago. */
const BACKDATE_MILLIS = 3_600_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

x509.cryptoProvider.set(crypto);

/** A certificate, or a chain with the own one first, and its key; PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Who issues. */
export interface Authority extends Pair {
  /** What it stands below, in PEM; left out where it was made here and stands by itself. */
  readonly root?: string;
}

export interface Subject {
  /** By which roles go: see manifests/authorization.ts. */
  readonly commonName: string;
  /** Names under which a server is reached; none for a client. */
  readonly dnsNames: readonly string[];
  readonly server: boolean;
}

export interface Issuing {
  /** Hexadecimal, unique to the authority. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly nowMillis: number;
  readonly days: number;
}

/** What is asked of a certificate that is there. */
export interface Reading {
  readonly notBeforeMillis: number;
  readonly notAfterMillis: number;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  /** Identifiers of the own key and of the key that signed. */
  readonly keyId: string;
  readonly authorityKeyId: string;
}

export async function createAuthority(name: string, issuing: Issuing): Promise<Pair> {
  const keys = await newKeys();
  const usages = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    serialNumber: issuing.serial,
    signingAlgorithm: ALGORITHM,
    ...validity(issuing),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usages, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(made), key: await pemOfKey(keys.privateKey) };
}

/** Issues a leaf; the chain carries an intermediate authority along. */
export async function issue(authority: Pair, subject: Subject, issuing: Issuing): Promise<Pair> {
  const [issuer] = certificatesOf(authority.cert);
  if (issuer === undefined) throw new Error('the authority has no certificate');
  const keys = await newKeys();
  const usages = x509.KeyUsageFlags.digitalSignature;
  const names = subject.dnsNames.map((value) => ({ type: 'dns' as const, value }));
  const made = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [subject.commonName] }],
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key, issuer),
    serialNumber: issuing.serial,
    signingAlgorithm: { ...issuer.publicKey.algorithm, hash: 'SHA-256' },
    ...validity(issuing),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(usages, true),
      // Members are servers and clients of each other.
      new x509.ExtendedKeyUsageExtension([CLIENT_AUTH, ...(subject.server ? [SERVER_AUTH] : [])]),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  const selfSigned = issuer.subject === issuer.issuer;
  const chain = selfSigned ? pem(made) : joinPems([pem(made), authority.cert]);
  return { cert: chain, key: await pemOfKey(keys.privateKey) };
}

/** Why a pair that somebody else made cannot issue, by its files; empty where it can. */
export function troubleOfIssuer({ cert, key, root = '' }: Authority, nowMillis: number): string {
  const certificate = attempt(() => new X509Certificate(cert));
  const own = attempt(() => createPrivateKey(key));
  if (certificate === null) return 'tls.crt is no certificate in PEM';
  if (own === null) return 'tls.key is no private key in PEM, without a passphrase';
  if (!certificate.ca) return 'tls.crt is of no authority: it has not CA:TRUE';
  if (!certificate.checkPrivateKey(own)) return 'tls.key is not the key of tls.crt';
  const { validFrom, validTo } = certificate;
  if (Date.parse(validFrom) > nowMillis) return `tls.crt does not hold before ${validFrom}`;
  if (Date.parse(validTo) <= nowMillis) return `tls.crt has been over since ${validTo}`;
  const others = attempt(() => blocksOf(cert + root).map((block) => new X509Certificate(block)));
  if (others === null) return 'ca.crt is no certificate in PEM';
  if (leadsToRoot(certificate, others)) return '';
  return 'ca.crt has not the root of tls.crt, which nobody would believe without it';
}

/** Keys that were found to fit, or not to, by certificate: as with `readings`. */
const pairs = new Map<string, { readonly key: string; readonly fits: boolean }>();

/** Whether the key is that of the first certificate. */
export function isPair({ cert, key }: Pick<Authority, 'cert' | 'key'>): boolean {
  const known = pairs.get(cert);
  if (known?.key === key) return known.fits;
  const own = attempt(() => createPrivateKey(key));
  const fits =
    own !== null && attempt(() => new X509Certificate(cert).checkPrivateKey(own)) === true;
  if (pairs.size >= READINGS_MAX) pairs.clear();
  pairs.set(cert, { key, fits });
  return fits;
}

/** TLS believes nothing below a certificate that somebody else signed who is not there. */
function leadsToRoot(from: X509Certificate, others: readonly X509Certificate[]): boolean {
  let one: X509Certificate | undefined = from;
  for (let steps = 0; one !== undefined && steps <= others.length; steps += 1) {
    const signed: X509Certificate = one;
    const isSigner = (other: X509Certificate): boolean =>
      signed.checkIssued(other) && signed.verify(other.publicKey);
    if (isSigner(signed)) return true;
    one = others.find(isSigner);
  }
  return false;
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Certificates that were read before: every look at a cluster asks for all of its own again. */
const readings = new Map<string, Reading | null>();
const READINGS_MAX = 10_000;

/** Reads the first certificate of a PEM; null where it cannot be read. */
export async function readCertificate(text: string): Promise<Reading | null> {
  const known = readings.get(text);
  if (known !== undefined) return known;
  const reading = await freshReading(text);
  if (readings.size >= READINGS_MAX) readings.clear();
  readings.set(text, reading);
  return reading;
}

async function freshReading(text: string): Promise<Reading | null> {
  try {
    const [certificate] = certificatesOf(text);
    if (certificate === undefined) return null;
    const names = certificate.getExtension(x509.SubjectAlternativeNameExtension);
    const signer = certificate.getExtension(x509.AuthorityKeyIdentifierExtension);
    const own = await x509.SubjectKeyIdentifierExtension.create(certificate.publicKey);
    return {
      notBeforeMillis: certificate.notBefore.getTime(),
      notAfterMillis: certificate.notAfter.getTime(),
      commonName: certificate.subjectName.getField('CN')[0] ?? '',
      dnsNames: (names?.names.items ?? []).map(({ value }) => value),
      keyId: own.keyId,
      authorityKeyId: signer?.keyId ?? '',
    };
  } catch {
    return null;
  }
}

/** Whether a leaf should be issued again: other names, another authority, or two thirds over. */
export function isDue(
  leaf: Reading | null,
  authority: Reading,
  subject: Subject,
  nowMillis: number,
): boolean {
  if (leaf === null || leaf.authorityKeyId !== authority.keyId) return true;
  if (leaf.commonName !== subject.commonName) return true;
  if ([...leaf.dnsNames].sort().join() !== [...subject.dnsNames].sort().join()) return true;
  return nowMillis > renewalMillis(leaf);
}

/** When two thirds of a certificate's time are over. */
export const renewalMillis = ({ notBeforeMillis, notAfterMillis }: Reading): number =>
  notBeforeMillis + Math.round(((notAfterMillis - notBeforeMillis) * 2) / 3);

/** When nine tenths of a certificate's time are over. */
export const endingMillis = ({ notBeforeMillis, notAfterMillis }: Reading): number =>
  notBeforeMillis + Math.round((notAfterMillis - notBeforeMillis) * 0.9);

/** One after another, each once. */
export const joinPems = (parts: readonly string[]): string =>
  `${[...new Set(parts.flatMap(blocksOf))].join('\n')}\n`;

/** Whether whoever believes the certificates of a bundle believes all of these. */
export const believes = (bundle: string, certs: string): boolean =>
  blocksOf(certs).every((block) => bundle.includes(block));

const PEM_BLOCK = /-----BEGIN [A-Z ]+-----[\s\S]*?-----END [A-Z ]+-----/g;

const blocksOf = (text: string): readonly string[] => text.match(PEM_BLOCK) ?? [];

const certificatesOf = (text: string): readonly x509.X509Certificate[] =>
  blocksOf(text).map((block) => new x509.X509Certificate(block));

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

function validity({ nowMillis, days }: Issuing) {
  return {
    notBefore: new Date(nowMillis - BACKDATE_MILLIS),
    notAfter: new Date(nowMillis + days * DAY_MILLIS),
  };
}

const pem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem')}\n`;

async function pemOfKey(key: Key): Promise<string> {
  const bytes = await crypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(bytes, 'PRIVATE KEY')}\n`;
}

/** A key of the own authority, or of one that somebody else made: EC or RSA, in any PEM form. */
async function importKey(text: string, issuer: x509.X509Certificate): Promise<Key> {
  const bytes = createPrivateKey(text).export({ type: 'pkcs8', format: 'der' });
  const algorithm = { ...issuer.publicKey.algorithm, hash: 'SHA-256' };
  return await crypto.subtle.importKey('pkcs8', bytes, algorithm, false, ['sign']);
}
