import type { Guard } from './guard.ts';

/** Once, and never lost: identity, replays, failed flushes, failed commits. */
export const identityGuards: readonly Guard[] = [];
