// All decoders: everything that reads bytes or words from outside.

import { CONTROLLERS } from './controllers.ts';
import type { Decoder } from './decoder.ts';
import { STORAGE } from './storage.ts';
import { WIRE } from './wire.ts';
import { WORDS } from './words.ts';

export const DECODERS: readonly Decoder[] = [...STORAGE, ...WIRE, ...CONTROLLERS, ...WORDS];
