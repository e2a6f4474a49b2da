// What runs on the machines of a simulated cluster: replicas and controllers from the code that
// ships, of the present version or of the one after it.

import { DiskError } from '../../io/disk.ts';
import {
  FEATURE_LEVEL_MAX as CONTROLLER_LEVEL_MAX,
  type ControllerConfig,
} from '../../operator/controller/config.ts';
import { startController } from '../../operator/controller/controller.ts';
import { KIB, MIB } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { memberId, micros, type Zone } from '../../protocol/types.ts';
import { DEFAULT_LIMITS, type ReplicaConfig } from '../../replica/config.ts';
import { startReplica } from '../../replica/replica.ts';
import type { Program } from '../machine.ts';
import type { ChainWatch } from '../spec/chain-watch.ts';
import type { RegisterWatch } from '../spec/register-watch.ts';
import type { Starts } from './starts.ts';
import type { Together } from './together.ts';

export const DIRECTORY = '/data';
export const REPLICA_PORT = 7401;
export const CONTROLLER_PORT = 7601;
/** How often the orchestrator asks whether a replica is still of use. */
const PROBE_MICROS = micros(1_000_000);

/** A version of the code, as far as versions differ: what they say of themselves. */
export type Build = Required<Pick<ReplicaConfig, 'version' | 'featureLevelMax'>>;

export const PRESENT: Build = {
  version: '0.0.0-simulated',
  featureLevelMax: CONTROLLER_LEVEL_MAX,
};

/** The version after the present one: it knows one feature level more. */
export const NEXT: Build = {
  version: '0.0.1-simulated',
  featureLevelMax: CONTROLLER_LEVEL_MAX + 1,
};

/** Asked at each start of a process: an operator may have changed it since. */
export interface Circumstances {
  build(): Build;
  /** Addresses of the controllers, as the operator knows them. */
  controllers(): readonly string[];
  readonly together: Together;
  readonly spec: ChainWatch;
  readonly registers: RegisterWatch;
  readonly starts: Starts;
}

/** Whether a process may end by this: a reason that it gives. All else is a fault of the code. */
export const isReason = (error: unknown): boolean =>
  error instanceof DiskError || (error instanceof JournalError && error.code !== 'INTERNAL');

export function controllerProgram(
  id: string,
  zone: Zone,
  { build, together, registers, starts }: Circumstances,
  host = id,
): Program {
  return {
    async start(seams, life, ended, actor) {
      const config: ControllerConfig = {
        directory: DIRECTORY,
        listen: `${host}:${CONTROLLER_PORT}`,
        advertise: '',
        zone,
        cluster: '',
        id,
        pid: life,
        ...build(),
      };
      const controller = await startController({
        ...seams,
        config,
        stepped: (key, view) => {
          together.stepped(actor, key, view);
          registers.stepped(id, actor, key, view);
        },
        answered: (key, told) => registers.answered(id, actor, key, told),
        known: (peer) => starts.known(actor, peer),
      });
      controller.ended.catch(ended);
      return controller;
    },
  };
}

export function replicaProgram(
  name: string,
  zone: Zone,
  { build, controllers, together, spec }: Circumstances,
  host = name,
): Program {
  const member = memberId(name);
  return {
    async start(seams, life, ended, actor) {
      const config: ReplicaConfig = {
        member,
        zone,
        directory: DIRECTORY,
        listen: `${host}:${REPLICA_PORT}`,
        advertise: '',
        controllers: controllers(),
        cluster: '',
        limits: {
          ...DEFAULT_LIMITS,
          segmentBytes: 256 * KIB,
          reserveBytes: MIB,
          scrubBytesPerSecond: 64 * KIB,
        },
        pid: life,
        ...build(),
      };
      const replica = await startReplica({
        ...seams,
        config,
        turned: (state, turn) => {
          if (turn.inputs.length > 0) together.turned(actor, state);
          spec.turned(actor, { state, ...turn });
        },
      });
      replica.ended.catch(ended);
      const probe = (): void => {
        const dead = replica.dead();
        if (dead === '') seams.clock.after(PROBE_MICROS, probe);
        else ended(new JournalError('UNAVAILABLE', `the liveness probe failed: ${dead}`));
      };
      probe();
      return replica;
    },
  };
}
