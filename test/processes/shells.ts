// The shells that completion is tried in.

import { spawnSync } from 'node:child_process';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export const isThere = (shell: string): boolean =>
  spawnSync(shell, ['-c', 'exit 0']).error === undefined;
