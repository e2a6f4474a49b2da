// `kubectl journal promote`: another member becomes the head of journals.

import type { Command } from 'commander';
import { Option } from 'commander';
import { memberId } from '../../protocol/types.ts';
import type { JournalStatus } from '../../transport/public.ts';
import { interruptible } from '../line.ts';
import { Output, UsageError } from '../output.ts';
import { clusterOf, kubeCommand, type PlaceFlags, placeOf } from './place.ts';
import { reached } from './reach.ts';

interface PromoteFlags extends PlaceFlags {
  readonly journal?: string;
}

export function promoteCommand(): Command {
  return kubeCommand(
    'promote <cluster> <member>',
    'Makes a serving member the head of all journals that it serves, or of one. Reads the Secret ' +
      'of the operator, which takes the right to do so.',
    'kubectl journal promote orders replica-2 -n shop',
    'kubectl journal promote orders replica-2 --journal payments -n shop',
  )
    .addOption(new Option('--journal <name>', 'only this one'))
    .action(async (name: string, member: string, flags: PromoteFlags) => {
      const id = memberId(member);
      const place = placeOf(flags);
      const cluster = await clusterOf(place, name);
      const output = new Output();
      await interruptible((signal) =>
        reached(place, cluster, 'operator', async ({ client }) => {
          const { journals } = await client.status({ signal });
          for (const journal of promotable(journals, id, flags.journal)) {
            const request = { kind: 'moveHead', journal, member: id } as const;
            const { done } = await client.admin(request, { signal });
            if (flags.json) await output.json({ journal, member: id, done });
            else for (const line of done) await output.line(line);
          }
        }),
      );
      await output.flush();
    });
}

/** Names of the journals to move. Throws UsageError where the member cannot lead them. */
export function promotable(
  journals: readonly JournalStatus[],
  member: string,
  only: string | undefined,
): readonly string[] {
  const asked = only === undefined ? journals : journals.filter(({ name }) => name === only);
  if (only !== undefined && asked.length === 0) {
    const names = journals.map(({ name }) => name).join(', ') || 'none: there is no journal';
    throw new UsageError(`--journal is ${JSON.stringify(only)}, allowed is ${names}`);
  }
  if (asked.length === 0) throw new UsageError('there is no journal, so there is nothing to head');
  const serving = asked.filter(({ members }) =>
    members.some(
      ({ id, role, live, synced }) => id === member && isServing(role) && live && synced,
    ),
  );
  if (serving.length === 0) {
    const all = new Set(asked.flatMap(({ members }) => members.map(({ id }) => id)));
    const what = only === undefined ? 'any journal' : `journal ${only}`;
    throw new UsageError(
      `${member} does not serve ${what}, allowed is a member in step of ${[...all].join(', ')}`,
    );
  }
  // One that it heads already, too: as it was chosen, it stays so.
  return serving.map(({ name }) => name);
}

const isServing = (role: string): boolean => ['head', 'middle', 'tail'].includes(role);
