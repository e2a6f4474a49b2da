// Makes the shells ready that completion is tried in: `node test/processes/prepare.ts`.

import { installWhereAllowed } from '../apt.ts';
import { isThere, SHELLS } from './shells.ts';

const absent = SHELLS.filter((shell) => !isThere(shell));
await installWhereAllowed(absent, (line) => void process.stderr.write(`${line}\n`));
