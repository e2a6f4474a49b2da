// The certificates of one lab's Kubernetes, and a file for each of its users to log in with.

import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { API_ADDRESS, KUBERNETES_SERVICE, nodeAddress } from './network.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MILLIS = 86_400_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

interface Subject {
  readonly name: string;
  readonly group?: string;
  readonly addresses?: readonly string[];
  readonly names?: readonly string[];
}

const provider = new x509.CryptoProvider();
provider.set(webcrypto);

/** Writes ca.crt, ca.key, sa.key, sa.pub, and NAME.crt, NAME.key and NAME.conf of every user. */
export async function makePki(folder: string, nodes: readonly string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const keys = await newKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=lab',
      keys,
      serialNumber: '01',
      signingAlgorithm: ALGORITHM,
      ...validity(),
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    },
    webcrypto,
  );
  writeFileSync(join(folder, 'ca.crt'), root.toString('pem'));
  writeFileSync(join(folder, 'ca.key'), await privatePem(keys), { mode: 0o600 });
  const accounts = await newKeys();
  writeFileSync(join(folder, 'sa.key'), await privatePem(accounts));
  writeFileSync(join(folder, 'sa.pub'), await publicPem(accounts));
  for (const [user, subject] of Object.entries({ ...SUBJECTS, ...subjectsOf(nodes) })) {
    await enter(folder, user, subject, keys.privateKey);
  }
}

/** The same for one more node. */
export async function addNodePki(folder: string, node: string): Promise<void> {
  const text = readFileSync(join(folder, 'ca.key'), 'utf8').replace(/-----[^-]+-----|\s/g, '');
  const der = Buffer.from(text, 'base64');
  const key = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
  for (const [user, subject] of Object.entries(subjectsOf([node]))) {
    await enter(folder, user, subject, key);
  }
}

async function enter(
  folder: string,
  user: string,
  subject: Subject,
  signingKey: webcrypto.CryptoKey,
): Promise<void> {
  await issue(folder, user, subject, signingKey);
  writeFileSync(join(folder, `${user}.conf`), kubeconfig(user), { mode: 0o600 });
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  api: {
    name: 'kube-apiserver',
    addresses: [API_ADDRESS, '127.0.0.1', KUBERNETES_SERVICE],
    names: ['kubernetes.default.svc', 'kubernetes.default', 'kubernetes'],
  },
  admin: { name: 'admin', group: 'system:masters' },
  dns: { name: 'dns', group: 'system:masters' },
  'controller-manager': { name: 'system:kube-controller-manager' },
  scheduler: { name: 'system:kube-scheduler' },
  proxy: { name: 'system:kube-proxy' },
};

const subjectsOf = (nodes: readonly string[]): Readonly<Record<string, Subject>> =>
  Object.fromEntries(
    nodes.map((node): [string, Subject] => {
      const own = { addresses: [nodeAddress(node)], names: [`node-${node}`] };
      return [`node-${node}`, { name: `system:node:node-${node}`, group: 'system:nodes', ...own }];
    }),
  );

async function issue(
  folder: string,
  user: string,
  { name, group, addresses = [], names = [] }: Subject,
  signingKey: webcrypto.CryptoKey,
): Promise<void> {
  const own = await newKeys();
  const alternatives = [
    ...addresses.map((value) => ({ type: 'ip' as const, value })),
    ...names.map((value) => ({ type: 'dns' as const, value })),
  ];
  const leaf = await x509.X509CertificateGenerator.create(
    {
      subject: [...(group === undefined ? [] : [{ O: [group] }]), { CN: [name] }],
      issuer: 'CN=lab',
      serialNumber: `01${randomBytes(15).toString('hex')}`,
      publicKey: own.publicKey,
      signingKey,
      signingAlgorithm: ALGORITHM,
      ...validity(),
      extensions: [
        new x509.ExtendedKeyUsageExtension([SERVER_AUTH, CLIENT_AUTH]),
        ...(alternatives.length === 0
          ? []
          : [new x509.SubjectAlternativeNameExtension(alternatives)]),
      ],
    },
    webcrypto,
  );
  writeFileSync(join(folder, `${user}.crt`), leaf.toString('pem'));
  writeFileSync(join(folder, `${user}.key`), await privatePem(own), { mode: 0o600 });
}

/** Paths in it are relative to the file, as the format has it. */
const kubeconfig = (user: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'lab',
        cluster: { server: `https://${API_ADDRESS}:6443`, 'certificate-authority': 'ca.crt' },
      },
    ],
    users: [
      { name: user, user: { 'client-certificate': `${user}.crt`, 'client-key': `${user}.key` } },
    ],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user } }],
    'current-context': 'lab',
  });

const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

async function privatePem({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  return pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', privateKey));
}

async function publicPem({ publicKey }: webcrypto.CryptoKeyPair): Promise<string> {
  return pem('PUBLIC KEY', await webcrypto.subtle.exportKey('spki', publicKey));
}

function pem(label: string, bytes: ArrayBuffer): string {
  const lines = Buffer.from(bytes).toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

const validity = () => ({
  notBefore: new Date(Date.now() - DAY_MILLIS),
  notAfter: new Date(Date.now() + 30 * DAY_MILLIS),
});
