// One Kubernetes for all cases of a file, since its start is the dearest part.
//
// KUBERNETES_LAB=keep leaves it for a look afterwards; `npm run cluster -- down` removes it then.
// KUBERNETES_LAB=use takes the one that `npm run cluster -- up` left, and leaves it, too.

import { after, before, describe } from 'node:test';
import { build } from '../../../tools/build.ts';
import { Lab, type LabOptions } from '../lab/lab.ts';
import { type Helm, helmOf, installOperator, OPERATOR_PATH } from '../lab/operator.ts';
import { obstacle } from '../lab/packages.ts';
import { newestKept } from '../lab/state.ts';

const wish = process.env.KUBERNETES_LAB;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Cases on a lab; skipped, with the reason, where none can be made. */
export function onLab(
  name: string,
  cases: (theLab: () => Lab) => void,
  more: Partial<LabOptions> = {},
): void {
  describe(name, { skip: obstacle() ?? false }, () => {
    let lab: Lab | undefined;
    before(async () => {
      const begun = Date.now();
      const options = { say, kept: wish === 'keep', ...more };
      lab = wish === 'use' ? await Lab.open(newestKept(), say) : await Lab.up(options);
      say(`the cluster is ready after ${Math.round((Date.now() - begun) / 1000)} s`);
    });
    after(async () => {
      if (wish === undefined || wish === '') await lab?.down();
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
      const there = await theLab().api.get(OPERATOR_PATH);
      if (there === undefined) await installOperator(theLab(), helm, say);
    });
    cases(() => {
      if (helm === undefined) throw new Error('there is no Helm');
      return helm;
    });
  });
}
