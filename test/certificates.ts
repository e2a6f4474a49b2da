// Certificates for tests, made on the spot: an authority, and who it vouches for.

import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MILLIS = 86_400_000;

export interface Pem {
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  readonly cert: string;
  /** A certificate with this common name, good for the loopback and for DNS `names`. */
  issue(name: string, names?: readonly string[]): Promise<Pem>;
}

const provider = new x509.CryptoProvider();
provider.set(webcrypto);

const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = bytes.toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

const validity = () => ({
  notBefore: new Date(Date.now() - DAY_MILLIS),
  notAfter: new Date(Date.now() + DAY_MILLIS),
});

let serial = 1;
const nextSerial = (): string => {
  serial += 1;
  return serial.toString(16).padStart(4, '0');
};

export async function authority(name: string): Promise<Authority> {
  const keys = await newKeys();
  const issuer = `CN=${name}`;
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: issuer,
      keys,
      serialNumber: nextSerial(),
      signingAlgorithm: ALGORITHM,
      ...validity(),
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    },
    webcrypto,
  );
  return {
    cert: root.toString('pem'),
    async issue(subject, names = []) {
      const own = await newKeys();
      const leaf = await x509.X509CertificateGenerator.create(
        {
          subject: `CN=${subject}`,
          issuer,
          serialNumber: nextSerial(),
          publicKey: own.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: ALGORITHM,
          ...validity(),
          extensions: [
            new x509.SubjectAlternativeNameExtension([
              { type: 'ip', value: '127.0.0.1' },
              ...names.map((value) => ({ type: 'dns' as const, value })),
            ]),
          ],
        },
        webcrypto,
      );
      return { cert: leaf.toString('pem'), key: await pemOf(own.privateKey) };
    },
  };
}
