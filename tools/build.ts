// Builds Go programs of the catalogue into the cache: only what is asked for and is not there.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder, isThere, keyOf, once } from './cache.ts';
import { type Tool, tools } from './catalog.ts';

export type Say = (line: string) => void;

/** Paths of programs by name. Throws where a name is unknown or a build fails. */
export async function build(
  names: readonly string[],
  say: Say,
): Promise<ReadonlyMap<string, string>> {
  const wanted = names.map((name) => {
    const tool = tools.get(name);
    if (tool === undefined) {
      throw new Error(`no tool is called ${name}; there are: ${[...tools.keys()].join(', ')}`);
    }
    return { name, tool, path: pathOf(name, tool) };
  });
  const absent = wanted.filter(({ path }) => !isThere(path));
  if (absent.length > 0) {
    say(`building once, by the Go tool chain: ${absent.map(({ name }) => name).join(', ')}`);
    say(`into ${cacheFolder()}; minutes each the first time`);
  }
  for (const { name, tool, path } of absent) {
    const begun = Date.now();
    await once(path, () => compile(tool, path));
    say(`built ${name} (${Math.round((Date.now() - begun) / 1000)} s)`);
  }
  return new Map(wanted.map(({ name, path }) => [name, path]));
}

function pathOf(name: string, tool: Tool): string {
  const folder = folderOf(tool);
  const texts = ['go.mod', 'go.sum', 'main.go'].map((file) => {
    const path = join(folder, file);
    return isThere(path) ? readFileSync(path, 'utf8') : '';
  });
  const key = keyOf(process.arch, linkerFlags(tool), ...tagFlags(tool), ...texts);
  return join(cacheFolder(), 'tools', `${tool.module}-${key}`, name);
}

const folderOf = (tool: Tool): string => join(import.meta.dirname, tool.module);

const linkerFlags = ({ set }: Tool): string =>
  ['-s -w', ...Object.entries(set).map(([name, value]) => `-X ${name}=${value}`)].join(' ');

const tagFlags = ({ tags }: Tool): string[] => (tags === undefined ? [] : [`-tags=${tags}`]);

/** Go's own cache keeps the packages, so a build that was cut short goes on where it was. */
async function compile(tool: Tool, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const made = `${path}.made`;
  const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', linkerFlags(tool)];
  const command = ['go', 'build', ...flags, ...tagFlags(tool), '-o', made, tool.package];
  const child = spawn('nice', ['-n', '19', ...command], {
    cwd: folderOf(tool),
    env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`the Go tool chain: ${error.message}`)));
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`go build ${tool.package} ended with code ${code}`));
    });
  });
  renameSync(made, path);
}
