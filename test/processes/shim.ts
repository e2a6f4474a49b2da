// Compiles shim.c, the library that is preloaded into processes that are to suffer.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** There is no C compiler, or it does not compile: said in a sentence. */
export class CompilerError extends Error {}

const COMPILERS = ['gcc', 'cc', 'clang'] as const;

/** Writes the library to `target`; throws a CompilerError. */
export function compileShim(target: string): void {
  const source = join(import.meta.dirname, 'shim.c');
  const args = ['-shared', '-fPIC', '-O2', '-o', target, source, '-ldl'];
  for (const compiler of COMPILERS) {
    try {
      execFileSync(compiler, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      return;
    } catch (error) {
      if (isAbsent(error)) continue;
      const said = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
      throw new CompilerError(
        `the library that brings the faults cannot be compiled: ${compiler} said: ${said}`,
      );
    }
  }
  throw new CompilerError(
    'the library that brings the faults is compiled first, and no C compiler is here: ' +
      `none of ${COMPILERS.join(', ')} was found`,
  );
}

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';
