// A whole cluster in a simulated world: replicas and controllers from the code that ships, a doctor
// who asks how they are, and clients.

import { type Client, connectWith } from '../client/client.ts';
import { startController } from '../operator/controller/controller.ts';
import { formatController } from '../operator/controller/format.ts';
import { KIB, MIB } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { type MemberId, memberId, micros, type Zone, zone } from '../protocol/types.ts';
import { DEFAULT_LIMITS } from '../replica/config.ts';
import { startReplica } from '../replica/replica.ts';
import type { AdminRequest, ClusterStatus } from '../transport/public.ts';
import { SimulatedDisk } from './disk.ts';
import type { Scene } from './faults/scene.ts';
import { Machine, type Program, type Seams } from './machine.ts';
import { Listeners } from './network.ts';
import type { Dice } from './random.ts';
import { Fabric } from './wires/fabric.ts';
import type { World } from './world.ts';

export const DIRECTORY = '/data';
const CLUSTER = '51'.repeat(16);
const VERSION = '0.0.0-simulated';
const ZONES = ['a', 'b', 'c', 'd', 'e'];
const REPLICA_PORT = 7401;
const CONTROLLER_PORT = 7601;
/** How often the orchestrator asks whether a replica is still of use. */
const PROBE_MICROS = micros(1_000_000);
/** How often an operator repeats what was not carried out; each time takes up to 10 s. */
const ASKED_TIMES = 20;
const LOOK_MICROS = micros(250_000);

export interface ClusterShape {
  readonly replicas: number;
  readonly controllers: number;
  readonly clients: number;
}

export class Cluster implements Scene {
  readonly world: World;
  readonly fabric: Fabric;
  readonly listeners = new Listeners();
  readonly replicas: Machine[] = [];
  readonly controllers: Machine[] = [];
  readonly clients: Machine[] = [];
  readonly doctor: Machine;
  /** What the doctor was told last, and when. */
  status: ClusterStatus | null = null;
  statusAt = 0;
  #client: Client | null = null;
  #ghosts = 0;
  /** What an operator asked and has no answer to yet. */
  #asked = 0;
  #orders: Promise<void> = Promise.resolve();
  readonly #dice: Dice;

  constructor(world: World, shape: ClusterShape) {
    this.world = world;
    this.fabric = new Fabric(world);
    this.#dice = world.dice.fork('cluster');
    for (let at = 0; at < shape.controllers; at += 1) {
      const name = `k${at + 1}`;
      this.controllers.push(this.#machine(name, zoneAt(at), controllerProgram(name, zoneAt(at))));
    }
    for (let at = 0; at < shape.replicas; at += 1) {
      const name = `r${at + 1}`;
      const program = replicaProgram(name, zoneAt(at), this.controllerAddresses());
      this.replicas.push(this.#machine(name, zoneAt(at), program));
    }
    this.doctor = this.#machine('doctor', zoneAt(0), { start: (seams) => this.#attend(seams) });
  }

  controllerAddresses(): string[] {
    return this.controllers.map(({ name }) => `${name}:${CONTROLLER_PORT}`);
  }

  endpoints(): string[] {
    return this.replicas.map(({ name }) => `${name}:${REPLICA_PORT}`);
  }

  machines(): Machine[] {
    return [...this.controllers, ...this.replicas, ...this.clients, this.doctor];
  }

  /** A client of the doctor's, who is never in trouble. */
  get client(): Client {
    if (this.#client === null) throw new Error('the doctor is not there yet');
    return this.#client;
  }

  addClient(program: (machine: () => Machine) => Program): Machine {
    const at = this.clients.length;
    const machine: Machine = this.#machine(
      `w${at + 1}`,
      zoneAt(at),
      program(() => machine),
    );
    this.clients.push(machine);
    return machine;
  }

  /** Formats the controllers and starts everybody. */
  async start(): Promise<void> {
    const set = this.controllers.map(({ name }) => ({
      id: name,
      address: `${name}:${CONTROLLER_PORT}`,
    }));
    const grants = this.replicas.map(({ name, zone: at }) => ({ member: name, zone: at }));
    for (const machine of this.controllers) {
      const actor = this.world.birth(`format ${machine.name}`);
      const { disk, random } = machine.seams(actor);
      await formatController(disk, DIRECTORY, {
        random,
        cluster: CLUSTER,
        id: machine.name,
        set,
        grants,
      });
      this.world.kill(actor);
    }
    for (const machine of this.machines()) machine.start();
  }

  /** Every journal is served by all members that it should have, and all say so. */
  whole(): boolean {
    const { status } = this;
    if (status === null || this.world.now - this.statusAt > 1_000_000) return false;
    if (this.#asked > 0) return false;
    if (![...this.replicas, ...this.controllers].every((machine) => machine.up)) return false;
    return status.journals.every(
      ({ writable, members }) =>
        writable &&
        members.filter(({ live, synced }) => live && synced).length >=
          Math.min(3, this.replicas.length),
    );
  }

  answers(): boolean {
    const { status } = this;
    if (status === null || this.world.now - this.statusAt > 1_000_000) return false;
    return status.journals.every(({ writable }) => writable);
  }

  journals(): readonly string[] {
    return this.status?.journals.map(({ name }) => name) ?? [];
  }

  ask(request: AdminRequest): void {
    this.#asked += 1;
    // One after another: a repeated order must not overtake the one that takes it back.
    this.#orders = this.#orders
      .then(() => this.#insist(request))
      .finally(() => {
        this.#asked -= 1;
      });
  }

  asking(): boolean {
    return this.#asked > 0;
  }

  async #insist(request: AdminRequest): Promise<void> {
    for (let left = ASKED_TIMES; left > 0; left -= 1) {
      try {
        await this.client.admin(request);
        return;
      } catch (error) {
        if (!(error instanceof JournalError)) throw error;
        if (!error.retryable) return;
      }
    }
  }

  /** Asks for the status all the time, as whoever watches a cluster does. */
  async #attend(seams: Seams) {
    const { clock, random, network, logger } = seams;
    const client = connectWith({ clock, random, network, logger, endpoints: this.endpoints() });
    this.#client = client;
    const look = async (): Promise<void> => {
      try {
        const asked = this.world.now;
        this.status = await client.status({ timeoutMillis: 2_000 });
        this.statusAt = asked;
      } catch {
        // Asked again soon; an old status counts as none.
      }
      clock.after(LOOK_MICROS, () => void look());
    };
    void look();
    return { close: () => client.close() };
  }

  /**
   * A second process on the volume of `machine`, on a machine of its own: what an orchestrator does
   * that takes a node for dead. The result ends it.
   */
  mountTwice(machine: Machine): () => void {
    this.#ghosts += 1;
    const name = `${machine.name}-ghost-${this.#ghosts}`;
    const at = zone(machine.zone);
    const program = replicaProgram(machine.name, at, this.controllerAddresses(), name);
    const ghost = this.#machine(name, at, program, machine.disk);
    ghost.restarts = false;
    ghost.start();
    return () => ghost.kill();
  }

  #machine(name: string, at: Zone, program: Program, mounted?: SimulatedDisk): Machine {
    const disk =
      mounted ??
      new SimulatedDisk(this.world, name, {
        sectorBytes: this.#dice.pick([512, 512, 4096]),
        capacityBytes: 256 * MIB,
      });
    const mountedElsewhere = mounted !== undefined;
    const what = { name, zone: at, program, disk, mountedElsewhere };
    return new Machine(this.world, this.fabric, this.listeners, what);
  }
}

const zoneAt = (at: number): Zone => zone(ZONES[at % ZONES.length] ?? 'a');

function controllerProgram(name: string, at: Zone): Program {
  return {
    async start(seams, life, ended) {
      const controller = await startController({
        ...seams,
        config: {
          directory: DIRECTORY,
          listen: `${name}:${CONTROLLER_PORT}`,
          advertise: '',
          zone: at,
          cluster: '',
          id: name,
          pid: life,
          version: VERSION,
        },
      });
      controller.ended.catch(ended);
      return controller;
    },
  };
}

function replicaProgram(
  name: string,
  at: Zone,
  controllers: readonly string[],
  host = name,
): Program {
  const member: MemberId = memberId(name);
  return {
    async start(seams, life, ended) {
      const replica = await startReplica({
        ...seams,
        config: {
          member,
          zone: at,
          directory: DIRECTORY,
          listen: `${host}:${REPLICA_PORT}`,
          advertise: '',
          controllers,
          cluster: '',
          limits: {
            ...DEFAULT_LIMITS,
            segmentBytes: 256 * KIB,
            reserveBytes: MIB,
            scrubBytesPerSecond: 64 * KIB,
          },
          pid: life,
          version: VERSION,
        },
      });
      replica.ended.catch(ended);
      const probe = (): void => {
        const dead = replica.dead();
        if (dead === '') seams.clock.after(PROBE_MICROS, probe);
        else ended(new Error(`the liveness probe failed: ${dead}`));
      };
      probe();
      return replica;
    },
  };
}
