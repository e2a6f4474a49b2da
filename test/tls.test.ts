// TLS as processes use it: who is trusted, who is who, and certificates that change under way.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silent } from '../io/logger.ts';
import { type Network, unary } from '../io/network.ts';
import { nodeClock } from '../io/node.ts';
import { JournalError } from '../protocol/errors.ts';
import { lsn, micros } from '../protocol/types.ts';
import { grpcNetwork } from '../transport/grpc.ts';
import { journalMethods } from '../transport/methods.ts';
import type { TlsFiles } from '../transport/tls.ts';
import { type Authority, authority } from './certificates.ts';

const OPTIONS = { timeout: micros(3_000_000) };
const REFRESH = micros(50_000);

let folder = '';
let ours: Authority;
let theirs: Authority;
const networks: Network[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'journal-tls-'));
  ours = await authority('ours');
  theirs = await authority('theirs');
});

after(async () => {
  await Promise.all(networks.map((network) => network.close()));
  await rm(folder, { recursive: true, force: true });
});

/** Writes a certificate of `signer` under `file`; gives the paths. */
async function files(file: string, signer: Authority, names: readonly string[] = []) {
  const { cert, key } = await signer.issue(file, names);
  const paths = {
    ca: join(folder, `${file}.ca`),
    cert: join(folder, `${file}.cert`),
    key: join(folder, `${file}.key`),
  };
  await writeFile(paths.ca, signer.cert);
  await writeFile(paths.key, key);
  await writeFile(paths.cert, cert);
  return paths;
}

function network(tls: TlsFiles | undefined): Network {
  const made = grpcNetwork({ clock: nodeClock, logger: silent, tls });
  networks.push(made);
  return made;
}

/** Answers `tail` and keeps the names of the last caller. */
async function serve(tls: TlsFiles) {
  const seen: { names: readonly string[] } = { names: [] };
  const answer = unary(journalMethods.tail, async (_request, { identities }) => {
    seen.names = identities;
    return { tailLsn: lsn(1), endLsn: lsn(1), firstLsn: lsn(1), lineage: 1 };
  });
  const { address } = await network(tls).serve('127.0.0.1:0', [answer]);
  return { address, seen };
}

const ask = (from: Network, address: string) =>
  from.call(address, journalMethods.tail, { journal: 'orders' }, OPTIONS);

const unreachable = (error: unknown): boolean =>
  error instanceof JournalError && error.code === 'UNAVAILABLE' && error.outcome === 'none';

describe('TLS', () => {
  test('a client that trusts the authority is served; one that does not is not', async () => {
    const { address, seen } = await serve({ ...(await files('server', ours)), clients: 'none' });
    const { ca } = await files('trusting', ours);
    await ask(network({ ca }), address);
    assert.deepEqual(seen.names, []);
    const stranger = await files('stranger', theirs);
    await assert.rejects(ask(network({ ca: stranger.ca }), address), unreachable);
    await assert.rejects(ask(network(undefined), address), JournalError);
  });

  test('a client without an authority trusts those of the machine, and shows its own', async () => {
    const { address, seen } = await serve(await files('public', ours));
    const { ca, cert, key } = await files('user', ours);
    const script = `
      import { connect } from ${JSON.stringify(join(import.meta.dirname, '../client/index.ts'))};
      const [, endpoint, cert, key, timeout] = process.argv;
      await using client = connect({ endpoints: [endpoint], tls: { cert, key } });
      await client.journal('orders').tail({ timeoutMillis: Number(timeout) });
    `;
    const run = async (env: NodeJS.ProcessEnv, timeoutMillis = 10_000) => {
      const args = ['--input-type=module', '-e', script, address, cert, key, `${timeoutMillis}`];
      const child = spawn(process.execPath, args, { env: { ...process.env, ...env } });
      const [[code], stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
      return { code, stderr };
    };
    for (const variable of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) {
      seen.names = [];
      const { code, stderr } = await run({ [variable]: ca });
      assert.equal(code, 0, stderr);
      assert.ok(seen.names.includes('user'), variable);
    }
    // Reading all authorities of the machine can take a busy one a second.
    const { code, stderr } = await run({}, 5_000);
    assert.equal(code, 1);
    assert.match(stderr, /UNAVAILABLE/);
  });

  test('mutual: names of the certificate are the identities; strangers are cut off', async () => {
    const { address, seen } = await serve(await files('mutual', ours));
    await ask(network(await files('billing', ours, ['billing.example.com'])), address);
    assert.deepEqual(seen.names, ['billing', 'billing.example.com']);
    const { ca } = await files('nameless', ours);
    await assert.rejects(ask(network({ ca }), address), JournalError);
    const forged = { ...(await files('forged', theirs)), ca };
    await assert.rejects(ask(network(forged), address), JournalError);
  });

  test('files that change count for new connections; open ones stay', async () => {
    const paths = await files('changing', ours);
    const { address } = await serve({ ...paths, clients: 'none', refresh: REFRESH });
    const old = network({ ca: paths.ca });
    const { ca: other } = await files('other', theirs);
    await ask(old, address);
    await assert.rejects(ask(network({ ca: other }), address), unreachable);

    // Half of a change, as a reader may catch it, changes nothing.
    const next = await theirs.issue('changing');
    await writeFile(paths.cert, next.cert);
    await setTimeout(200);
    await ask(network({ ca: (await files('check', ours)).ca }), address);

    await writeFile(paths.key, next.key);
    await until(async () => {
      await ask(network({ ca: other }), address);
    });
    await ask(old, address);
  });

  test('a connection that never begins its handshake is closed', { timeout: 20_000 }, async () => {
    const tls: TlsFiles = { ...(await files('patient', ours)), clients: 'none' };
    const server = grpcNetwork({
      clock: nodeClock,
      logger: silent,
      tls,
      limits: { greeting: micros(2_000_000) },
    });
    networks.push(server);
    const answer = unary(journalMethods.tail, async () => {
      return { tailLsn: lsn(1), endLsn: lsn(1), firstLsn: lsn(1), lineage: 1 };
    });
    const { address } = await server.serve('127.0.0.1:0', [answer]);
    const mute = connect(Number(address.split(':')[1]), '127.0.0.1');
    mute.on('error', () => {});
    mute.resume();
    const closed = once(mute, 'close');
    const caller = network({ ca: tls.ca });
    await ask(caller, address);
    await closed;
    await setTimeout(2_500);
    await ask(caller, address);
  });

  test('what cannot work is refused at once, by name', () => {
    const missing = join(folder, 'missing');
    const refused = (tls: TlsFiles, says: RegExp): void => {
      assert.throws(
        () => network(tls),
        (error) => error instanceof JournalError && says.test(error.message),
      );
    };
    refused({ ca: missing }, /^tls \(.*missing\): ENOENT/);
    const words = join(folder, 'words');
    writeFileSync(words, 'no certificate\n');
    refused({ ca: words }, /^tls \(.*words\): ca has 15 bytes .* allowed are certificates/);
    refused({ cert: missing }, /^tls: cert and key are given both or not at all/);
  });
});

/** Tries for two seconds, since a change shows within a refresh. */
async function until(task: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task();
    } catch (error) {
      if (attempt === 20) throw error;
      await setTimeout(100);
    }
  }
}
