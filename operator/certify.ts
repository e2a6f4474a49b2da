// Keeps the certificates of a cluster: authority, leaves, and their renewal without a refusal.
//
// A new authority is believed everywhere first, issues only after that has reached every pod, and
// the old one is believed until the last certificate that it issued is over. So at no moment does
// anybody show a certificate that somebody else does not believe.

import type { Random } from '../io/random.ts';
import type { Ledger } from './journal/ledger.ts';
import type { Settled } from './journal/settle.ts';
import { isAsWanted } from './journal/steps.ts';
import { ASK, find, type World } from './journal/world.ts';
import type { KubeObject } from './kube/api.ts';
import { isKubeObject } from './kube/fields.ts';
import { namesOf } from './manifests/common.ts';
import {
  type AuthorityState,
  authoritySecret,
  decodedAt,
  type Leaf,
  leafSecret,
  ownLeaves,
  processLeaf,
  readAuthority,
  readPair,
} from './manifests/secret.ts';
import {
  createAuthority,
  isDue,
  issue,
  joinPems,
  type Pair,
  readCertificate,
  renewalMillis,
  troubleOfIssuer,
} from './pki.ts';

const DAY_MILLIS = 86_400_000;

export interface CertifyOptions {
  readonly random: Random;
  /** How long a changed Secret takes to reach every pod, at most. */
  readonly spreadMillis: number;
}

export interface Certified {
  /** Secrets to be written. */
  readonly secrets: readonly KubeObject[];
  /** What is wrong; empty where nothing is. */
  readonly trouble: string;
  /** When something is due next, milliseconds since 1970. */
  readonly dueMillis: number;
}

/** The Secrets that have to be written now, the authority's first. */
export async function certify(
  world: World,
  ledger: Ledger,
  settled: Settled,
  options: CertifyOptions,
): Promise<Certified> {
  const names = namesOf(settled.name);
  const nothing = { secrets: [], trouble: '', dueMillis: Number.POSITIVE_INFINITY };
  if (!settled.tls.enabled) return nothing;
  const present = find(world, 'Secret', names.authority);
  const before = readAuthority(present);
  if (before === null && present !== undefined) {
    return { ...nothing, trouble: `Secret ${names.authority} holds no authority: restore it` };
  }
  const issuer = issuerOf(world, settled);
  if (typeof issuer === 'string') return { ...nothing, trouble: issuer };
  const state = await nextAuthority(world, settled, options, before, issuer);
  const bundle = bundleOf(state, issuer);
  const wanted = authoritySecret(settled, state, bundle);
  const secrets = isAsWanted(world, wanted) ? [] : [wanted];
  let dueMillis = await authorityDue(state, options);
  for (const leaf of leavesOf(ledger, settled)) {
    const { secret, due } = await leafStep(world, settled, options, state, leaf, bundle);
    if (secret !== null) secrets.push(secret);
    dueMillis = Math.min(dueMillis, due);
  }
  return { secrets, trouble: '', dueMillis };
}

type Issuer =
  | { readonly kind: 'own' }
  | { readonly kind: 'given'; readonly pair: Pair; readonly root: string };

/** In words, where the Secret that the spec names cannot be used. */
function issuerOf({ objects, nowMillis }: World, { tls }: Settled): Issuer | string {
  const { issuerSecretName: name } = tls;
  if (name === '') return { kind: 'own' };
  const secret = find({ objects }, 'Secret', name);
  if (!isKubeObject(secret)) return `Secret ${name} is not there`;
  const pair = readPair(secret);
  const missing = ['tls.crt', 'tls.key'].filter((key) => decodedAt(secret, key) === '');
  if (missing.length > 0) return `Secret ${name} has no ${missing.join(' and no ')}`;
  const wrong = troubleOfIssuer(pair, nowMillis);
  if (wrong !== '') return `Secret ${name}: ${wrong}`;
  return { kind: 'given', pair, root: decodedAt(secret, 'ca.crt') };
}

/** The authority as it is to be now: first, next, or moved on by one phase. */
async function nextAuthority(
  world: World,
  settled: Settled,
  options: CertifyOptions,
  before: AuthorityState | null,
  issuer: Issuer,
): Promise<AuthorityState> {
  const { nowMillis } = world;
  const rotation = world.cluster.metadata.annotations?.[ASK.rotate] ?? '';
  const fresh = async (): Promise<Pair> =>
    issuer.kind === 'given'
      ? issuer.pair
      : await createAuthority(`${settled.name}.${settled.namespace}`, {
          serial: serial(options.random),
          nowMillis,
          days: settled.tls.authorityDays,
        });
  if (before === null) return { current: await fresh(), next: null, previous: [], rotation };
  const previous = before.previous.filter(({ untilMillis }) => untilMillis > nowMillis);
  const { current, next } = before;
  if (next !== null) {
    if (nowMillis - next.sinceMillis < options.spreadMillis) return { ...before, previous };
    const untilMillis = nowMillis + settled.tls.leafDays * DAY_MILLIS;
    return {
      current: { cert: next.cert, key: next.key },
      next: null,
      previous: [...previous, { cert: current.cert, untilMillis }],
      rotation: before.rotation,
    };
  }
  const read = await readCertificate(current.cert);
  const old = read === null || nowMillis > renewalMillis(read);
  const due = issuer.kind === 'own' ? old || rotation !== before.rotation : false;
  const other = issuer.kind === 'given' && issuer.pair.cert !== current.cert;
  if (!due && !other) return { ...before, previous };
  return { current, next: { ...(await fresh()), sinceMillis: nowMillis }, previous, rotation };
}

/** Everybody who is believed. */
function bundleOf({ current, next, previous }: AuthorityState, issuer: Issuer): string {
  const root = issuer.kind === 'given' ? [issuer.root] : [];
  const others = previous.map(({ cert }) => cert);
  return joinPems([current.cert, ...(next === null ? [] : [next.cert]), ...root, ...others]);
}

async function authorityDue(state: AuthorityState, options: CertifyOptions): Promise<number> {
  if (state.next !== null) return state.next.sinceMillis + options.spreadMillis;
  const read = await readCertificate(state.current.cert);
  return Math.min(
    read === null ? Number.POSITIVE_INFINITY : renewalMillis(read),
    ...state.previous.map(({ untilMillis }) => untilMillis),
  );
}

const leavesOf = (ledger: Ledger, settled: Settled): readonly Leaf[] => [
  ...ownLeaves(settled),
  ...ledger.controllers.map((one) => processLeaf(settled, { ...one, component: 'controller' })),
  ...ledger.replicas.map((one) => processLeaf(settled, { ...one, component: 'replica' })),
];

async function leafStep(
  world: World,
  settled: Settled,
  options: CertifyOptions,
  state: AuthorityState,
  leaf: Leaf,
  bundle: string,
): Promise<{ readonly secret: KubeObject | null; readonly due: number }> {
  const present = find(world, 'Secret', leaf.secretName);
  const pair = readPair(present);
  const [read, authority] = await Promise.all([
    readCertificate(pair.cert),
    readCertificate(state.current.cert),
  ]);
  if (authority === null) throw new Error('the authority cannot be read');
  if (read !== null && !isDue(read, authority, leaf.subject, world.nowMillis)) {
    const same = decodedAt(present, 'ca.crt') === bundle;
    const secret = same ? null : leafSecret(settled, leaf, pair, bundle);
    return { secret, due: renewalMillis(read) };
  }
  const issued = await issue(state.current, leaf.subject, {
    serial: serial(options.random),
    nowMillis: world.nowMillis,
    days: settled.tls.leafDays,
  });
  const secret = leafSecret(settled, leaf, issued, bundle);
  return { secret, due: world.nowMillis + (settled.tls.leafDays * DAY_MILLIS * 2) / 3 };
}

/** Positive, as X.509 wants it: the first bit is 0. */
const serial = (random: Random): string => `1${random.hex(10).slice(1)}`;
