// Plain text scenarios as tests: what a machine answers, command by command, as a person reads it.
//
// A scenario file is named like a sentence. Lines that begin with "> " are commands, the lines
// below up to the next blank line or command are what they must answer, "#" begins a comment.
// With TRANSCRIPTS=write in the environment the answers are written instead of compared: read the
// difference before you commit it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';

/** Carries out one command of a scenario and gives back the lines that it answers. */
export type Scenario = (command: readonly string[], line: string) => readonly string[];

/** One test for each `*.txt` of `directory`; `open` gives each a world of its own. */
export function runTranscripts(directory: string, open: () => Scenario): void {
  const files = readdirSync(directory).filter((name) => name.endsWith('.txt'));
  assert.ok(files.length > 0, `no scenario in ${directory}`);
  for (const file of files.sort()) {
    test(basename(file, '.txt').replaceAll('_', ' '), () => {
      const path = join(directory, file);
      const text = readFileSync(path, 'utf8');
      const answered = play(text, open());
      if (process.env.TRANSCRIPTS === 'write') writeFileSync(path, answered);
      else assert.equal(answered, text);
    });
  }
}

function play(text: string, scenario: Scenario): string {
  const out: string[] = [];
  let answering = false;
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('> ')) {
      out.push(line, ...scenario(line.slice(2).trim().split(/\s+/), line.slice(2)));
      answering = true;
    } else if (line === '' || line.startsWith('#')) {
      out.push(line);
      answering = false;
    } else if (!answering) throw new Error(`no command before "${line}"`);
  }
  return `${out.join('\n')}\n`;
}
