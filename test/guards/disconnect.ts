import type { Guard } from './guard.ts';

/** Clients that leave: nothing billed is invisible. */
export const disconnectGuards: readonly Guard[] = [];
