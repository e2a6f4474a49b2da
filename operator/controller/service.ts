// What others may call at a controller, and who may: replicas, operators, other controllers.

import { type CallContext, type Handler, unary } from '../../io/network.ts';
import type { Configuration } from '../../protocol/configuration.ts';
import { JournalError } from '../../protocol/errors.ts';
import { type JournalId, RangeViolation } from '../../protocol/types.ts';
import { controllerMethods } from '../../transport/methods.ts';
import type { ClusterStatus } from '../../transport/public.ts';
import type { Admin } from './admin.ts';
import type { Catalog } from './catalog.ts';
import type { Changes } from './changes.ts';
import { decodeConfiguration, decodeName, journalKey, nameKey } from './register/records.ts';
import type { Register } from './register/register.ts';
import {
  type ControllerAnswer,
  type ControllerRequest,
  decodeRequest,
  encodeAnswer,
} from './register/wire.ts';

export interface ServiceParts {
  readonly cluster: string;
  readonly register: () => Register;
  readonly catalog: () => Catalog;
  readonly changes: () => Changes;
  readonly admin: () => Admin;
  /** Who is missing, of a journal that no member with the whole log is left of; else null. */
  readonly lost: (journal: JournalId) => string | null;
  readonly status: () => ClusterStatus;
  /** Messages of other controllers; works from the first moment on. */
  readonly talk: (request: ControllerRequest) => Promise<ControllerAnswer>;
  /** Why nothing but `talk` is answered yet; empty once it is. */
  readonly starting: () => string;
  /** Throws where the caller is no process of this cluster. */
  readonly access: (context: CallContext) => void;
}

export function controllerHandlers(parts: ServiceParts): readonly Handler[] {
  const { access } = parts;
  const guard = (context: CallContext): void => {
    access(context);
    const why = parts.starting();
    if (why !== '') throw new JournalError('UNAVAILABLE', `the controller starts: ${why}`);
  };
  return [
    unary(controllerMethods.acceptor, async ({ json }, context) => {
      access(context);
      const { cluster, request } = checked(() => decodeRequest(json));
      if (cluster !== parts.cluster) {
        const message = `cluster is ${cluster}, allowed is ${parts.cluster}`;
        throw new JournalError('INCOMPATIBLE', message);
      }
      return { json: encodeAnswer(await parts.talk(request)) };
    }),
    unary(controllerMethods.change, async (change, context) => {
      guard(context);
      return await asRefusals(() => parts.changes().carryOut(change, context.signal));
    }),
    unary(controllerMethods.journals, async ({ name }, context) => {
      guard(context);
      const { register, catalog } = parts;
      const configurations =
        name === '' ? await all(register(), catalog()) : await one(register(), catalog(), name);
      const lost = configurations.flatMap(({ journal }) => {
        const note = parts.lost(journal);
        return note === null ? [] : [{ journal, note }];
      });
      return { configurations, lost };
    }),
    unary(controllerMethods.status, async (_, context) => {
      access(context);
      return parts.status();
    }),
    unary(controllerMethods.admin, async (request, context) => {
      guard(context);
      return await asRefusals(() => parts.admin().carryOut(request, context.signal));
    }),
  ];
}

/** A field that is out of its range is the caller's mistake. */
async function asRefusals<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RangeViolation) throw invalid(error);
    throw error;
  }
}

function checked<Value>(work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeViolation) throw invalid(error);
    throw error;
  }
}

const invalid = (error: RangeViolation): JournalError =>
  new JournalError('INVALID_ARGUMENT', error.message, {}, 'none', { cause: error });

/** Linearizable: the name, then the journal that has it. */
async function one(
  register: Register,
  catalog: Catalog,
  name: string,
): Promise<readonly Configuration[]> {
  const text = await register.read(nameKey(name));
  if (text === null) return [];
  const record = decodeName(text);
  if (record.deleted) return [];
  const key = journalKey(record.journal);
  const value = await register.read(key);
  if (value === null) return [];
  catalog.note(key, value);
  const configuration = decodeConfiguration(value);
  return configuration.deleted ? [] : [configuration];
}

/** The union of the names over a majority of acceptors, then a read of each journal. */
async function all(register: Register, catalog: Catalog): Promise<readonly Configuration[]> {
  const names = await register.readAll('name/');
  const live = [...names.values()].map(decodeName).filter(({ deleted }) => !deleted);
  const keys = live.map(({ journal }) => journalKey(journal));
  const values = await Promise.all(keys.map((key) => register.read(key)));
  return values.flatMap((value, at) => {
    if (value === null) return [];
    const key = keys[at];
    if (key !== undefined) catalog.note(key, value);
    const configuration = decodeConfiguration(value);
    return configuration.deleted ? [] : [configuration];
  });
}
