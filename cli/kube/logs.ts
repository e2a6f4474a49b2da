// `kubectl journal logs`: what all processes of a cluster said, in the order of time.

import { Writable } from 'node:stream';
import { type KubeConfig, Log, type LogOptions } from '@kubernetes/client-node';
import { type Command, Option } from 'commander';
import type { KubeObject } from '../../operator/kube/api.ts';
import { at, labelsOf, numberAt, textAt } from '../../operator/kube/fields.ts';
import { COMPONENT_LABEL, MEMBER_LABEL } from '../../operator/manifests/common.ts';
import { containerOf } from '../../operator/manifests/pod.ts';
import { interruptible } from '../line.ts';
import { duration, wholeNumber } from '../options.ts';
import { EXIT, Interrupted, note, Output, UsageError } from '../output.ts';
import { clusterOf, kubeCommand, type PlaceFlags, placeOf, podsOf } from './place.ts';

interface LogsFlags extends PlaceFlags {
  readonly process?: string;
  readonly since?: number;
  readonly tail: number;
  readonly follow?: boolean;
  readonly previous?: boolean;
}

/** Of one pod, so that a pod that says much cannot fill the memory. */
const BYTES_MAX = 32 * 1024 * 1024;

export function logsCommand(): Command {
  return kubeCommand(
    'logs <cluster>',
    'Prints what all processes of a cluster said, in the order of time, each with its process.',
    'kubectl journal logs orders -n shop --since 10m',
    'kubectl journal logs orders -n shop --process replica-2 --follow',
  )
    .addOption(new Option('--process <id>', 'only this one, such as replica-2'))
    .addOption(new Option('--since <duration>', 'not older').argParser(duration(1_000)))
    .addOption(
      new Option('--tail <lines>', 'of each process')
        .argParser(wholeNumber(1, 100_000))
        .default(500),
    )
    .option('-f, --follow', 'go on as they say more, until ^C')
    .option('--previous', 'of the containers before the last restart')
    .action(async (name: string, flags: LogsFlags) => {
      const place = placeOf(flags);
      await clusterOf(place, name);
      const pods = spoken(
        chosen(await podsOf(place, name), flags.process),
        flags.previous === true,
      );
      const options: LogOptions = {
        tailLines: flags.tail,
        ...(flags.since === undefined ? {} : { sinceSeconds: Math.ceil(flags.since / 1_000) }),
        ...(flags.previous ? { previous: true } : {}),
      };
      const output = new Output();
      const told = { output, json: flags.json ?? false };
      if (flags.follow) await follow(place.config, pods, options, told);
      else await printAll(place.config, pods, options, told);
      await output.flush();
    });
}

const idOf = ({ metadata }: KubeObject): string =>
  labelsOf(metadata)[MEMBER_LABEL] ?? metadata.name;

function chosen(pods: readonly KubeObject[], only: string | undefined): readonly KubeObject[] {
  const ours = pods.filter(({ metadata }) => COMPONENT_LABEL in labelsOf(metadata));
  const found = only === undefined ? ours : ours.filter((pod) => idOf(pod) === only);
  if (found.length > 0) return found;
  if (only === undefined) throw new Error('no pod of this cluster is there');
  const allowed = ours.map(idOf).sort().join(', ');
  throw new UsageError(`--process is ${JSON.stringify(only)}, allowed is ${allowed}`);
}

/**
 * Those that have a log: the API server refuses to give one of a container that has not begun, and
 * just then the others are asked for. Throws where none has.
 */
export function spoken(pods: readonly KubeObject[], previous: boolean): readonly KubeObject[] {
  const silent = pods.filter((pod) => whySilent(pod, previous) !== '');
  const lines = silent.map((pod) => `${idOf(pod)} has no log: ${whySilent(pod, previous)}`);
  if (silent.length === pods.length) throw new Error(lines.join('; '));
  for (const line of lines) note(line);
  return pods.filter((pod) => !silent.includes(pod));
}

/** Whether there is a log of a container before the present one. */
export function wasRestarted(pod: KubeObject): boolean {
  const container = containerOf(pod);
  return at(container, 'lastState', 'terminated') !== undefined;
}

/** Empty where the container has said something, or could have. */
function whySilent(pod: KubeObject, previous: boolean): string {
  const container = containerOf(pod);
  const ended = wasRestarted(pod);
  if (previous) return ended ? '' : 'it was not restarted';
  const begun = ['running', 'terminated'].some((one) => at(container, 'state', one) !== undefined);
  if (begun || ended) return '';
  const reason = textAt(container, 'state', 'waiting', 'reason');
  return `it has not begun, ${reason ?? textAt(pod, 'status', 'phase') ?? 'Pending'}`;
}

/** Where lines go, and whether as JSON. */
interface Told {
  readonly output: Output;
  readonly json: boolean;
}

const shown = (id: string, line: string, { json }: Pick<Told, 'json'>): string =>
  json ? JSON.stringify({ process: id, line }) : `${id} | ${line}`;

interface Line {
  readonly millis: number;
  readonly id: string;
  readonly text: string;
}

async function printAll(
  config: KubeConfig,
  pods: readonly KubeObject[],
  options: LogOptions,
  told: Told,
): Promise<void> {
  const all = await Promise.all(
    pods.map(async (pod) => {
      try {
        return linesOf(idOf(pod), await logOf(config, pod, options));
      } catch (error) {
        // One that went meanwhile keeps nobody from what the others said.
        note(error instanceof Error ? error.message : String(error));
        process.exitCode = EXIT.failed;
        return [];
      }
    }),
  );
  const lines = all.flat().sort((one, other) => one.millis - other.millis);
  for (const { id, text } of lines) await told.output.line(shown(id, text, told));
}

/** The time is in each line; what has none, such as a stack, belongs to the line before it. */
export function linesOf(id: string, text: string): readonly Line[] {
  let millis = 0;
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      millis = Number(/^\{"level":\d+,"time":(\d+),/.exec(line)?.[1] ?? millis);
      return { millis, id, text: line };
    });
}

/** Everything that a pod said, as far as `options` and the bound let it. */
export async function logOf(
  config: KubeConfig,
  { metadata }: KubeObject,
  options: LogOptions,
): Promise<string> {
  const pieces: Buffer[] = [];
  const container = labelsOf(metadata)[COMPONENT_LABEL] ?? '';
  await new Promise<void>((resolve, reject) => {
    const sink = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        pieces.push(piece);
        done();
      },
      final: (done) => {
        done();
        resolve();
      },
    });
    sink.once('error', reject);
    new Log(config)
      .log(metadata.namespace ?? '', metadata.name, container, sink, {
        limitBytes: BYTES_MAX,
        ...options,
      })
      .catch((error: unknown) => reject(refused(metadata.name, error)));
  });
  return Buffer.concat(pieces).toString('utf8');
}

/** The client keeps the status of an answer, and mostly not what the API server said. */
function refused(pod: string, error: unknown): Error {
  const code = numberAt(error, 'code');
  const said = error instanceof Error ? error.message : String(error);
  const status = code === undefined ? said : `the API server answers with status ${code}`;
  const why = textAt(error, 'body', 'message') ?? status;
  return new Error(`the log of pod ${pod} cannot be read: ${why}`, { cause: error });
}

/** Until ^C, or until every log has ended. */
async function follow(
  config: KubeConfig,
  pods: readonly KubeObject[],
  options: LogOptions,
  told: Told,
): Promise<void> {
  const open: AbortController[] = [];
  try {
    await interruptible(async (signal) => {
      const ended = pods.map(async (pod) => {
        const { metadata } = pod;
        const container = labelsOf(metadata)[COMPONENT_LABEL] ?? '';
        const { sink, done } = prefixed(idOf(pod), told);
        const log = new Log(config);
        const namespace = metadata.namespace ?? '';
        const more = { ...options, follow: true };
        try {
          open.push(await log.log(namespace, metadata.name, container, sink, more));
        } catch (error) {
          throw refused(metadata.name, error);
        }
        await done;
      });
      const stopped = new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      await Promise.race([Promise.all(ended), stopped]);
    });
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    for (const one of open) one.abort();
  }
}

export function prefixed(id: string, told: Told): { sink: Writable; done: Promise<void> } {
  let rest = '';
  let end: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  const sink = new Writable({
    write: (piece: Buffer, _encoding, next) => {
      const lines = (rest + piece.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      const text = lines.map((line) => `${shown(id, line, told)}\n`);
      told.output.write(...text).then(() => next(), next);
    },
    final: (next) => {
      end();
      next();
    },
  });
  sink.on('error', () => end());
  return { sink, done };
}
