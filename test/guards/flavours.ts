import type { Guard } from './guard.ts';

/** Reading what a provider states. */
export const flavoursGuards: readonly Guard[] = [];
