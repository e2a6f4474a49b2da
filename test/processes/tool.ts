// Runs the hand tool against one cluster and judges how it ended.

import assert from 'node:assert/strict';
import type { Cluster, Ended } from './cluster.ts';

export interface Tool {
  /** Words are parted by single spaces. */
  run(args: string, input?: string | Buffer): Promise<Ended>;
  /** Stdout of a command that must end with 0. */
  done(args: string, input?: string | Buffer): Promise<string>;
  /** A command that must end with `code` and say why, without a stack trace. */
  fails(args: string, code: number, words: RegExp, input?: string): Promise<Ended>;
}

export function toolOf(cluster: () => Cluster): Tool {
  const run: Tool['run'] = (args, input = '') => cluster().journal(args.split(' '), input);
  return {
    run,
    done: async (args, input) => {
      const { code, stdout, stderr } = await run(args, input);
      assert.equal(code, 0, `journal ${args}: ${stderr}`);
      return stdout;
    },
    fails: async (args, code, words, input) => {
      const ended = await run(args, input);
      assert.equal(ended.code, code, `journal ${args}: ${ended.stderr}`);
      assert.match(ended.stderr, words);
      assert.equal(ended.stderr.includes('    at '), false, `a stack trace: ${ended.stderr}`);
      return ended;
    },
  };
}

export const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

export const json = (text: string): Record<string, unknown>[] =>
  lines(text).map((line): Record<string, unknown> => JSON.parse(line));
