import type { Guard } from './guard.ts';

/** Retries, fallback and hedges: every attempt is its own event. */
export const routingGuards: readonly Guard[] = [];
