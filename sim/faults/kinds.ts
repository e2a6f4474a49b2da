// Every kind of fault, with what it may hit and what it may cost.

import * as disks from './disks.ts';
import * as links from './links.ts';
import * as operations from './operations.ts';
import * as processes from './processes.ts';
import type { Kind } from './scene.ts';
import * as seats from './seats.ts';
import { build, disk, done, order, replacedSeats, wires } from './shows.ts';

export const KINDS: readonly Kind[] = [
  { name: 'cutSome', on: 'any', shows: wires.held, begin: links.cutSome },
  { name: 'cutAll', on: 'any', shows: wires.held, begin: links.cutAll },
  { name: 'slowLinks', on: 'any', shows: wires.slowed, begin: links.slowLinks },
  { name: 'breakLinks', on: 'any', shows: wires.broken, begin: links.breakLinks },
  {
    name: 'repeatCalls',
    on: 'any',
    shows: ({ fabric }) => fabric.counts.repeated,
    begin: links.repeatCalls,
  },
  {
    name: 'badWires',
    on: 'any',
    shows: ({ fabric }) => fabric.counts.stalled + fabric.counts.broken,
    begin: links.badWires,
  },
  { name: 'kill', on: 'any', shows: done.kills, begin: processes.kill },
  { name: 'powerOff', on: 'any', shows: done.powerFailures, begin: processes.powerOff },
  { name: 'pause', on: 'any', shows: done.pauses, begin: processes.pause },
  { name: 'jump', on: 'any', shows: (_scene, { clock }) => clock.offset, begin: processes.jump },
  {
    name: 'drift',
    on: 'any',
    shows: (_scene, { clock }) => clock.driftPpm,
    begin: processes.drift,
  },
  { name: 'holdSyncs', on: 'process', shows: disk.heldSyncs, begin: disks.holdSyncs },
  { name: 'slowDisk', on: 'process', shows: disk.slowed, begin: disks.slowDisk },
  { name: 'failSyncs', on: 'process', shows: disk.failedSyncs, begin: disks.failSyncs },
  { name: 'failReads', on: 'process', shows: disk.failedReads, begin: disks.failReads },
  { name: 'fullDisk', on: 'process', shows: disk.full, begin: disks.fullDisk },
  { name: 'rot', on: 'replica', latent: true, shows: disk.rotten, begin: disks.rot },
  {
    name: 'rotAll',
    on: 'replica',
    latent: true,
    brutal: true,
    shows: disk.rotten,
    begin: disks.rotAll,
  },
  // Brutal: at the end of a log it looks like a write that never was synced, and the log is short.
  {
    name: 'misdirect',
    on: 'replica',
    latent: true,
    brutal: true,
    shows: disk.misdirected,
    begin: disks.misdirect,
  },
  {
    name: 'wipe',
    on: 'replica',
    loses: true,
    alone: true,
    shows: disk.replaced,
    begin: operations.wipe,
  },
  {
    name: 'oldCopy',
    shows: disk.replaced,
    on: 'replica',
    loses: true,
    alone: true,
    lasts: operations.COPY_AGE_MICROS,
    begin: operations.oldCopy,
  },
  { name: 'leave', on: 'replica', alone: true, shows: order.memberRemove, begin: operations.leave },
  { name: 'moveHead', on: 'replica', shows: order.moveHead, begin: operations.moveHead },
  {
    name: 'mountTwice',
    on: 'process',
    loses: true,
    alone: true,
    shows: disk.locksElsewhere,
    begin: operations.mountTwice,
  },
  {
    name: 'forceLoss',
    shows: disk.replaced,
    on: 'replica',
    loses: true,
    brutal: true,
    alone: true,
    lasts: operations.COPY_AGE_MICROS,
    begin: operations.forceLoss,
  },
  {
    name: 'addMember',
    on: 'replica',
    alone: true,
    shows: order.memberAdd,
    begin: operations.addMember,
  },
  {
    name: 'replaceMember',
    on: 'replica',
    alone: true,
    shows: order.memberReplace,
    begin: operations.replaceMember,
  },
  {
    name: 'replaceController',
    on: 'controller',
    alone: true,
    shows: replacedSeats,
    begin: operations.replaceController,
  },
  {
    name: 'resizeControllers',
    on: 'controller',
    alone: true,
    shows: replacedSeats,
    begin: operations.resizeControllers,
  },
  { name: 'restart', on: 'process', shows: done.stops, begin: operations.restartOrderly },
  { name: 'upgrade', on: 'process', shows: build, begin: operations.upgrade },
  { name: 'downgrade', on: 'process', shows: build, begin: operations.downgrade },
  {
    name: 'wipeController',
    shows: disk.replaced,
    on: 'controller',
    seat: true,
    alone: true,
    begin: seats.wipeController,
  },
  {
    name: 'oldController',
    shows: disk.replaced,
    on: 'controller',
    seat: true,
    alone: true,
    lasts: seats.OLD_COPY_MICROS,
    begin: seats.oldController,
  },
  {
    name: 'rotController',
    on: 'controller',
    seat: true,
    alone: true,
    shows: disk.rotten,
    begin: seats.rotController,
  },
  {
    name: 'misdirectController',
    shows: disk.misdirected,
    on: 'controller',
    seat: true,
    alone: true,
    begin: seats.misdirectController,
  },
];

export const FAULT_NAMES: readonly string[] = KINDS.map(({ name }) => name);
