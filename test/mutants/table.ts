// All mutants: the wrong versions of the code that the tests must tell from the right one.

import { APPENDS } from './appends.ts';
import { CHAIN } from './chain.ts';
import { EDGES } from './edges.ts';
import type { Mutant } from './mutant.ts';
import { REGISTER } from './register.ts';
import { STORAGE } from './storage.ts';

export const MUTANTS: readonly Mutant[] = [...CHAIN, ...APPENDS, ...REGISTER, ...STORAGE, ...EDGES];
