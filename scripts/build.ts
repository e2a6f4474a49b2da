// Builds the client package into dist/client: compiled, with a manifest of its own, ready to pack.
//
// Node.js does not remove types inside node_modules, so what is published has to be JavaScript. The
// package holds client/index.ts and whatever it imports, and depends on what those files import:
// no dependency of the other rooms comes along.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type Manifest = {
  readonly version: string;
  readonly license: string;
  readonly keywords: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
};

const NAME = 'journal-log-client';
const root = join(import.meta.dirname, '..');
const out = join(root, 'dist/client');

/** An import of the serving half that a client would carry out as well. */
const SERVED_STATICALLY = /\bfrom\s*['"]\.[^'"]*\/(?:server|standard|reflection)\.[jt]s['"]/;

rmSync(out, { recursive: true, force: true });
execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});

/** The serving half, which transport/grpc.ts loads only where something is served. */
const SERVING = ['server', 'services/standard', 'services/reflection'].map(
  (name) => `transport/${name}`,
);
for (const file of SERVING.flatMap((name) => [`${name}.js`, `${name}.d.ts`]))
  rmSync(join(out, file));
for (const file of globSync('**/*.{js,d.ts}', { cwd: out })) {
  const [found] = readFileSync(join(out, file), 'utf8').match(SERVED_STATICALLY) ?? [];
  if (found !== undefined) throw new Error(`${file} of the client needs a server: ${found}`);
}

// The compiler writes `.js` into the code, but leaves `.ts` in the declarations.
for (const file of globSync('**/*.d.ts', { cwd: out })) {
  const text = readFileSync(join(out, file), 'utf8');
  const fixed = text.replace(/(\b(?:from|import)\s*\(?\s*['"]\.[^'"]*)\.ts(?=['"])/g, '$1.js');
  writeFileSync(join(out, file), fixed);
}

// cast: it is our own file, beside this one, and a missing field shows at once.
const whole = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

/** The packages that the compiled files name, with the versions of this repository. */
function dependencies(): Record<string, string> {
  const used = new Set<string>();
  for (const file of globSync('**/*.{js,d.ts}', { cwd: out })) {
    const text = readFileSync(join(out, file), 'utf8');
    for (const match of text.matchAll(/\b(?:from|import)\s*\(?\s*['"]((?:@[\w-]+\/)?[\w-]+)/g)) {
      if (match[1] !== undefined && match[1] !== 'node') used.add(match[1]);
    }
  }
  return Object.fromEntries(
    [...used].sort().map((name) => {
      const version = whole.dependencies[name];
      if (version === undefined)
        throw new Error(`the client imports ${name}, no dependency of ours`);
      return [name, `^${version}`];
    }),
  );
}

const manifest = {
  name: NAME,
  version: whole.version,
  description: 'Client of Journal, the shared log for Kubernetes.',
  keywords: whole.keywords,
  license: whole.license,
  type: 'module',
  engines: { node: '>=22' },
  exports: { '.': { types: './client/index.d.ts', default: './client/index.js' } },
  sideEffects: false,
  dependencies: dependencies(),
  publishConfig: { access: 'public' },
};
writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
cpSync(join(root, 'LICENSE'), join(out, 'LICENSE'));
const readme = join(root, 'client/README.md');
if (existsSync(readme)) cpSync(readme, join(out, 'README.md'));
process.stdout.write(`dist/client is ${NAME} ${whole.version}: npm pack ./dist/client\n`);
