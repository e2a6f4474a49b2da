// Keeps the certificates of a cluster: authority, leaves, and their renewal without a refusal.
//
// A new authority is believed everywhere first, issues only after that has reached every pod, and
// the old one is believed until the last certificate that it issued is over. So at no moment does
// anybody show a certificate that somebody else does not believe. Believed is always down to the
// root: TLS does not stop at an intermediate authority.

import type { Random } from '../io/random.ts';
import { troubleOfIssued } from './handshake.ts';
import type { Ledger } from './journal/ledger.ts';
import type { Settled } from './journal/settle.ts';
import { changesOwner, isAsWanted } from './journal/steps.ts';
import { ASK, find, type World } from './journal/world.ts';
import type { KubeObject } from './kube/api.ts';
import { difference } from './kube/covers.ts';
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
  type Authority,
  believes,
  createAuthority,
  endingMillis,
  isDue,
  isPair,
  issue,
  joinPems,
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
  /** What there would be to do but for `spec.suspend`. */
  readonly held: readonly string[];
  /** When something is due next, milliseconds since 1970. */
  readonly dueMillis: number;
}

interface Context extends CertifyOptions {
  readonly world: World;
  readonly settled: Settled;
  readonly leaves: readonly Leaf[];
  readonly issuer: Issuer;
}

/**
 * The Secrets that have to be written now, the authority's first. While the cluster is suspended
 * what is there is renewed in time, since it would end otherwise, and nothing else is written.
 */
export async function certify(
  world: World,
  ledger: Ledger,
  settled: Settled,
  options: CertifyOptions,
): Promise<Certified> {
  const { authority: name } = namesOf(settled.name);
  const nothing = { secrets: [], trouble: '', held: [], dueMillis: Number.POSITIVE_INFINITY };
  if (!settled.tls.enabled) return nothing;
  if (settled.tls.issuerSecretName === name) {
    const trouble = `issuerSecretName is ${name}, a name of the operator's own: choose another one`;
    return { ...nothing, trouble };
  }
  const present = find(world, 'Secret', name);
  const before = readAuthority(present);
  if (before === null && present !== undefined) {
    return { ...nothing, trouble: `Secret ${name} holds no authority: restore it` };
  }
  const suspended = isSuspended(world);
  if (before === null && suspended) {
    const why = `Secret ${name} is missing`;
    return { ...nothing, held: [why], trouble: ledger.replicas.length === 0 ? '' : why };
  }
  const issuer = await issuerOf(world, settled, options);
  if (typeof issuer === 'string') return { ...nothing, trouble: issuer };
  const leaves = leavesOf(ledger, settled);
  const context = { ...options, world, settled, leaves, issuer };
  const { state, held: wish } = await nextAuthority(context, before);
  const bundle = bundleOf(state);
  const wanted = authoritySecret(settled, state, bundle);
  const same = suspended
    ? difference(wanted.data, present?.data) === null && !changesOwner(world, ledger, wanted)
    : isAsWanted(world, wanted);
  const secrets = same ? [] : [wanted];
  const held = wish === '' ? [] : [wish];
  let dueMillis = await authorityDue(state, options);
  for (const leaf of leaves) {
    if (suspended && find(world, 'Secret', leaf.secretName) === undefined) {
      held.push(`Secret ${leaf.secretName} is missing`);
      continue;
    }
    const { secret, due } = await leafStep(context, state, leaf, bundle);
    if (secret !== null) secrets.push(secret);
    dueMillis = Math.min(dueMillis, due);
  }
  return { secrets, trouble: await endingOf(world, issuer), held, dueMillis };
}

/** Nothing below an authority is believed after its end, which only its owner can put off. */
async function endingOf({ cluster, nowMillis }: World, issuer: Issuer): Promise<string> {
  if (issuer.kind === 'own') return '';
  const { cert, root = '' } = issuer.authority;
  for (const one of [cert, root]) {
    const read = await readCertificate(one);
    if (read === null || nowMillis < endingMillis(read)) continue;
    const end = new Date(read.notAfterMillis).toISOString();
    const name = cluster.spec.tls?.issuerSecretName ?? '';
    return `Secret ${name}: its authority ends at ${end}, and all below it with it: renew it`;
  }
  return '';
}

const isSuspended = ({ cluster }: World): boolean => cluster.spec.suspend === true;

type Issuer =
  | { readonly kind: 'own' }
  | { readonly kind: 'given'; readonly authority: Required<Authority> };

/** In words, where the Secret that the spec names cannot be used. */
async function issuerOf(
  { objects, nowMillis }: World,
  settled: Settled,
  { random }: CertifyOptions,
): Promise<Issuer | string> {
  const { issuerSecretName: name, leafDays: days } = settled.tls;
  if (name === '') return { kind: 'own' };
  const secret = find({ objects }, 'Secret', name);
  if (!isKubeObject(secret)) return `Secret ${name} is not there`;
  const authority = { ...readPair(secret), root: decodedAt(secret, 'ca.crt') };
  const missing = ['tls.crt', 'tls.key'].filter((key) => decodedAt(secret, key) === '');
  if (missing.length > 0) return `Secret ${name} has no ${missing.join(' and no ')}`;
  const server = processLeaf(settled, { component: 'replica', id: 'replica-1', zone: '' });
  const [operator] = ownLeaves(settled);
  const wrong =
    troubleOfIssuer(authority, nowMillis) ||
    (await troubleOfIssued(authority, server.subject, operator.subject, {
      ...{ serial: serial(random), nowMillis, days },
    }));
  if (wrong !== '') return `Secret ${name}: ${wrong}`;
  return { kind: 'given', authority };
}

/** The authority as it is to be now: first, next, or moved on by one phase. */
async function nextAuthority(
  context: Context,
  before: AuthorityState | null,
): Promise<{ readonly state: AuthorityState; readonly held: string }> {
  const { world, issuer } = context;
  if (before === null) return { state: await firstAuthority(context), held: '' };
  const previous = before.previous.filter(({ untilMillis }) => untilMillis > world.nowMillis);
  // What an authority stands below is not in what an older operator kept.
  const rooted = <T extends Authority>(one: T): T =>
    issuer.kind === 'given' && issuer.authority.cert === one.cert
      ? { ...one, root: issuer.authority.root }
      : one;
  const next = before.next === null ? null : rooted(before.next);
  const kept = { ...before, current: rooted(before.current), next, previous };
  if (next !== null) return { state: await movedOn(context, kept, next), held: '' };
  const wish = await wishFor(context, kept);
  if (wish === 'none') return { state: kept, held: '' };
  if (wish === 'held') return { state: kept, held: 'another authority is to issue' };
  const follows = { ...(await freshAuthority(context)), sinceMillis: world.nowMillis };
  const rotation = rotationOf(world) || before.rotation;
  return { state: { ...kept, next: follows, rotation }, held: '' };
}

const rotationOf = ({ cluster }: World): string => cluster.metadata.annotations?.[ASK.rotate] ?? '';

async function freshAuthority({ world, settled, issuer, random }: Context): Promise<Authority> {
  if (issuer.kind === 'given') return issuer.authority;
  return await createAuthority(`${settled.name}.${settled.namespace}`, {
    serial: serial(random),
    nowMillis: world.nowMillis,
    days: settled.tls.authorityDays,
  });
}

/**
 * Where certificates are there and the Secret of who issued them is not, that one is believed on,
 * and a new one issues as any other does that follows.
 */
async function firstAuthority(context: Context): Promise<AuthorityState> {
  const { world, settled, leaves } = context;
  const { nowMillis } = world;
  const fresh = await freshAuthority(context);
  const bundles: string[] = [];
  for (const { secretName } of leaves) {
    const secret = find(world, 'Secret', secretName);
    const own = secret?.metadata.ownerReferences?.some(({ uid }) => uid === settled.uid) === true;
    const bundle = own ? decodedAt(secret, 'ca.crt') : '';
    if ((await readCertificate(bundle)) !== null) bundles.push(bundle);
  }
  const base = { next: null, previous: [], rotation: rotationOf(world) };
  if (bundles.length === 0) return { ...base, current: fresh };
  const lost = joinPems(bundles);
  if (!bundles.every((bundle) => believes(bundle, fresh.cert))) {
    const next = { ...fresh, sinceMillis: nowMillis };
    return { ...base, current: { cert: lost, key: '' }, next };
  }
  return { ...base, current: fresh, previous: [{ cert: lost, untilMillis: await over(context) }] };
}

/** When the last of the certificates that were issued until now is over. */
async function over({ world, settled, leaves }: Context): Promise<number> {
  const certs = leaves.map(({ secretName }) => readPair(find(world, 'Secret', secretName)).cert);
  const ends = (await Promise.all(certs.map(readCertificate))).map(
    (one) => one?.notAfterMillis ?? 0,
  );
  return Math.max(world.nowMillis + settled.tls.leafDays * DAY_MILLIS, ...ends);
}

async function movedOn(
  context: Context,
  kept: AuthorityState,
  next: NonNullable<AuthorityState['next']>,
): Promise<AuthorityState> {
  const { world, leaves, spreadMillis } = context;
  const { sinceMillis, ...current } = next;
  if (world.nowMillis - sinceMillis < spreadMillis) return kept;
  // Where the writes ended on the way the time runs once more, from the last of them.
  const told = leaves.every(({ secretName }) => {
    const secret = find(world, 'Secret', secretName);
    return secret === undefined || believes(decodedAt(secret, 'ca.crt'), next.cert);
  });
  if (!told) return { ...kept, next: { ...next, sinceMillis: world.nowMillis } };
  const { cert, root = '' } = kept.current;
  const past = { cert: joinPems([cert, root]), untilMillis: await over(context) };
  return { ...kept, current, next: null, previous: [...kept.previous, past] };
}

/** Whether another authority is to follow; a suspended cluster gets it in time, not on demand. */
async function wishFor(
  { world, issuer }: Context,
  { current, rotation }: AuthorityState,
): Promise<'none' | 'held' | 'now'> {
  const read = await readCertificate(current.cert);
  const old = read === null || world.nowMillis > renewalMillis(read);
  const asked = rotationOf(world);
  const wished =
    issuer.kind === 'given'
      ? issuer.authority.cert !== current.cert
      : old || current.root !== undefined || (asked !== '' && asked !== rotation);
  if (!wished) return 'none';
  return isSuspended(world) && !old ? 'held' : 'now';
}

/** Everybody who is believed, with what each stands below. */
function bundleOf({ current, next, previous }: AuthorityState): string {
  const certs = [current.cert, next?.cert ?? ''];
  const roots = [current.root ?? '', next?.root ?? ''];
  return joinPems([...certs, ...roots, ...previous.map(({ cert }) => cert)]);
}

async function authorityDue(
  { current, next, previous }: AuthorityState,
  { spreadMillis }: CertifyOptions,
): Promise<number> {
  if (next !== null) return next.sinceMillis + spreadMillis;
  // That of somebody else is renewed by them.
  const read = current.root === undefined ? await readCertificate(current.cert) : null;
  return Math.min(
    read === null ? Number.POSITIVE_INFINITY : renewalMillis(read),
    ...previous.map(({ untilMillis }) => untilMillis),
  );
}

const leavesOf = (ledger: Ledger, settled: Settled): readonly Leaf[] => [
  ...ownLeaves(settled),
  ...ledger.controllers.map((one) => processLeaf(settled, { ...one, component: 'controller' })),
  ...ledger.replicas.map((one) => processLeaf(settled, { ...one, component: 'replica' })),
];

async function leafStep(
  { world, settled, random }: Context,
  { current }: AuthorityState,
  leaf: Leaf,
  bundle: string,
): Promise<{ readonly secret: KubeObject | null; readonly due: number }> {
  const { nowMillis } = world;
  const { leafDays: days } = settled.tls;
  const present = find(world, 'Secret', leaf.secretName);
  const pair = readPair(present);
  const [read, authority] = await Promise.all([
    readCertificate(pair.cert),
    readCertificate(current.cert),
  ]);
  if (authority === null) throw new Error('the authority cannot be read');
  const due = isDue(read, authority, leaf.subject, nowMillis) || !isPair(pair);
  const mute = current.key === '';
  if (read === null && mute) return { secret: null, due: Number.POSITIVE_INFINITY };
  if (read !== null && (!due || mute)) {
    const wanted = leafSecret(settled, leaf, pair, bundle);
    const same = isSuspended(world)
      ? decodedAt(present, 'ca.crt') === bundle
      : isAsWanted(world, wanted);
    const secret = same ? null : wanted;
    return { secret, due: mute ? Number.POSITIVE_INFINITY : renewalMillis(read) };
  }
  const issuing = { serial: serial(random), nowMillis, days };
  const issued = await issue(current, leaf.subject, issuing);
  const secret = leafSecret(settled, leaf, issued, bundle);
  return { secret, due: nowMillis + (days * DAY_MILLIS * 2) / 3 };
}

/** Positive, as X.509 wants it: the first bit is 0. */
const serial = (random: Random): string => `1${random.hex(10).slice(1)}`;
