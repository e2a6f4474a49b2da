// The house rules: each is a function from the files of the repository to its complaints.
//
// A complaint names the place as `file:line` and says what to do. A new exception goes into one of
// the lists at the head of this file, with its reason beside it.

import type { Source } from './source.ts';
import { folderOf, functionsOf, importsOf, lineAt, resolve, roomOf, views } from './source.ts';

export type Rule = { readonly name: string; check(sources: readonly Source[]): string[] };

/** Where the arrows may run: to the same room or to a lower floor. */
const FLOORS: Readonly<Record<string, number>> = {
  cli: 6,
  backends: 5,
  crossbar: 4,
  sim: 4,
  client: 3,
  operator: 3,
  replica: 3,
  transport: 2,
  log: 2,
  io: 1,
  protocol: 0, // below io/, whose contracts speak in its numbers and errors
};

/** Files that may import `node:` modules: a folder ends in a slash. Every main.ts may, too. */
const NODE_ALLOWED: readonly string[] = [
  'io/node', // the real clock, random, disk and network
  'transport/', // sockets, certificates, the .proto files
  'replica/config.ts', // reads its settings from the environment and files
  'replica/console/serve.ts', // reads the page and its script, and hashes the style
  'operator/kube/', // speaks to the API server
  'operator/config.ts', // reads its settings from the environment
  'operator/chain.ts', // keeps the certificates of each cluster as files
  'operator/handshake.ts', // tries what was issued, by TLS itself
  'operator/manifests/statefulset.ts', // hashes what it made
  'operator/pki.ts', // reads keys in any PEM form, and judges what others issued
  'cli/', // a program on somebody's machine
];

/** Rooms and folders that the simulation runs: time, chance and timers come in by constructor. */
const SIMULATED: readonly string[] = [
  'protocol/',
  'log/',
  'replica/',
  'operator/controller/',
  'crossbar/',
  'sim/',
];

/** Functions that may be longer, as `path name`, with the reason. */
const LONG_FUNCTIONS: Readonly<Record<string, string>> = {
  'test/disk.contract.ts testDisk': 'a suite: each of its tests is short',
};

/** Files that nobody imports and that are no main.ts, no test and nothing `package.json` names. */
const ENTRIES: readonly string[] = ['client/index.ts', 'test/kubernetes/lab/keeper.ts'];

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const LINE_CHARACTERS_MAX = 100;
const ROOM_FILES_MAX = 16;

const PURE_WORDS =
  /(?<![.\w$'])(?:Date|Math\.random|async|await|Promise|process|Buffer|console|fetch|crypto|performance|globalThis|require|WeakRef|set(?:Timeout|Interval|Immediate)|queueMicrotask)(?![\w$]|\s*[?]?:)/g;
const AMBIENT_WORDS =
  /(?<![.\w$])(?:Date\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|set(?:Timeout|Interval)\(|process\.hrtime)/g;

const isTest = (path: string): boolean => path.endsWith('.test.ts') || roomOf(path) === 'test';
const isGenerated = (path: string): boolean => path.startsWith('transport/gen/');
const isMain = (path: string): boolean => /(?:^|\/)main\.ts$/.test(path);
const starts = (path: string, list: readonly string[]): boolean =>
  list.some((prefix) => path.startsWith(prefix));

const written = (sources: readonly Source[]): readonly Source[] =>
  sources.filter(({ path }) => path.endsWith('.ts') && !isGenerated(path));

/** A rule that looks for a pattern in one view of each file that `where` accepts. */
function pattern(
  name: string,
  view: 'code' | 'comments',
  words: RegExp,
  where: (path: string) => boolean,
  advice: string,
): Rule {
  const check = (sources: readonly Source[]): string[] =>
    written(sources)
      .filter(({ path }) => where(path))
      .flatMap(({ path, text }) =>
        [...views(text)[view].matchAll(words)].map(
          (match) => `${path}:${lineAt(text, match.index)} has "${match[0].trim()}": ${advice}`,
        ),
      );
  return { name, check };
}

function floors(sources: readonly Source[]): string[] {
  const wrong: string[] = [];
  for (const source of written(sources)) {
    const from = roomOf(source.path);
    const fromFloor = FLOORS[from];
    if (fromFloor === undefined) continue;
    for (const { target, line } of importsOf(source)) {
      const to = roomOf(target);
      if (!target.endsWith('.ts') || to === from) continue;
      if (to === 'test' && isTest(source.path)) continue;
      const floor = FLOORS[to];
      const place = `${source.path}:${line} imports ${target}`;
      if (floor === undefined) wrong.push(`${place}: nothing looks at ${to || 'the root'}`);
      else if (floor >= fromFloor) {
        const why = `${from}/ is on floor ${fromFloor} and ${to}/ on ${floor}`;
        wrong.push(`${place}: arrows run down only, ${why}; move the shared part lower`);
      }
    }
  }
  return wrong;
}

function circles(sources: readonly Source[]): string[] {
  const next = new Map(written(sources).map((s) => [s.path, importsOf(s).map((i) => i.target)]));
  const done = new Set<string>();
  const wrong: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      const ring = [...trail.slice(at), path].join(' -> ');
      wrong.push(`${path}:1 is in a circle: ${ring}; move what both need into a third file`);
    }
    if (at >= 0 || done.has(path)) return;
    for (const target of next.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of next.keys()) visit(path, []);
  return wrong;
}

function generated(sources: readonly Source[]): string[] {
  return written(sources)
    .filter(({ path }) => !path.startsWith('transport/convert'))
    .flatMap((source) =>
      importsOf(source)
        .filter(({ target }) => isGenerated(target))
        .map(
          ({ target, line }) =>
            `${source.path}:${line} imports ${target}: only transport/convert knows generated ` +
            'types; take the type of the protocol',
        ),
    );
}

function nodeImports(sources: readonly Source[]): string[] {
  return written(sources)
    .filter(({ path }) => FLOORS[roomOf(path)] !== undefined && !isTest(path))
    .filter(
      ({ path }) => roomOf(path) === 'protocol' || !(isMain(path) || starts(path, NODE_ALLOWED)),
    )
    .flatMap((source) =>
      importsOf(source)
        .filter(({ target }) => target.startsWith('node:'))
        .map(
          ({ target, line }) =>
            `${source.path}:${line} imports ${target}: take it through a contract of io/, ` +
            'or list the file in NODE_ALLOWED of test/tidy/rules.ts with a reason',
        ),
    );
}

function deadFiles(sources: readonly Source[]): string[] {
  const named = new Set(written(sources).flatMap((s) => importsOf(s).map((i) => i.target)));
  // A program that is started by its path counts as used: `'./worker.ts'`, `node cli/main.ts`.
  for (const { path, text } of sources) {
    for (const match of text.matchAll(/[\w./-]+\.ts\b/g)) {
      if (path.endsWith('.ts') && /\b(?:from|import)\s*\(?\s*.$/.test(before(text, match.index)))
        continue;
      if (/\.(?:ts|json|yaml|yml)$|(?:^|\/)Dockerfile$/.test(path)) {
        named.add(match[0].replace(/^\.\//, ''));
        named.add(resolve(path, match[0]));
      }
    }
  }
  return written(sources)
    .filter(({ path }) => !isMain(path) && !path.endsWith('.test.ts') && !ENTRIES.includes(path))
    .filter(({ path }) => roomOf(path) !== 'examples' && !named.has(path))
    .map(({ path }) => `${path}:1 is imported by nobody: use it, or remove it`);
}

const before = (text: string, index: number): string => text.slice(Math.max(0, index - 20), index);

function captions(sources: readonly Source[]): string[] {
  return written(sources)
    .filter(({ text }) => {
      const body = text.replace(/^#!.*\n/, '').replace(/^\/\/ SPDX-License-Identifier:.*\n/, '');
      const head = /^(?:(?:\/\/.*\n)+|\/\*[\s\S]*?\*\/)/.exec(body)?.[0] ?? '';
      const words = head.replace(/^\s*(?:\/\/+|\/?\*+\/?)/gm, ' ');
      return !/\w+\W+\w+\W+\w+[^.:!?]*[.:!?](?:\s|$)/.test(words);
    })
    .map(({ path }) => `${path}:1 has no caption: open the file with a comment of one sentence`);
}

function casts(sources: readonly Source[]): string[] {
  const wrong: string[] = [];
  for (const { path, text } of written(sources)) {
    // Brand makers are casts by nature; tests check at run time what the compiler cannot.
    if (isTest(path) || path === 'protocol/types.ts') continue;
    const lines = text.split('\n');
    const code = views(text).code.replace(
      /\b(?:import|export)\s+(?:type\s+)?(?:\w+\s*,\s*)?(?:\{[^}]*\}|\*\s*as\s+\w+)/g,
      (found) => found.replace(/[^\n]/g, ' '),
    );
    for (const match of code.matchAll(/\bas\s+(?!const\b)[\w{[(]/g)) {
      const line = lineAt(code, match.index);
      // The reason stands on the line, or above the statement that the line is a part of.
      const near = lines.slice(Math.max(0, line - 5), line).join('\n');
      if (/(?:\/\/|\*).*\bcast: \S/.test(near)) continue;
      wrong.push(`${path}:${line} casts: narrow by a check, or say why as "// cast: reason"`);
    }
  }
  return wrong;
}

function lengths(sources: readonly Source[]): string[] {
  const wrong: string[] = [];
  for (const { path, text } of written(sources)) {
    const lines = text.trimEnd().split('\n');
    if (lines.length > FILE_LINES_MAX) {
      wrong.push(`${path}:${FILE_LINES_MAX} has ${lines.length} lines: split the file by purpose`);
    }
    for (const [index, line] of lines.entries()) {
      // A URL and a regular expression cannot be broken.
      if ([...line].length <= LINE_CHARACTERS_MAX) continue;
      if (/https?:\/\/|^\s+\/.*\/[a-z]*[;,]?$/.test(line)) continue;
      wrong.push(`${path}:${index + 1} is over ${LINE_CHARACTERS_MAX} characters: break the line`);
    }
    for (const { line, lines: span, head } of functionsOf(text)) {
      if (span <= FUNCTION_LINES_MAX || /^(?:describe|suite)\(/.test(head)) continue;
      const name = /([\w$#]+)\s*(?:=|\(|<)/.exec(head.replace(/^.*\bfunction\*?\s+/, ''))?.[1];
      if (`${path} ${name}` in LONG_FUNCTIONS) continue;
      wrong.push(`${path}:${line} spans ${span} lines ("${head}"): name its parts as functions`);
    }
  }
  return wrong;
}

function roomSizes(sources: readonly Source[]): string[] {
  const counts = new Map<string, number>();
  for (const { path } of written(sources)) {
    if (path.endsWith('.test.ts')) continue;
    counts.set(folderOf(path), (counts.get(folderOf(path)) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count > ROOM_FILES_MAX)
    .map(([room, count]) => `${room}:1 has ${count} files: give a part of it a folder`);
}

function markdown(sources: readonly Source[]): string[] {
  const paths = new Set(sources.map(({ path }) => path));
  for (const path of [...paths]) {
    for (let up = folderOf(path); up !== ''; up = folderOf(up)) paths.add(up);
  }
  const wrong: string[] = [];
  for (const { path, text } of sources) {
    if (!path.endsWith('.md')) continue;
    const blank = (found: string): string => found.replace(/[^\n]/g, ' ');
    const prose = text.replace(/^( *)(```|~~~)[\s\S]*?^\1\2/gm, blank).replace(/`[^`\n]+`/g, blank);
    const titles = [...prose.matchAll(/^# /gm)];
    if (titles.length !== 1) {
      const line = lineAt(text, titles[1]?.index ?? 0);
      wrong.push(`${path}:${line} has ${titles.length} first-level headings: keep exactly one`);
    }
    for (const match of prose.matchAll(/\]\(\s*([^)\s]+)|^\[[^\]]+\]:\s*(\S+)/gm)) {
      const link = (match[1] ?? match[2] ?? '').replace(/#.*$/, '');
      if (link === '' || /^[a-z]+:/.test(link)) continue;
      const target = resolve(path, link.startsWith('.') ? link : `./${link}`).replace(/\/$/, '');
      if (target === '' || paths.has(target)) continue;
      wrong.push(`${path}:${lineAt(text, match.index)} links to ${link}, which is not there`);
    }
  }
  return wrong;
}

function machinePaths(sources: readonly Source[]): string[] {
  // Put together here so that this file does not complain about itself.
  const words = new RegExp(`(?<![\\w.])/(?:${'wor'}k|${'roo'}t)/|\\.${'libr'}ary\\b`, 'g');
  return sources.flatMap(({ path, text }) =>
    [...text.matchAll(words)].map(
      (match) => `${path}:${lineAt(text, match.index)} names a path of one machine: ${match[0]}`,
    ),
  );
}

function lockFile(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => path === 'package-lock.json')
    .flatMap(({ path, text }) =>
      [...text.matchAll(/"resolved": "https?:/g)].map(
        (match) =>
          `${path}:${lineAt(text, match.index)} names a registry host: run npm install with the ` +
          '.npmrc of this repository',
      ),
    );
}

export const rules: readonly Rule[] = [
  { name: 'arrows run down only', check: floors },
  { name: 'no file imports itself in a circle', check: circles },
  { name: 'generated code is read by transport/convert alone', check: generated },
  { name: 'node: is imported only where the house allows it', check: nodeImports },
  pattern(
    'protocol/ is pure',
    'code',
    PURE_WORDS,
    (path) => roomOf(path) === 'protocol' && !isTest(path),
    'the protocol opens nothing and never waits; take it as an input or answer it as an effect',
  ),
  pattern(
    'what the simulation runs takes time and chance by constructor',
    'code',
    AMBIENT_WORDS,
    (path) => starts(path, SIMULATED) && !isTest(path) && !isMain(path),
    'take the Clock or Random of io/ by constructor',
  ),
  { name: 'every file is used', check: deadFiles },
  { name: 'every file opens with a caption', check: captions },
  pattern(
    'no default export',
    'code',
    /\bexport\s+default\b|\bas\s+default\b/g,
    () => true,
    'export it by name',
  ),
  pattern(
    'no any',
    'code',
    /(?:[:<|&,([]\s*|\bas\s+)any\b(?!\s*[:(])/g,
    () => true,
    'use unknown and narrow it by a check',
  ),
  pattern(
    'no non-null assertion',
    'code',
    /[\w$)\]]!(?=[.[;,):(]|\s(?!=))/g,
    () => true,
    'check for undefined and say what it would mean',
  ),
  { name: 'casts say why', check: casts },
  pattern(
    'nothing is left over: notes',
    'comments',
    /\b(?:FIXME|TODO|XXX|HACK)\b/g,
    () => true,
    'do it now, or write it where people look',
  ),
  pattern(
    'nothing is left over: prints',
    'code',
    /\bconsole\.(?:log|debug|dir)\b|\bdebugger\b/g,
    (path) => !['examples', 'bench'].includes(roomOf(path)),
    'log through pino, or write to process.stdout where printing is the purpose',
  ),
  { name: 'files, functions and lines are short', check: lengths },
  { name: 'rooms are small', check: roomSizes },
  { name: 'Markdown has one title and no dead link', check: markdown },
  { name: 'no path of one machine', check: machinePaths },
  { name: 'the lock file fits any registry', check: lockFile },
];
