// The thread of links.ts: listens for each ordered pair of processes, and carries what is not cut.

import { createServer, Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { LinksPlan, LinksWord } from './links.ts';

const WIDTH = 16;

/** One open direction: bytes that `source` brings travel from process `from` to `to`. */
interface Pipe {
  readonly from: number;
  readonly to: number;
  readonly source: Socket;
}

const plan = workerData as LinksPlan;
const pipes = new Set<Pipe>();
const cuts = new Set<string>();

const isCut = ({ from, to }: Pipe): boolean => cuts.has(`${from}>${to}`);

function apply(): void {
  for (const pipe of pipes) {
    if (isCut(pipe)) pipe.source.pause();
    else pipe.source.resume();
  }
}

function serve(from: number, to: number): Promise<void> {
  const server = createServer({ pauseOnConnect: true }, (near) => join(near, from, to));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(plan.basePort + WIDTH * from + to, '127.0.0.1', resolve);
  });
}

function join(near: Socket, from: number, to: number): void {
  const far = new Socket();
  near.setNoDelay(true);
  far.setNoDelay(true);
  const there: Pipe = { from, to, source: near };
  const back: Pipe = { from: to, to: from, source: far };
  pipes.add(there).add(back);
  const end = (): void => {
    pipes.delete(there);
    pipes.delete(back);
    near.destroy();
    far.destroy();
  };
  carry(there, far, end);
  carry(back, near, end);
  far.connect(plan.firstPort + to, '127.0.0.1');
  apply();
}

function carry(pipe: Pipe, target: Socket, end: () => void): void {
  const { source } = pipe;
  source.on('error', end);
  source.on('close', end);
  source.on('data', (bytes: Buffer) => {
    if (target.destroyed || target.write(bytes)) return;
    source.pause();
    target.once('drain', () => {
      if (!isCut(pipe)) source.resume();
    });
  });
}

for (let from = 0; from < plan.count; from += 1) {
  for (let to = 0; to < plan.count; to += 1) if (from !== to) await serve(from, to);
}
parentPort?.on('message', (word: LinksWord) => {
  if (word.kind === 'heal') cuts.clear();
  else cuts.add(`${word.from}>${word.to}`);
  apply();
});
parentPort?.postMessage('ready');
