// All decoders: everything that reads bytes or words from outside.

import type { Decoder } from './decoder.ts';
import { STORAGE } from './storage.ts';
import { WIRE } from './wire.ts';

export const DECODERS: readonly Decoder[] = [...STORAGE, ...WIRE];
