// One Kubernetes for all cases of a file, since its start is the dearest part.
//
// KUBERNETES_LAB=keep leaves it for a look afterwards; `npm run cluster -- down` removes it then.

import { after, before, describe } from 'node:test';
import { build } from '../../../tools/build.ts';
import { Lab } from '../lab/lab.ts';
import { type Helm, helmOf, installOperator } from '../lab/operator.ts';
import { obstacle } from '../lab/packages.ts';

const kept = process.env.KUBERNETES_LAB === 'keep';
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Cases on a lab; skipped, with the reason, where none can be made. */
export function onLab(name: string, cases: (theLab: () => Lab) => void): void {
  describe(name, { skip: obstacle() ?? false }, () => {
    let lab: Lab | undefined;
    before(async () => {
      const begun = Date.now();
      lab = await Lab.up({ say, kept });
      say(`the cluster is ready after ${Math.round((Date.now() - begun) / 1000)} s`);
    });
    after(async () => {
      if (!kept) await lab?.down();
    });
    cases(() => {
      if (lab === undefined) throw new Error('there is no cluster');
      return lab;
    });
  });
}

/** Cases on that lab once the operator is installed. */
export function withOperator(theLab: () => Lab, cases: (theHelm: () => Helm) => void): void {
  describe('the operator', () => {
    let helm: Helm | undefined;
    before(async () => {
      helm = helmOf(theLab(), (await build(['helm'], say)).get('helm') ?? '');
      await installOperator(theLab(), helm, say);
    });
    cases(() => {
      if (helm === undefined) throw new Error('there is no Helm');
      return helm;
    });
  });
}
