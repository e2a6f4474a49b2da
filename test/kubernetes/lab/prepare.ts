// Installs, builds and packs what the lab is made of, so that the tests' clocks need not wait.

import { build } from '../../../tools/build.ts';
import { pauseImage, projectImage } from './images.ts';
import { TOOLS } from './lab.ts';
import { installPackages, obstacle } from './packages.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const why = obstacle();
if (why === undefined) {
  await installPackages(say);
  const tools = await build([...TOOLS, 'helm'], say);
  await pauseImage(tools.get('pause') ?? '');
  await projectImage(say);
} else {
  say(`nothing is prepared: the lab ${why}`);
  // Where nobody reads why, what cannot run has failed.
  if (process.env.CI === 'true') process.exitCode = 1;
}
