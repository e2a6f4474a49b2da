// One process a directory: Node.js has no flock, so the hold is a Unix socket that is listened on.
//
// A socket ends with its process, however it ends, and whether one lives is told by connecting. On
// Linux a socket in the abstract name space, named by the directory's device and inode, comes
// first: the kernel gives it to one process only, and no stale one is ever left. It is not seen
// from other containers, so a socket in the directory follows, which is. Two containers that both
// find the same stale socket within the same moment are told apart by asking again afterwards.

import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { basename, join } from 'node:path';
import { DiskError } from './disk.ts';

const SOCKET_NAME = 'lock';
/** Longest path of a Unix socket on the systems that are served, in bytes. */
const SOCKET_PATH_BYTES_MAX = 100;
const ASK_MILLIS_MAX = 1000;
const TAKEOVERS_MAX = 3;

export interface Held {
  release(): Promise<void>;
}

export async function lockDirectory(path: string): Promise<Held> {
  const abstract = await listenAbstract(path);
  try {
    const socket = await listenInside(path);
    return {
      async release() {
        await socket?.release();
        if (abstract !== null) await closed(abstract);
      },
    };
  } catch (error) {
    if (abstract !== null) await closed(abstract);
    throw error;
  }
}

const busy = (path: string): DiskError => new DiskError('EBUSY', path);

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';

async function listenAbstract(path: string): Promise<Server | null> {
  if (process.platform !== 'linux') return null;
  const { dev, ino } = await stat(path, { bigint: true });
  try {
    return await listening(`\0journal-${dev}-${ino}`, () => '');
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') throw busy(path);
    throw error;
  }
}

/** Null where the file system knows no sockets. */
async function listenInside(directory: string): Promise<Held | null> {
  const { path, handle } = await shortPath(directory);
  const socket = join(path, SOCKET_NAME);
  const nonce = randomBytes(8).toString('hex');
  try {
    for (let takeover = 0; takeover < TAKEOVERS_MAX; takeover += 1) {
      const server = await tryListen(socket, nonce);
      if (server === null) {
        if (await setStaleAside(socket)) continue;
        throw busy(directory);
      }
      if ((await ask(socket)) === nonce) {
        return {
          async release() {
            await closed(server); // removes the socket
            await handle?.close();
          },
        };
      }
      server.close();
    }
    throw busy(directory);
  } catch (error) {
    await handle?.close();
    if (['EOPNOTSUPP', 'ENOTSUP'].includes(codeOf(error))) return null;
    throw error;
  }
}

/** Null where the name is taken. */
async function tryListen(socket: string, nonce: string): Promise<Server | null> {
  try {
    return await listening(socket, () => nonce);
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return null;
    throw error;
  }
}

/** Moves the socket of a process that is gone out of the way; false where one lives. */
async function setStaleAside(socket: string): Promise<boolean> {
  if ((await ask(socket)) !== null) return false;
  const aside = `${socket}.${randomBytes(8).toString('hex')}`;
  try {
    await rename(socket, aside);
    // Somebody else may have taken over between the question and the rename: it gets its name back.
    if ((await ask(aside)) !== null) {
      await rename(aside, socket);
      return false;
    }
    await unlink(aside);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  return true;
}

/** What the holder says; null where nobody listens. A holder that is stopped counts as living. */
function ask(socket: string): Promise<string | null> {
  return new Promise((resolve) => {
    let said = '';
    const connection = connect(socket);
    const end = (answer: string | null): void => {
      connection.destroy();
      resolve(answer);
    };
    connection.setTimeout(ASK_MILLIS_MAX, () => end(said));
    connection.on('data', (bytes) => {
      said += bytes.toString('latin1');
    });
    connection.on('end', () => end(said));
    connection.on('error', (error) => {
      end(['ECONNREFUSED', 'ENOENT'].includes(codeOf(error)) ? null : said);
    });
  });
}

function listening(path: string, say: () => string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => {
      connection.on('error', () => connection.destroy());
      connection.end(say());
    });
    server.on('error', reject);
    server.listen({ path }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** The directory under a name that fits into the address of a socket. */
async function shortPath(
  directory: string,
): Promise<{ readonly path: string; readonly handle: FileHandle | null }> {
  const bytes = Buffer.byteLength(directory) + SOCKET_NAME.length + 18;
  if (bytes <= SOCKET_PATH_BYTES_MAX) return { path: directory, handle: null };
  if (process.platform !== 'linux') {
    throw new DiskError('ENAMETOOLONG', join(directory, basename(SOCKET_NAME)));
  }
  const handle = await open(directory, 'r');
  return { path: `/proc/self/fd/${handle.fd}`, handle };
}
