// The operator on a real Kubernetes of three zones: the first steps of a user, and one case of each
// kind of fault, change and trouble. operator.test.ts and stalls.test.ts have all of them.

import { describe } from 'node:test';
import { chartCases, releaseCases } from './cases/charts.ts';
import { adoptionCases, deletions } from './cases/endings.ts';
import { faultCases } from './cases/faults.ts';
import { growthCases, repairCases, rollCases } from './cases/life.ts';
import { stallCases } from './cases/stalls.ts';
import { Subject } from './cases/subject.ts';
import { onLab, withOperator } from './cases/suite.ts';
import { CLUSTER, NAMESPACE, userCases } from './cases/user.ts';
import { manifestCases } from './manifests/cases.ts';

const FAULTS = ['a process is killed', 'a node is cut off', 'a node is drained'];

onLab('a Kubernetes of three zones', (theLab) => {
  withOperator(theLab, (theHelm) => {
    describe('wrong manifests', () => manifestCases(theLab));
    describe('charts', () => chartCases(theLab, theHelm));
    describe('a user', () => userCases(theLab));
    describe('faults', () => faultCases(theLab, FAULTS));
    describe('a life', () => {
      const theSubject = () => new Subject(theLab(), NAMESPACE, CLUSTER);
      rollCases(theSubject);
      growthCases(theSubject);
      repairCases(theSubject);
    });
    describe('stalls', () => stallCases(theLab, ['zone', 'foreign']));
    describe('endings', () => {
      adoptionCases(theLab);
      deletions(theLab, ['Delete'], [false]);
    });
    describe('releases', () => releaseCases(theLab, theHelm));
  });
});
