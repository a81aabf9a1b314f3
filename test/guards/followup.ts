import type { Guard } from './guard.ts';

/** Work that ends later: charged once, at completion. */
export const followupGuards: readonly Guard[] = [];
