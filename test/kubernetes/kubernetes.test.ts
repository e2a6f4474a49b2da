// A real Kubernetes of three zones on this machine, and everything that is shown on it.
//
// One cluster serves all cases, since its start is the dearest part. KUBERNETES_LAB=keep leaves it
// for a look afterwards; `npm run cluster -- down` removes it then.

import { after, before, describe } from 'node:test';
import { build } from '../../tools/build.ts';
import { chartCases } from './cases/charts.ts';
import { type Helm, helmOf, installOperator } from './cases/cluster.ts';
import { faultCases } from './cases/faults.ts';
import { labCases } from './cases/lab.ts';
import { lifeCases } from './cases/life.ts';
import { manifestCases } from './cases/manifests.ts';
import { userCases } from './cases/user.ts';
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

  describe('the operator', () => {
    let helm: Helm | undefined;
    const theHelm = (): Helm => {
      if (helm === undefined) throw new Error('there is no Helm');
      return helm;
    };
    before(async () => {
      helm = helmOf(theLab(), (await build(['helm'], say)).get('helm') ?? '');
      await installOperator(theLab(), helm, say);
    });
    describe('wrong manifests', () => manifestCases(theLab));
    describe('a user', () => userCases(theLab));
    describe('charts', () => chartCases(theLab, theHelm));
    describe('faults', () => faultCases(theLab));
    describe('life', () => lifeCases(theLab));
  });
});
