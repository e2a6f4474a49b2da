// Speaks to the controllers of one cluster: asks how things are, and orders what people asked for.
//
// By the addresses of the controllers' pods and with the operator's own certificate. A majority has
// to answer what is asked; any one of them carries out an order. The certificates lie as files in a
// folder of their own, since that is how the transport takes new ones without a restart.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { Method } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { DEFAULT_SETTINGS } from '../protocol/configuration.ts';
import { JournalError, withMessage } from '../protocol/errors.ts';
import { FIRST_LSN, journalId, micros } from '../protocol/types.ts';
import { type GrpcNetwork, grpcNetwork } from '../transport/grpc.ts';
import { controllerMethods } from '../transport/methods.ts';
import { type RecoverRequest, recoverControllers } from './controller/recover.ts';
import type { JournalCluster } from './crd.ts';
import { goOnWithout } from './journal/members/recovery.ts';
import { type Answer, agree } from './journal/quorum.ts';
import type { Order } from './journal/steps.ts';
import { type ChainView, find } from './journal/world.ts';
import type { KubeObject } from './kube/api.ts';
import { conditionOf, labelsOf, textAt } from './kube/fields.ts';
import { COMPONENT_LABEL, type Component, MEMBER_LABEL, namesOf } from './manifests/common.ts';
import { portOf } from './manifests/pod.ts';
import { decodedAt, readPair } from './manifests/secret.ts';

/** A busy machine answers late; one that is gone is told by its silence anyway. */
const QUESTION = micros(5_000_000);
const ORDER = micros(20_000_000);

export interface Proof {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Where a process is asked. */
export interface Address {
  readonly id: string;
  /** `host:port` of its pod. */
  readonly address: string;
}

export interface Addresses {
  readonly controllers: readonly Address[];
  readonly replicas: readonly Address[];
}

export interface ChainOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where its certificates may lie; it makes and removes the folder. */
  readonly folder: string;
  /** The name that certificates of the cluster carry. */
  readonly serverName: string;
}

export class Chain {
  readonly #options: ChainOptions;
  #network: GrpcNetwork | null = null;
  #proof: Proof | null = null;
  #last = '';

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** Asks all controllers at once, and answers what a majority of them says. */
  async view(controllers: readonly Address[], proof: Proof | null): Promise<ChainView> {
    let failure = '';
    const answers = await Promise.all(
      controllers.map(async ({ id, address }): Promise<readonly Answer[]> => {
        try {
          const network = this.#connect(proof);
          const options = { timeout: QUESTION };
          const status = await network.call(address, controllerMethods.status, {}, options);
          return [{ id, status }];
        } catch (error) {
          failure = error instanceof Error ? error.message : String(error);
          this.#network?.forget(address);
          return [];
        }
      }),
    );
    return agree(answers.flat(), failure);
  }

  /** Rejects with JournalError where the order was refused or could not be given. */
  async carryOut(
    { controllers, replicas }: Addresses,
    proof: Proof | null,
    order: Order,
  ): Promise<void> {
    const addresses = controllers.map(({ address }) => address);
    if (order.kind === 'recover') {
      const { cluster, acceptLoss } = order;
      const members = replicas.map(({ address }) => address);
      await this.#recover(proof, { cluster, controllers: addresses, members, acceptLoss });
      return;
    }
    if (order.kind === 'admin') {
      await this.#ask(addresses, proof, controllerMethods.admin, order.request, ORDER);
      return;
    }
    const { name, settings } = order;
    const change = {
      kind: 'createJournal',
      journal: journalId(this.#options.random.hex(16)),
      name,
      settings: { ...DEFAULT_SETTINGS, ...settings },
      firstLsn: FIRST_LSN,
    } as const;
    const answer = await this.#ask(addresses, proof, controllerMethods.change, change, ORDER);
    if (answer.kind !== 'refused' || answer.code === 'ALREADY_EXISTS') return;
    throw new JournalError('INVALID_ARGUMENT', `journal ${name}: ${answer.message}`);
  }

  async close(): Promise<void> {
    await this.#network?.close();
    this.#network = null;
    rmSync(this.#options.folder, { recursive: true, force: true });
  }

  /** What was done before, and could not be noted then, is done. */
  async #recover(proof: Proof | null, request: RecoverRequest): Promise<void> {
    const { clock, random, logger } = this.#options;
    const network = this.#connect(proof);
    try {
      const done = await recoverControllers({ clock, random, logger, network }, request);
      logger.warn({ done }, 'the registers were built again');
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      const { code, message } = error;
      if (code === 'NO_SURVIVOR') throw withMessage(error, `${message}; ${goOnWithout('WORD')}`);
      if (code !== 'ALREADY_EXISTS') throw error;
      logger.warn({ message }, 'the registers were built again before');
    }
  }

  async #ask<Q, A>(
    addresses: readonly string[],
    proof: Proof | null,
    method: Method<Q, A, 'unary'>,
    request: Q,
    timeout: typeof QUESTION,
  ): Promise<A> {
    const network = this.#connect(proof);
    const order = [...addresses].sort(
      (one, other) => Number(other === this.#last) - Number(one === this.#last),
    );
    let failure: unknown = new JournalError('UNAVAILABLE', 'no controller runs yet');
    for (const address of order) {
      try {
        const answer = await network.call(address, method, request, { timeout });
        this.#last = address;
        return answer;
      } catch (error) {
        failure = error;
        const again = error instanceof JournalError && error.retryable;
        if (!again) throw error;
        network.forget(address);
      }
    }
    throw failure;
  }

  #connect(proof: Proof | null): GrpcNetwork {
    const { clock, logger, serverName } = this.#options;
    const same =
      this.#proof?.cert === proof?.cert &&
      this.#proof?.ca === proof?.ca &&
      this.#proof?.key === proof?.key;
    if (this.#network !== null && same) return this.#network;
    // Another certificate is another network: what is under way ends with the old one.
    void this.#network?.close();
    const tls = proof === null ? undefined : { ...this.#files(proof), serverName };
    this.#proof = proof;
    this.#network = grpcNetwork({ clock, logger, tls });
    return this.#network;
  }

  #files(proof: Proof): { ca: string; cert: string; key: string } {
    const { folder } = this.#options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const write = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    return {
      ca: write('ca.pem', proof.ca),
      cert: write('cert.pem', proof.cert),
      key: write('key.pem', proof.key),
    };
  }
}

/** Where the pods of a component are asked, those that have an address. */
export function addressesOf(
  objects: readonly KubeObject[],
  component: Component,
): readonly Address[] {
  return objects.flatMap((pod) => {
    if (pod.kind !== 'Pod' || labelsOf(pod.metadata)[COMPONENT_LABEL] !== component) return [];
    const ip = textAt(pod, 'status', 'podIP');
    const up = ip !== undefined && conditionOf(pod, 'PodScheduled') === 'True';
    if (!up) return [];
    const id = labelsOf(pod.metadata)[MEMBER_LABEL] ?? '';
    return [{ id, address: `${ip.includes(':') ? `[${ip}]` : ip}:${portOf(component)}` }];
  });
}

/** The operator's own certificate; null where nobody is asked for one. */
export function proofOf(cluster: JournalCluster, objects: readonly KubeObject[]): Proof | null {
  if (cluster.spec.tls?.mode === 'Disabled') return null;
  const names = namesOf(cluster.metadata.name);
  const secret = find({ objects }, 'Secret', names.operatorSecret);
  const { cert, key } = readPair(secret);
  return { ca: decodedAt(secret, 'ca.crt'), cert, key };
}
