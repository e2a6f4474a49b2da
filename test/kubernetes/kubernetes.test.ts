// A real Kubernetes of three zones on this machine, and everything that is shown on it.
//
// One cluster serves all cases, since its start is the dearest part. KUBERNETES_LAB=keep leaves it
// for a look afterwards; `npm run cluster -- down` removes it then.

import { after, before, describe } from 'node:test';
import { labCases } from './cases/lab.ts';
import { Lab } from './lab/lab.ts';
import { obstacle } from './lab/packages.ts';

const why = obstacle();
const kept = process.env.KUBERNETES_LAB === 'keep';
const say = (line: string): void => void process.stderr.write(`${line}\n`);

describe('a Kubernetes of three zones', { skip: why ?? false }, () => {
  let lab: Lab | undefined;
  const theLab = (): Lab => {
    if (lab === undefined) throw new Error('there is no cluster');
    return lab;
  };
  before(async () => {
    const begun = Date.now();
    lab = await Lab.up({ say, kept });
    say(`the cluster is ready after ${Math.round((Date.now() - begun) / 1000)} s`);
  });
  after(async () => {
    if (!kept) await lab?.down();
  });

  describe('the lab itself', () => labCases(theLab));
});
