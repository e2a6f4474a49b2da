// A Kubernetes of three zones on this machine, for people who have no cluster of their own.
//
//   npm run cluster -- up                       makes it, with the operator; root and Linux needed
//   npm run cluster -- up bare                  the same without an operator, its image at hand
//   npm run cluster -- renew                    builds image and chart again, restarts
//   npm run cluster -- prepare                  installs, builds and packs all that `up` needs
//   npm run cluster -- kubectl get nodes        talks to it; kubectl journal … is there, too
//   npm run cluster -- helm list -A             Helm, at its charts
//   npm run cluster -- in COMMAND…              runs a command in its network
//   npm run cluster -- cut|heal ZONE            pulls a zone's cable, puts it back
//   npm run cluster -- add-node ZONE            one more node in a zone; remove-node NAME ends it
//   npm run cluster -- stop-api | start-api     the API server and its etcd
//   npm run cluster -- pause|resume POD [NAMESPACE]
//   npm run cluster -- list                     what there is
//   npm run cluster -- down                     removes it

import { spawn } from 'node:child_process';
import { build } from '../../../tools/build.ts';
import { pauseImage, projectImage } from './images.ts';
import { Lab, TOOLS } from './lab.ts';
import { bringImage, helmOf, installOperator, renewOperator } from './operator.ts';
import { installPackages, obstacle } from './packages.ts';
import { allStates, newestKept, removeLab, removeStale } from './state.ts';

/** Of each node: a lab that stays may see many clusters, and no volume is used twice. */
const KEPT_VOLUMES = 80;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Runs it in the foreground and takes over its exit code. */
function hand([file = '', ...args]: readonly string[]): Promise<void> {
  const child = spawn(file, args, { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      process.exitCode = code ?? 1;
      resolve();
    });
  });
}

const kept = () => allStates().filter(({ owner }) => owner === null);

const open = (): Promise<Lab> => Lab.open(newestKept(), say);

/** Installs, builds and packs what the lab is made of, so that the tests' clocks need not wait. */
async function prepare(): Promise<void> {
  const why = obstacle();
  if (why === undefined) {
    await installPackages(say);
    const tools = await build([...TOOLS, 'helm'], say);
    await pauseImage(tools.get('pause') ?? '');
    await projectImage(say);
    return;
  }
  say(`nothing is prepared: the lab ${why}`);
  // Where nobody reads why, what cannot run has failed.
  if (process.env.CI === 'true') process.exitCode = 1;
}

async function up(bare: boolean): Promise<void> {
  const why = obstacle();
  if (why !== undefined) throw new Error(`a cluster ${why}`);
  await removeStale(say);
  const there = kept().at(-1);
  if (there !== undefined) throw new Error(`${there.lab} is up; remove it by \`down\` first`);
  await prepare();
  const begun = Date.now();
  const took = (): string => `after ${Math.round((Date.now() - begun) / 1000)} s`;
  const lab = await Lab.up({ say, kept: true, volumes: KEPT_VOLUMES });
  say(`${lab.state.lab} is ready ${took()}: three nodes in the zones a, b and c`);
  say(`its files, logs and kubeconfig: ${lab.state.folder}`);
  if (bare) return bringImage(lab, say);
  await installOperator(lab, await helm(lab), say);
  say(`the operator is ready ${took()}; next:`);
  say('  npm run cluster -- kubectl apply -f examples/minimal.yaml');
  say('  npm run cluster -- kubectl wait journalcluster/orders --for=condition=Ready');
  say('  npm run cluster -- kubectl get journalclusters,pods');
  say('  npm run cluster -- down');
}

async function helmProgram(): Promise<string> {
  return (await build(['helm'], say)).get('helm') ?? '';
}

const helm = async (lab: Lab) => helmOf(lab, await helmProgram());

async function down(): Promise<void> {
  await removeStale(say);
  for (const state of kept()) {
    await removeLab(state);
    say(`removed ${state.lab}`);
  }
}

function list(): void {
  for (const { lab, folder, owner } of allStates()) {
    const whose = owner === null ? 'kept' : `of process ${owner.pid}`;
    process.stdout.write(`${lab}\t${whose}\t${folder}\n`);
  }
}

function needed(word: string | undefined, what: string): string {
  if (word === undefined) throw new Error(`${what} is missing`);
  return word;
}

async function main([verb, ...rest]: readonly string[]): Promise<void> {
  const [first, second = 'default'] = rest;
  switch (verb) {
    case 'prepare':
      return prepare();
    case 'up':
      return up(first === 'bare');
    case 'down':
      return down();
    case 'list':
      return list();
    case 'renew': {
      const lab = await open();
      return renewOperator(lab, helmOf(lab, await helmProgram()), say);
    }
    case 'kubectl':
      return hand((await open()).userCommand(['kubectl', ...rest]));
    case 'helm': {
      const lab = await open();
      return hand(lab.inside([await helmProgram(), '--kubeconfig', lab.kubeconfig, ...rest]));
    }
    case 'in':
      return hand((await open()).userCommand(rest));
    case 'cut':
    case 'heal': {
      const lab = await open();
      for (const { name } of lab.nodesOf(needed(first, 'the zone'))) {
        if (verb === 'cut') await lab.network.cut(name);
        else await lab.network.heal(name);
      }
      return;
    }
    case 'add-node':
      return say(`node-${(await (await open()).addNode(needed(first, 'the zone'))).name} is ready`);
    case 'remove-node':
      return (await open()).removeNode(needed(first, 'the name').replace(/^node-/, ''));
    case 'stop-api':
      return (await open()).controlPlane.stopApi();
    case 'start-api':
      return (await open()).controlPlane.startApi();
    case 'pause':
    case 'resume':
      return (await open()).pause(second, needed(first, 'the pod'), verb === 'pause');
    default:
      say('up [bare] | down | list | prepare | renew | kubectl … | helm … | in … | cut ZONE |');
      say('heal ZONE | add-node ZONE | remove-node NAME | stop-api | start-api |');
      say('pause POD [NAMESPACE] | resume POD [NAMESPACE]');
      process.exitCode = 2;
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
