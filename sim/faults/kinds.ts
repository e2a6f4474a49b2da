// Every kind of fault, with what it may hit and what it may cost.

import * as disks from './disks.ts';
import * as links from './links.ts';
import * as operations from './operations.ts';
import * as processes from './processes.ts';
import type { Kind } from './scene.ts';
import * as seats from './seats.ts';

export const KINDS: readonly Kind[] = [
  { name: 'cutSome', on: 'any', begin: links.cutSome },
  { name: 'cutAll', on: 'any', begin: links.cutAll },
  { name: 'slowLinks', on: 'any', begin: links.slowLinks },
  { name: 'breakLinks', on: 'any', begin: links.breakLinks },
  { name: 'repeatCalls', on: 'any', begin: links.repeatCalls },
  { name: 'badWires', on: 'any', begin: links.badWires },
  { name: 'kill', on: 'any', begin: processes.kill },
  { name: 'powerOff', on: 'any', begin: processes.powerOff },
  { name: 'pause', on: 'any', begin: processes.pause },
  { name: 'jump', on: 'any', begin: processes.jump },
  { name: 'drift', on: 'any', begin: processes.drift },
  { name: 'holdSyncs', on: 'process', begin: disks.holdSyncs },
  { name: 'slowDisk', on: 'process', begin: disks.slowDisk },
  { name: 'failSyncs', on: 'process', begin: disks.failSyncs },
  { name: 'failReads', on: 'process', begin: disks.failReads },
  { name: 'fullDisk', on: 'process', begin: disks.fullDisk },
  { name: 'rot', on: 'replica', latent: true, begin: disks.rot },
  { name: 'rotAll', on: 'replica', latent: true, brutal: true, begin: disks.rotAll },
  // Brutal: at the end of a log it looks like a write that never was synced, and the log is short.
  { name: 'misdirect', on: 'replica', latent: true, brutal: true, begin: disks.misdirect },
  { name: 'wipe', on: 'replica', loses: true, alone: true, begin: operations.wipe },
  {
    name: 'oldCopy',
    on: 'replica',
    loses: true,
    alone: true,
    lasts: operations.COPY_AGE_MICROS,
    begin: operations.oldCopy,
  },
  { name: 'leave', on: 'replica', alone: true, begin: operations.leave },
  { name: 'moveHead', on: 'replica', begin: operations.moveHead },
  { name: 'mountTwice', on: 'process', loses: true, alone: true, begin: operations.mountTwice },
  {
    name: 'forceLoss',
    on: 'replica',
    loses: true,
    brutal: true,
    alone: true,
    lasts: operations.COPY_AGE_MICROS,
    begin: operations.forceLoss,
  },
  { name: 'addMember', on: 'replica', alone: true, begin: operations.addMember },
  { name: 'replaceMember', on: 'replica', alone: true, begin: operations.replaceMember },
  { name: 'replaceController', on: 'controller', alone: true, begin: operations.replaceController },
  { name: 'resizeControllers', on: 'controller', alone: true, begin: operations.resizeControllers },
  { name: 'restart', on: 'process', begin: operations.restartOrderly },
  { name: 'upgrade', on: 'process', begin: operations.upgrade },
  { name: 'downgrade', on: 'process', begin: operations.downgrade },
  {
    name: 'wipeController',
    on: 'controller',
    seat: true,
    alone: true,
    begin: seats.wipeController,
  },
  {
    name: 'oldController',
    on: 'controller',
    seat: true,
    alone: true,
    lasts: seats.OLD_COPY_MICROS,
    begin: seats.oldController,
  },
  { name: 'rotController', on: 'controller', seat: true, alone: true, begin: seats.rotController },
  {
    name: 'misdirectController',
    on: 'controller',
    seat: true,
    alone: true,
    begin: seats.misdirectController,
  },
];

export const FAULT_NAMES: readonly string[] = KINDS.map(({ name }) => name);
