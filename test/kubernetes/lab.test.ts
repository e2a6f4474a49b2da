// The lab: a real Kubernetes of three zones on this machine, with the means to hurt it.

import { describe } from 'node:test';
import { labCases } from './cases/lab.ts';
import { onLab } from './cases/suite.ts';

onLab('a lab', (theLab) => {
  describe('the lab itself', () => labCases(theLab));
});
