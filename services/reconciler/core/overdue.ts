import type { Instant } from '../../../schemas/instant.ts';

/** A provider whose statement has been waited for, and since when. */
export interface Waiting {
  provider: string;
  since: Instant;
}

/**
 * The provider that has gone longest without a reconciliation: since its last one or, where there was none, since its first charge. A
 * job that was never set up is therefore as visible as one that stopped. Null while nothing was charged.
 * @param firstCharges instant of the first charge per provider; calls under customers' own keys left out.
 * @param lastRuns instant of the last reconciliation per provider.
 */
export const longestWaiting = (
  firstCharges: ReadonlyMap<string, Instant>,
  lastRuns: ReadonlyMap<string, Instant>,
): Waiting | null => {
  let longest: Waiting | null = null;
  for (const [provider, first] of firstCharges) {
    const since = lastRuns.get(provider) ?? first;
    if (longest === null || since < longest.since) longest = { provider, since };
  }
  return longest;
};
