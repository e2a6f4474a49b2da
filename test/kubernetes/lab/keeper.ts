// Waits until the owner of a lab has ended, by whatever, and then removes what it left behind.
//
//   node keeper.ts FOLDER     started with each lab that a process owns

import { existsSync } from 'node:fs';
import { pause } from './commands.ts';
import { runs } from './processes.ts';
import { allStates, removeLab } from './state.ts';

const POLL_MILLIS = 1_000;

const [, , folder = ''] = process.argv;
const state = allStates().find((one) => one.folder === folder);
if (state?.owner) {
  while (existsSync(folder) && runs(state.owner)) await pause(POLL_MILLIS);
  if (existsSync(folder)) await removeLab(state);
}
