// A whole cluster in a simulated world: replicas and controllers from the code that ships, a doctor
// who asks how they are, and clients.

import { type Client, connectWith } from '../client/client.ts';
import { DiskError } from '../io/disk.ts';
import type { ControllerFormat } from '../operator/controller/config.ts';
import { formatController } from '../operator/controller/format.ts';
import { MIB } from '../protocol/configuration.ts';
import { JournalError } from '../protocol/errors.ts';
import { micros, type Zone, zone } from '../protocol/types.ts';
import type { ClusterStatus } from '../transport/public.ts';
import { SimulatedDisk } from './disk.ts';
import type { Scene } from './faults/scene.ts';
import { type Estate, Operator } from './fleet/operator.ts';
import {
  type Build,
  type Circumstances,
  CONTROLLER_PORT,
  controllerProgram,
  DIRECTORY,
  NEXT,
  PRESENT,
  REPLICA_PORT,
  replicaProgram,
} from './fleet/programs.ts';
import { Starts } from './fleet/starts.ts';
import { Together } from './fleet/together.ts';
import { Machine, type Program, type Seams } from './machine.ts';
import { Listeners } from './network.ts';
import type { Dice } from './random.ts';
import { ChainWatch } from './spec/chain-watch.ts';
import { RegisterWatch } from './spec/register-watch.ts';
import { Fabric } from './wires/fabric.ts';
import type { Actor, World } from './world.ts';

const CLUSTER = '51'.repeat(16);
const ZONES = ['a', 'b', 'c', 'd', 'e'];
const LOOK_MICROS = micros(250_000);
/** A process that is told to stop is ended by force after so long. */
const STOP_MICROS = 2_000_000;
/** Until a disk that could not be formatted is tried again. */
const FORMAT_MICROS = 200_000;

export interface ClusterShape {
  readonly replicas: number;
  readonly controllers: number;
  readonly clients: number;
}

export class Cluster implements Scene, Estate {
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
  readonly operator: Operator;
  readonly together = new Together();
  /** Each turn of a chain machine must be a step of its model. */
  readonly spec = new ChainWatch();
  readonly registers = new RegisterWatch();
  readonly #starts = new Starts();
  /** How each controller was formatted first. */
  readonly #formats = new Map<string, ControllerFormat>();
  #formattings = 0;
  /** Told why a process of any machine ended by itself. */
  onExit: (actor: Actor, error: unknown) => void = () => {};
  #client: Client | null = null;
  #ghosts = 0;
  /** Numbers of the machines that were ever there, so that no name comes twice. */
  #named = { r: 0, k: 0 };
  /** Machines that were taken away. */
  readonly #gone: Machine[] = [];
  readonly #builds = new Map<string, Build>();
  readonly #dice: Dice;

  constructor(world: World, shape: ClusterShape) {
    this.world = world;
    this.fabric = new Fabric(world);
    this.#dice = world.dice.fork('cluster');
    this.operator = new Operator(world, this);
    for (let at = 0; at < shape.controllers; at += 1) this.newController();
    for (let at = 0; at < shape.replicas; at += 1) this.newReplica(zoneAt(at));
    this.doctor = this.#machine('doctor', zoneAt(0), { start: (seams) => this.#attend(seams) });
  }

  controllerAddresses(): string[] {
    return this.controllers.map(({ name }) => `${name}:${CONTROLLER_PORT}`);
  }

  endpoints(): string[] {
    return this.replicas.map(({ name }) => `${name}:${REPLICA_PORT}`);
  }

  machines(): Machine[] {
    return [...this.controllers, ...this.replicas, ...this.clients, this.doctor, ...this.#gone];
  }

  /** A machine with an empty disk, whose controller is to be formatted before it starts. */
  newController(): Machine {
    this.#named.k += 1;
    const name = `k${this.#named.k}`;
    const at = zoneAt(this.#named.k - 1);
    const machine = this.#machine(name, at, controllerProgram(name, at, this.#circumstances(name)));
    this.controllers.push(machine);
    return machine;
  }

  /** A machine with an empty disk: its replica waits to be let in. */
  newReplica(at: Zone): Machine {
    this.#named.r += 1;
    const name = `r${this.#named.r}`;
    const machine = this.#machine(name, at, replicaProgram(name, at, this.#circumstances(name)));
    this.replicas.push(machine);
    return machine;
  }

  /** It leaves the cluster for good. */
  retire(machine: Machine): void {
    machine.retire();
    for (const list of [this.replicas, this.controllers]) {
      const at = list.indexOf(machine);
      if (at >= 0) list.splice(at, 1);
    }
    this.#gone.push(machine);
  }

  #circumstances(name: string): Circumstances {
    return {
      build: () => this.#builds.get(name) ?? PRESENT,
      controllers: () => this.controllerAddresses(),
      together: this.together,
      spec: this.spec,
      registers: this.registers,
      starts: this.#starts,
    };
  }

  /** Whether the next version is what a machine runs, or will at its next start. */
  isNext({ name }: Machine): boolean {
    return this.#builds.get(name) === NEXT;
  }

  upgrade({ name }: Machine): void {
    this.#builds.set(name, NEXT);
  }

  /** False where the cluster has begun to use what the present version does not know. */
  downgrade({ name }: Machine): boolean {
    if ((this.status?.featureLevel ?? Infinity) > PRESENT.featureLevelMax) return false;
    this.#builds.set(name, PRESENT);
    return true;
  }

  terminate(machine: Machine): void {
    machine.terminate(STOP_MICROS);
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
    const grants = this.replicas.map(({ name, zone: at }) => ({ member: name, zone: at }));
    for (const machine of this.controllers) {
      const format = { ...aboutOf(machine, this.controllers), grants };
      if (!(await this.#format(machine, format))) throw new Error(`${machine.name} has no disk`);
    }
    for (const machine of this.machines()) machine.start();
  }

  /** Formats a controller that waits to be let in, and starts it. */
  async startJoining(machine: Machine): Promise<void> {
    const others = this.controllers.filter((one) => one !== machine);
    // As many as a set may have: whom it asks who they are.
    const asked = others.slice(0, others.length >= 3 ? 3 : 1);
    const format = { ...aboutOf(machine, asked), join: true, grants: [] };
    while (!(await this.#format(machine, format))) {
      // Nobody has heard of it yet: a person takes an empty directory and begins again.
      machine.disk.image.wipe();
      await this.world.sleep(FORMAT_MICROS);
    }
    machine.start();
  }

  async formatAgain(machine: Machine): Promise<void> {
    const format = this.#formats.get(machine.name);
    // Formatted as the only one it would ask nobody: it must be told to join those that came later.
    if (format === undefined || (format.set.length === 1 && !format.join)) return;
    await this.#format(machine, format);
  }

  /** False where the disk does not let it. */
  async #format(machine: Machine, format: ControllerFormat): Promise<boolean> {
    this.#formats.set(machine.name, format);
    // Another name each time: what is drawn hangs on it, and no two volumes have one store's id.
    this.#formattings += 1;
    const actor = this.world.birth(`format ${machine.name} ${this.#formattings}`);
    const { disk, random } = machine.seams(actor);
    try {
      await formatController(disk, DIRECTORY, { ...format, random });
      return true;
    } catch (error) {
      if (error instanceof DiskError || error instanceof JournalError) return false;
      throw error;
    } finally {
      this.world.kill(actor);
    }
  }

  lost({ name }: Machine): void {
    this.registers.lost(name);
  }

  isKnownToAll(machine: Machine): boolean {
    const peers = this.#starts.peersOf(machine.actor);
    return machine.up && this.controllers.every((one) => one === machine || peers.has(one.name));
  }

  isBack({ up, actor }: Machine): boolean {
    return up && this.#starts.peersOf(actor).size > 0;
  }

  /** Every journal is served by all members that it should have, and all say so. */
  whole(since = 0): boolean {
    const { status, statusAt } = this;
    if (status === null || this.world.now - statusAt > 1_000_000 || statusAt < since) return false;
    if (this.operator.busy) return false;
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

  serves({ name }: Machine): boolean {
    if (!this.answers()) return false;
    const journals = this.status?.journals ?? [];
    return journals.every(({ members }) => members.some(({ id, live }) => live && id === name));
  }

  journals(): readonly string[] {
    return this.status?.journals.map(({ name }) => name) ?? [];
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
        this.#upgradeWhatIsTooOld(this.status.featureLevel);
      } catch {
        // Asked again soon; an old status counts as none.
      }
      clock.after(LOOK_MICROS, () => void look());
    };
    void look();
    return { close: () => client.close() };
  }

  /** How the cluster says that it is, in words. */
  told(): string {
    const journals = this.status?.journals.map(({ name, epoch, writable, note, members }) => {
      const each = members.map(
        ({ id, role, live, synced, endLsn, durableLsn }) =>
          `${id} ${role}${live ? '' : ' dead'}${synced ? '' : ' unsynced'} ${durableLsn}/${endLsn}`,
      );
      const takes = writable ? 'writable' : 'refusing';
      return `${name} epoch ${epoch} ${takes} ${note}: ${each.join(', ')}`;
    });
    return `status of ${this.statusAt / 1e6} s: ${journals?.join(' | ') ?? 'none'}`;
  }

  /** A version that the cluster has left behind stops; an operator who sees that takes the next. */
  #upgradeWhatIsTooOld(level: number): void {
    if (level <= PRESENT.featureLevelMax) return;
    for (const machine of [...this.replicas, ...this.controllers]) {
      if (this.isNext(machine)) continue;
      this.upgrade(machine);
      if (!machine.up) continue;
      machine.kill();
      machine.start();
    }
  }

  /**
   * A second process on the volume of `machine`, on a machine of its own: what an orchestrator does
   * that takes a node for dead. The result ends it.
   */
  mountTwice(machine: Machine): () => void {
    this.#ghosts += 1;
    const name = `${machine.name}-ghost-${this.#ghosts}`;
    const at = zone(machine.zone);
    const of = this.#circumstances(machine.name);
    const program = this.controllers.includes(machine)
      ? controllerProgram(machine.name, at, of, name)
      : replicaProgram(machine.name, at, of, name);
    const ghost = this.#machine(name, at, program, machine.disk);
    ghost.restarts = false;
    ghost.start();
    return () => ghost.retire();
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
    const machine = new Machine(this.world, this.fabric, this.listeners, what);
    machine.onExit = (actor, error) => this.onExit(actor, error);
    return machine;
  }
}

const aboutOf = ({ name: id }: Machine, controllers: readonly Machine[]) => ({
  cluster: CLUSTER,
  id,
  set: controllers.map(({ name }) => ({ id: name, address: `${name}:${CONTROLLER_PORT}` })),
});

const zoneAt = (at: number): Zone => zone(ZONES[at % ZONES.length] ?? 'a');
