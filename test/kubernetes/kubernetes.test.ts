// A real Kubernetes of three zones on this machine, and the first steps of a user on it.

import { describe } from 'node:test';
import { labCases } from './cases/lab.ts';
import { manifestCases } from './cases/manifests.ts';
import { onLab, withOperator } from './cases/suite.ts';
import { userCases } from './cases/user.ts';

onLab('a Kubernetes of three zones', (theLab) => {
  describe('the lab itself', () => labCases(theLab));
  withOperator(theLab, () => {
    describe('wrong manifests', () => manifestCases(theLab));
    describe('a user', () => userCases(theLab));
  });
});
