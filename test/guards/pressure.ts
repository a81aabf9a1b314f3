import type { Guard } from './guard.ts';

/** Durability and pressure: what survives a kill, a full disk, a second process. */
export const pressureGuards: readonly Guard[] = [];
