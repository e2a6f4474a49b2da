// Container images made on this machine, since none can be pulled: a base, and the project's own.

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { alone, cacheFolder, isThere, keyOf, once } from '../../../tools/cache.ts';
import { run } from './commands.ts';

export type Say = (line: string) => void;

export const PAUSE_IMAGE = 'localhost/pause:1';
export const PROJECT_IMAGE = 'localhost/journal:lab';
/** The name that charts, examples and docs use: so that they work on a lab as they are written. */
export const PUBLISHED_IMAGE = 'ghcr.io/journal-log/journal:0.1.0';
/** Another name for the same image: what a roll goes to. */
export const NEXT_IMAGE = 'localhost/journal:next';
/** The same code under the version that comes next: what an upgrade goes to. */
export const NEWER_IMAGE = 'localhost/journal:newer';
export const NEWER_VERSION = '0.2.0';
/** Certificates of authorities that Debian keeps in one file. */
const TRUSTED = '/etc/ssl/certs/ca-certificates.crt';
const SUITE = 'bookworm';
const BUILD_MILLIS_MAX = 600_000;
/** Another run may be about to use an older archive. */
const KEPT_MILLIS = 3_600_000;
const root = join(import.meta.dirname, '..', '..', '..');

/** buildah with a store of its own in the cache, so that nobody else's images are touched. */
function buildah(): string[] {
  const store = join(cacheFolder(), 'buildah');
  const driver = ['--storage-driver', 'overlay'];
  return ['buildah', '--root', store, '--runroot', join(store, 'run'), ...driver];
}

const build = (...args: readonly string[]): Promise<string> =>
  run([...buildah(), ...args], { millisMax: BUILD_MILLIS_MAX });

/** Makes an archive once, in one step, and answers its path. */
async function archive(
  name: string,
  key: string,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const path = join(cacheFolder(), 'images', `${name}-${key}.tar`);
  await once(path, async () => {
    rmSync(`${path}.made`, { force: true });
    await make(`${path}.made`);
    renameSync(`${path}.made`, path);
  });
  return path;
}

/** An image of one static program that waits: what holds a pod's namespaces. */
export function pauseImage(program: string): Promise<string> {
  return archive('pause', keyOf(program), async (path) => {
    const from = (await build('from', 'scratch')).trim();
    try {
      await build('add', from, program, '/pause');
      await build('config', '--entrypoint', '["/pause"]', '--user', '65535', from);
      await build('commit', '--quiet', from, PAUSE_IMAGE);
      await build('push', '--quiet', PAUSE_IMAGE, `docker-archive:${path}:${PAUSE_IMAGE}`);
    } finally {
      await build('rm', from);
    }
  });
}

/** Names of images in the cache's store. */
export interface Bases {
  /** Stands in for `node:24-slim`: Debian and the Node that this project pins. */
  readonly base: string;
  /** The same with npm and with what this machine trusts. */
  readonly builder: string;
}

export async function baseImages(say: Say): Promise<Bases> {
  const manifest = readFileSync(join(root, 'node_modules', 'node', 'package.json'), 'utf8');
  const version = /"version": *"([^"]+)"/.exec(manifest)?.[1] ?? 'unknown';
  const tag = `${SUITE}-${version}`;
  const bases = { base: `localhost/node:${tag}`, builder: `localhost/node-builder:${tag}` };
  const done = join(cacheFolder(), 'images', `bases-${tag}`);
  await once(done, async () => {
    say(`making a base image once: Debian ${SUITE} by debootstrap, Node ${version}`);
    await makeBases(bases);
    writeFileSync(done, '');
  });
  return bases;
}

async function makeBases({ base, builder }: Bases): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'journal-base-'));
  try {
    const debian = join(folder, 'debian');
    const debootstrap = ['debootstrap', '--variant=minbase', SUITE, debian, await mirror()];
    await run(['nice', '-n', '19', ...debootstrap], { millisMax: BUILD_MILLIS_MAX });
    for (const needless of ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/doc']) {
      rmSync(join(debian, needless), { recursive: true, force: true });
    }
    const node = join(debian, 'usr', 'local', 'bin', 'node');
    cpSync(realpathSync(join(root, 'node_modules', 'node', 'bin', 'node')), node);
    await layer('scratch', debian, [], base);
    const extra = join(folder, 'extra');
    await addNpm(extra);
    const trust = ['--env', `NODE_EXTRA_CA_CERTS=${TRUSTED}`];
    await layer(base, extra, trust, builder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Commits `from` with the files of a folder on top under a name. */
async function layer(
  from: string,
  files: string,
  settings: readonly string[],
  name: string,
): Promise<void> {
  const container = (await build('from', '--pull-never', from)).trim();
  try {
    await build('add', '--quiet', container, files, '/');
    if (settings.length > 0) await build('config', ...settings, container);
    await build('commit', '--quiet', container, name);
  } finally {
    await build('rm', container);
  }
}

/** The package mirror that this machine itself uses. */
async function mirror(): Promise<string> {
  const uris = await run(['apt-get', 'indextargets', '--format', '$(REPO_URI)']);
  const found = uris.split('\n').find((uri) => uri !== '' && !uri.includes('security'));
  return found ?? 'http://deb.debian.org/debian';
}

/** Where npm lies: its own answer is wrong where the Node.js of this project runs it. */
async function npmFolder(): Promise<string> {
  const command = realpathSync((await run(['sh', '-c', 'command -v npm'])).trim());
  const folders = [
    dirname(dirname(command)),
    join((await run(['npm', 'root', '-g'])).trim(), 'npm'),
  ];
  const found = folders.find((one) => isThere(join(one, 'bin', 'npm-cli.js')));
  if (found === undefined) throw new Error(`npm is not there: looked in ${folders.join(', ')}`);
  return realpathSync(found);
}

async function addNpm(folder: string): Promise<void> {
  const modules = join(folder, 'usr', 'local', 'lib', 'node_modules');
  cpSync(await npmFolder(), join(modules, 'npm'), { recursive: true });
  const script = '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n';
  mkdirSync(join(folder, 'usr', 'local', 'bin'), { recursive: true });
  writeFileSync(join(folder, 'usr', 'local', 'bin', 'npm'), script, { mode: 0o755 });
  if (!isThere(TRUSTED)) return;
  mkdirSync(join(folder, dirname(TRUSTED)), { recursive: true });
  cpSync(realpathSync(TRUSTED), join(folder, TRUSTED));
}

/** Builds the project's own image by its Dockerfile and answers an archive of it. */
export function projectImage(say: Say): Promise<string> {
  return alone(join(cacheFolder(), 'images', 'project'), () => buildProject(say));
}

async function buildProject(say: Say): Promise<string> {
  const { base, builder } = await baseImages(say);
  const how = ['--isolation', 'chroot', '--pull-never', '--layers', '--quiet'];
  const args = ['--build-arg', `BASE=${base}`, '--build-arg', `BUILDER=${builder}`];
  const one = (...rest: readonly string[]) => build('bud', ...how, ...args, ...rest, root);
  // The stage has a name, so that the tidying below leaves it to the next build.
  await one('--target', 'build', '--tag', 'localhost/journal-build:lab');
  const id = (await one('--tag', PROJECT_IMAGE)).trim();
  const path = await archive('project', id.slice(0, 16), async (made) => {
    say('packing the image of the project');
    await build('push', '--quiet', id, `docker-archive:${made}:${PROJECT_IMAGE}`);
  });
  await build('rmi', '--prune', '--force');
  removeBesides(path, 'project');
  return path;
}

/** An archive of the project's image as it is now, under the version that comes next. */
export async function newerImage(): Promise<string> {
  const text = readFileSync(join(root, 'package.json'), 'utf8');
  const manifest = text.replace(/"version": *"[^"]+"/, `"version": "${NEWER_VERSION}"`);
  const id = await build('inspect', '--type=image', '--format={{.FromImageID}}', PROJECT_IMAGE);
  const path = await archive('newer', keyOf(id, manifest), async (made) => {
    const folder = mkdtempSync(join(tmpdir(), 'journal-newer-'));
    try {
      mkdirSync(join(folder, 'files', 'app'), { recursive: true });
      writeFileSync(join(folder, 'files', 'app', 'package.json'), manifest);
      const label = ['--label', `org.opencontainers.image.version=${NEWER_VERSION}`];
      await layer(PROJECT_IMAGE, join(folder, 'files'), label, NEWER_IMAGE);
      await build('push', '--quiet', NEWER_IMAGE, `docker-archive:${made}:${NEWER_IMAGE}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  removeBesides(path, 'newer');
  return path;
}

/**
 * Builds the image from a folder of sources with nothing that earlier builds left, as of one
 * moment, seconds since 1970; answers the digest of its manifest.
 */
export async function digestOf(sources: string, seconds: number, say: Say): Promise<string> {
  const { base, builder } = await baseImages(say);
  const how = ['--isolation', 'chroot', '--pull-never', '--no-cache', '--quiet'];
  const args = ['--build-arg', `BASE=${base}`, '--build-arg', `BUILDER=${builder}`];
  const id = (await build('bud', ...how, ...args, '--timestamp', `${seconds}`, sources)).trim();
  try {
    return await build('inspect', '--type=image', '--format={{.FromImageDigest}}', id);
  } finally {
    await build('rmi', '--force', id);
  }
}

/** Removes the archives of an image that no run of the last hour has made. */
function removeBesides(path: string, image: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    const other = join(folder, name);
    if (!name.startsWith(`${image}-`) || other === path) continue;
    if (Date.now() - statSync(other).mtimeMs > KEPT_MILLIS) rmSync(other, { force: true });
  }
}
