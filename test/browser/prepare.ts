// Makes the browser of the tests ready: `node test/browser/prepare.ts`.

import { installBrowser } from './browser.ts';

await installBrowser((line) => void process.stderr.write(`${line}\n`));
