// Where the plugin of kubectl begins; why in JavaScript, journal.js says.

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'journal'));
await import('./kube/main.ts');
