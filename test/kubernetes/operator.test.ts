// The operator on a real Kubernetes of three zones: charts, faults under load, a cluster's life.

import { describe } from 'node:test';
import { chartCases, releaseCases } from './cases/charts.ts';
import { endingCases } from './cases/endings.ts';
import { exampleCases } from './cases/examples.ts';
import { faultCases } from './cases/faults.ts';
import { lifeCases } from './cases/life.ts';
import { manyCases } from './cases/many.ts';
import { seeingCases } from './cases/seeing.ts';
import { Subject } from './cases/subject.ts';
import { onLab, withOperator } from './cases/suite.ts';
import { upgradeCases } from './cases/upgrades.ts';
import { CLUSTER, NAMESPACE, userCases } from './cases/user.ts';
import { volumeCases } from './cases/volumes.ts';
import { zoneCases } from './cases/zones.ts';

onLab(
  'the life of an operator',
  (theLab) => {
    withOperator(theLab, (theHelm) => {
      describe('charts', () => chartCases(theLab, theHelm));
      describe('releases', () => releaseCases(theLab, theHelm));
      describe('a user', () => userCases(theLab));
      describe('examples', () => exampleCases(theLab));
      describe('seeing', () => seeingCases(theLab));
      describe('faults', () => faultCases(theLab));
      describe('a life', () => lifeCases(() => new Subject(theLab(), NAMESPACE, CLUSTER)));
      describe('zones', () => zoneCases(theLab));
      describe('upgrades', () => upgradeCases(theLab, theHelm));
      describe('volumes', () => volumeCases(theLab));
      describe('endings', () => endingCases(theLab, theHelm));
      describe('many', () => manyCases(theLab));
    });
  },
  { volumes: 90 },
);
