import type { PriceBooks } from '../../../pricing/price-books.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { rateEvent } from './rate-event.ts';
import type { Witness } from './stated-cost.ts';
import type { TotalVerdict } from './stated-total.ts';

/** A rating with the outer attributes of its envelope. */
export interface RatedEnvelope {
  key: string;
  outer: { id: string; source: string; subject: string; time: Instant };
  rated: RatedUsage;
}

/** An entry as it is appended. Its bytes follow from the entry alone. */
export const envelopeOf = (rated: RatedUsage): RatedEnvelope => {
  const { tenant } = rated.dimensions;
  return {
    key: tenant,
    outer: { id: rated.entry_id, source: '/rater', subject: tenant, time: rated.event_ts },
    rated,
  };
};

/** Of one batch: what to append, in the order of the events, and what was seen. */
export interface RatedBatch {
  envelopes: RatedEnvelope[];
  rated: number;
  /** Events that could not be priced, by reason. */
  unrated: ReadonlyMap<string, number>;
  /** Events whose provider stated a cost of its own, and what it says of ours. */
  witnesses: readonly { provider: string; verdict: Witness }[];
  /** Of every event: what the token total that its provider states says of our classes. */
  totals: readonly { provider: string; verdict: TotalVerdict }[];
}

/**
 * Rates a batch. Depends on events, books and `knownAt` alone: a replay gives the same envelopes, whatever the clock. An
 * event that cannot be priced becomes an unrated entry; none is left out.
 */
export const rateBatch = (
  events: readonly UsageEvent[],
  books: PriceBooks,
  knownAt: Instant,
): RatedBatch => {
  const unrated = new Map<string, number>();
  const witnesses: { provider: string; verdict: Witness }[] = [];
  const totals: { provider: string; verdict: TotalVerdict }[] = [];
  let ratedCount = 0;
  const envelopes = events.map((event) => {
    const { rated, statedCost, statedTotal } = rateEvent(event, books, { knownAt });
    if (rated.unrated_reason === undefined) ratedCount += 1;
    else unrated.set(rated.unrated_reason, (unrated.get(rated.unrated_reason) ?? 0) + 1);
    const { provider } = event;
    if (statedCost) witnesses.push({ provider, verdict: statedCost });
    totals.push({ provider, verdict: statedTotal });
    return envelopeOf(rated);
  });
  return { envelopes, rated: ratedCount, unrated, witnesses, totals };
};
