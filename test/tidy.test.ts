// Keeps the house rules: every rule over all files, and a small bad input that each rule refuses.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Rule, rules } from './tidy/rules.ts';
import { functionsOf, importsOf, type Source, views } from './tidy/source.ts';

const root = join(import.meta.dirname, '..');

/** Every file that is tracked or about to be, read once. */
function repository(): Source[] {
  const isFile = (path: string): boolean =>
    path !== '' && (statSync(join(root, path), { throwIfNoEntry: false })?.isFile() ?? false);
  const list = execFileSync('git', ['ls-files', '-z', '-co', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return (
    list
      .split('\0')
      .filter(isFile)
      .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
      // A picture can be linked to, and has nothing to read.
      .map(({ path, text }) => ({ path, text: text.includes('\0') ? '' : text }))
  );
}

describe('the repository', () => {
  test('what programs leave in it by default is no part of it', () => {
    // `npm start`, and `npm run sim -- --show 42`: nobody may lint, format or copy these.
    const left = ['data/dev.json', 'data/replica-1/identity.json', 'sim-42.html'];
    const options = { cwd: root, input: left.join('\n'), encoding: 'utf8' } as const;
    const { stdout } = spawnSync('git', ['check-ignore', '--stdin'], options);
    assert.deepEqual(stdout.trimEnd().split('\n'), left);
  });

  const sources = repository();
  for (const rule of rules) {
    test(rule.name, () => {
      const wrong = rule.check(sources);
      assert.equal(wrong.length, 0, `\n${wrong.join('\n')}\n`);
    });
  }
});

const caption = '// What this file is for.\n';
const tall = `${'  step();\n'.repeat(70)}`;
const file = (path: string, text = ''): Source => ({ path, text: caption + text });
const bare = (path: string, text: string): Source => ({ path, text });

type Sample = { readonly bad: readonly Source[]; readonly says: RegExp; readonly good: Source[] };

/** For each rule what it must refuse, what it must say then, and a neighbour that it accepts. */
const samples: Readonly<Record<string, Sample>> = {
  'arrows run down only': {
    bad: [file('log/volume.ts', "import type { a } from '../transport/link.ts';\n")],
    says: /^log\/volume\.ts:2 imports transport\/link\.ts/,
    good: [
      file('log/volume.ts', "import { a } from '../protocol/types.ts';\n"),
      file('test/run.ts', "import { a } from '../cli/main.ts';\n"),
      file('log/volume.test.ts', "import { a } from '../test/contract.ts';\n"),
    ],
  },
  'no file imports itself in a circle': {
    bad: [
      file('log/a.ts', "import { b } from './b.ts';\n"),
      file('log/b.ts', "export * from './c.ts';\n"),
      file('log/c.ts', "import { type a } from './a.ts';\n"),
    ],
    says: /log\/a\.ts -> log\/b\.ts -> log\/c\.ts -> log\/a\.ts/,
    good: [file('log/a.ts', "import { b } from './b.ts';\n"), file('log/b.ts')],
  },
  'generated code is read by transport/convert alone': {
    bad: [file('transport/server.ts', "import type { A } from './gen/journal.ts';\n")],
    says: /^transport\/server\.ts:2 imports transport\/gen\/journal\.ts/,
    good: [
      file('transport/convert.ts', "import { A } from './gen/journal.ts';\n"),
      file('transport/gen/journal.ts', "import { A } from './rpc.ts';\n"),
    ],
  },
  'node: is imported only where the house allows it': {
    bad: [file('log/volume.ts', "import { open } from 'node:fs';\n")],
    says: /^log\/volume\.ts:2 imports node:fs/,
    good: [
      file('io/node.ts', "import { open } from 'node:fs';\n"),
      file('sim/main.ts', "import { argv } from 'node:process';\n"),
      file('log/volume.test.ts', "import test from 'node:test';\n"),
    ],
  },
  'protocol/ is pure': {
    bad: [file('protocol/machine.ts', 'export const now = () => new Date(0);\n')],
    says: /^protocol\/machine\.ts:2 has "Date"/,
    good: [
      file(
        'protocol/machine.ts',
        "// A Date is no input.\nexport const a = 'await the Promise';\n",
      ),
      file('replica/driver.ts', 'export async function run() {}\n'),
    ],
  },
  'what the simulation runs takes time and chance by constructor': {
    bad: [file('replica/driver.ts', 'export const begun = Date.now();\n')],
    says: /^replica\/driver\.ts:2 has "Date\.now\("/,
    good: [file('replica/main.ts', 'setTimeout(stop, 10);\n')],
  },
  'every file is used': {
    bad: [file('log/old.ts')],
    says: /^log\/old\.ts:1 is imported by nobody/,
    good: [
      file('log/batch.ts'),
      file('log/main.ts', "import { a } from './batch.ts';\nnew Worker('./worker.ts');\n"),
      file('log/worker.ts'),
    ],
  },
  'every file opens with a caption': {
    bad: [bare('log/a.ts', 'export const a = 1; // One.\n'), bare('log/b.ts', '// log\n')],
    says: /^log\/a\.ts:1 has no caption/,
    good: [
      file('log/a.ts'),
      bare('log/b.ts', '#!/usr/bin/env node\n// SPDX-License-Identifier: X\n/* What it is. */\n'),
    ],
  },
  'no default export': {
    bad: [file('log/a.ts', 'export default 1;\n')],
    says: /^log\/a\.ts:2/,
    good: [file('log/a.ts', '// export default 1;\n')],
  },
  'no any': {
    bad: [file('log/a.ts', 'export const a: any = 1;\n')],
    says: /^log\/a\.ts:2/,
    good: [file('log/a.ts', 'export const any = { any: 1 }; // any\n')],
  },
  'no non-null assertion': {
    bad: [file('log/a.ts', 'export const a = b!.c;\n')],
    says: /^log\/a\.ts:2/,
    good: [file('log/a.ts', "export const a = !b && c !== 'd!.e';\n")],
  },
  'casts say why': {
    bad: [file('log/a.ts', 'export const a = b as Lsn;\n')],
    says: /^log\/a\.ts:2 casts/,
    good: [
      file('log/a.ts', '// cast: the library types it too wide\nexport const a = b as Lsn;\n'),
      file('log/b.ts', "import {\n  a as b,\n} from './a.ts';\nexport const c = [1] as const;\n"),
    ],
  },
  'nothing is left over: notes': {
    bad: [file('log/a.ts', `// ${'FIX'}ME later\n`)],
    says: /^log\/a\.ts:2/,
    good: [file('log/a.ts', "export const a = 'FIXME';\n")],
  },
  'nothing is left over: prints': {
    bad: [file('log/a.ts', 'console.log(1);\n')],
    says: /^log\/a\.ts:2/,
    good: [file('examples/a.ts', 'console.log(1);\n')],
  },
  'files, functions and lines are short': {
    bad: [
      file('log/a.ts', '\n'.repeat(400).concat('export {};\n')),
      file('log/b.ts', `export function step(a: A): Promise<{ b: B }> {\n${tall}}\n`),
      file('log/c.ts', `export const a = '${'x'.repeat(100)}';\n`),
    ],
    says: /^log\/a\.ts:400.*\nlog\/b\.ts:2 spans 72.*\nlog\/c\.ts:2 is over/,
    good: [file('log/a.ts', `export const table = {\n${tall}};\nif (a) {\n${tall}}\n`)],
  },
  'rooms are small': {
    bad: Array.from({ length: 17 }, (_, n) => file(`log/a${n}.ts`)),
    says: /^log:1 has 17 files/,
    good: Array.from({ length: 17 }, (_, n) => file(`log/a${n}.test.ts`)),
  },
  'Markdown has one title and no dead link': {
    bad: [bare('docs/a.md', '# A\n\n# B\n\n[c](./c.md)\n')],
    says: /^docs\/a\.md:3 has 2.*\ndocs\/a\.md:5 links to \.\/c\.md/,
    good: [
      bare(
        'docs/a.md',
        '# A\n\n```sh\n# no title\n```\n\n[b](b.md#c) [d](../docs/) [e](http://e)\n',
      ),
      bare('docs/b.md', '# B\n'),
    ],
  },
  'no path of one machine': {
    bad: [bare('docs/a.md', `# A\n\nSee /${'wor'}k/main.\n`)],
    says: /^docs\/a\.md:3/,
    good: [bare('docs/a.md', `# A\n\nIt is at work/main, in network/${'roo'}t/ and home.\n`)],
  },
  'the lock file fits any registry': {
    bad: [bare('package-lock.json', '{\n"resolved": "https://a.example/b.tgz"\n}\n')],
    says: /^package-lock\.json:2/,
    good: [bare('package-lock.json', '{\n"integrity": "sha512-a"\n}\n')],
  },
};

describe('each rule can fail', () => {
  const check = (rule: Rule, sample: Sample): void => {
    assert.match(rule.check(sample.bad).join('\n'), sample.says);
    assert.deepEqual(rule.check(sample.good), []);
  };
  for (const rule of rules) {
    test(rule.name, () => {
      const sample = samples[rule.name];
      assert.ok(sample, `"${rule.name}" has no sample: add one to test/tidy.test.ts`);
      check(rule, sample);
    });
  }
});

describe('the reader of files', () => {
  test('tells code from comments, strings, templates and regular expressions', () => {
    const text = `a('b'); // c\n/* d */ e(\`f$${'{g}'}h\`, /i'/, j / k);\n`;
    const { code, comments } = views(text);
    assert.equal(code.length, text.length);
    assert.equal(code.replace(/\s+/g, ''), "a('');e(`{g}`,//,j/k);");
    assert.equal(comments.replace(/\s+/g, ''), '//c/*d*/');
  });

  test('finds every form of import', () => {
    const text =
      "import a from './a.ts';\nimport './b.ts';\nexport * from '../c.ts';\nawait import('d');\n";
    const found = importsOf({ path: 'log/x/y.ts', text }).map(({ target }) => target);
    assert.deepEqual(found, ['log/x/a.ts', 'log/x/b.ts', 'log/c.ts', 'd']);
  });

  test('tells bodies of functions from other braces', () => {
    const text = [
      'function z(): Promise<void> {',
      '}',
      '',
      'class A extends B<C> {',
      '  m(a: { b: 1 }): asserts a is D {',
      '    if (a) { b(); }',
      '  }',
      '}',
      'const f = async () => {',
      '};',
    ].join('\n');
    const lines = functionsOf(text).map(({ line, lines: span }) => [line, span]);
    assert.deepEqual(lines, [
      [1, 2],
      [5, 3],
      [9, 2],
    ]);
  });
});
