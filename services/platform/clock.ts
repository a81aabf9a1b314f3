import type { Instant } from '../../schemas/instant.ts';

/** The only way to the time. Cores get `now` as an argument instead. */
export interface Clock {
  /** Milliseconds since the epoch, UTC. May jump with the machine's clock. */
  nowMs(): number;
  /** Milliseconds that only grow; for durations. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

let newestMs = Number.NaN;
let newest = '';

/** Writing an instant costs a microsecond, and calls in the same millisecond ask for the same one. */
export const toInstant = (epochMs: number): Instant => {
  if (epochMs !== newestMs) {
    newest = new Date(epochMs).toISOString();
    newestMs = epochMs;
  }
  return newest;
};
