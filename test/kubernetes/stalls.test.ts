// What only the world can refuse, on a real Kubernetes: said by name, good again once put right.

import { describe } from 'node:test';
import { stallCases } from './cases/stalls.ts';
import { onLab, withOperator } from './cases/suite.ts';

onLab(
  'what the world refuses',
  (theLab) => {
    withOperator(theLab, () => {
      describe('stalls', () => stallCases(theLab));
    });
  },
  { volumes: 48 },
);
