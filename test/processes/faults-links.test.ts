// Links that carry nothing, one way and both ways, also where the controllers reach both ends.

import { linkFaults, testFaults } from './faults.ts';

testFaults('faults of a link', linkFaults, { links: true });
