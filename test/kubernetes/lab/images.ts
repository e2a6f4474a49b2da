// Container images made on this machine, since none can be pulled: a base, and the project's own.

import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder, keyOf, once } from '../../../tools/cache.ts';
import { run } from './commands.ts';

export type Say = (line: string) => void;

export const PAUSE_IMAGE = 'localhost/pause:1';
const SUITE = 'bookworm';
const BUILD_MILLIS_MAX = 600_000;
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

/**
 * Name of an image in the cache's store that stands in for `node:24-slim`: Debian, the Node that
 * this project pins, and the machine's npm.
 */
export async function baseImage(say: Say): Promise<string> {
  const lock = readFileSync(join(root, 'node_modules', 'node', 'package.json'), 'utf8');
  const version = /"version": *"([^"]+)"/.exec(lock)?.[1] ?? 'unknown';
  const name = `localhost/node-base:${SUITE}-${version}`;
  await once(join(cacheFolder(), 'images', `base-${SUITE}-${version}`), async () => {
    say(`making a base image once: Debian ${SUITE} by debootstrap, Node ${version}`);
    await makeBase(name);
    mark(`base-${SUITE}-${version}`);
  });
  return name;
}

function mark(name: string): void {
  writeFileSync(join(cacheFolder(), 'images', name), '');
}

async function makeBase(name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'journal-base-'));
  try {
    chmodSync(folder, 0o755);
    const debootstrap = ['debootstrap', '--variant=minbase', SUITE, folder, await mirror()];
    await run(['nice', '-n', '19', ...debootstrap], { millisMax: BUILD_MILLIS_MAX });
    rmSync(join(folder, 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true });
    addNode(folder, realpathSync((await run(['npm', 'root', '-g'])).trim()));
    const from = (await build('from', 'scratch')).trim();
    try {
      await build('add', '--quiet', from, folder, '/');
      await build('config', '--cmd', '["node"]', from);
      await build('commit', '--quiet', from, name);
    } finally {
      await build('rm', from);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The package mirror that this machine itself uses. */
async function mirror(): Promise<string> {
  const uris = await run(['apt-get', 'indextargets', '--format', '$(REPO_URI)']);
  const found = uris.split('\n').find((uri) => uri !== '' && !uri.includes('security'));
  return found ?? 'http://deb.debian.org/debian';
}

function addNode(folder: string, modules: string): void {
  const local = join(folder, 'usr', 'local');
  mkdirSync(join(local, 'lib', 'node_modules'), { recursive: true });
  const node = realpathSync(join(root, 'node_modules', 'node', 'bin', 'node'));
  cpSync(node, join(local, 'bin', 'node'));
  cpSync(join(modules, 'npm'), join(local, 'lib', 'node_modules', 'npm'), { recursive: true });
  for (const name of ['npm', 'npx']) {
    const script = `#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/${name}-cli.js "$@"\n`;
    writeFileSync(join(local, 'bin', name), script, { mode: 0o755 });
  }
}
