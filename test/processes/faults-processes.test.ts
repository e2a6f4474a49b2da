// Killed, paused, and held up by their disk: whatever happens to one member, nothing that was
// acknowledged is lost or doubled, everybody sees one order, and appends go on.

import { processFaults, testFaults } from './faults.ts';

testFaults('faults of a process', processFaults, { faults: true });
