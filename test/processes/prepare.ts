// Makes the shells ready that completion is tried in: `node test/processes/prepare.ts`.

import { installWhereAllowed, isFile } from '../apt.ts';

const absent = ['bash', 'zsh', 'fish'].filter((shell) => !isFile(`/usr/bin/${shell}`));
await installWhereAllowed(absent, (line) => void process.stderr.write(`${line}\n`));
