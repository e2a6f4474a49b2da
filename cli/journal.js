// Where every process of ours begins: in JavaScript, since for a first file in TypeScript Node.js
// would load what strips its types, a tenth of a second, before any cache can spare it.

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code is kept between runs: a start then takes a third of the time. Where the folder
// cannot be written, every start compiles again.
enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'journal'));
await import('./main.ts');
