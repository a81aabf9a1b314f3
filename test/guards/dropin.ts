import type { Guard } from './guard.ts';

/** Who a call belongs to, and what may never pass: dimensions, headers, addresses, secrets. */
export const dropinGuards: readonly Guard[] = [];
