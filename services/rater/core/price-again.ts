import type { PriceBooks } from '../../../pricing/price-books.ts';
import type { PricedFacts } from '../../../pricing/rate-usage.ts';
import { priceEvent } from '../../../pricing/rate-usage.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import { periodOf } from '../../../schemas/instant.ts';
import type { RerateDifference, Substance } from './rerate.ts';
import { differenceOf, isSameSubstance } from './rerate.ts';

/** What the ledger holds of an event in force, as far as its price goes. */
export interface StandingPrice extends Substance {
  revision: number;
  period: Period;
  posting_period: Period;
}

/** An event of the archive, as far as its price goes, and what stands of it; nothing where it was never rated. */
export interface LeanEvent {
  event_id: string;
  tenant: string;
  facts: PricedFacts;
  before: StandingPrice | undefined;
}

/** What an event costs by other books, where that is not what stands. */
export interface PriceChange {
  difference: RerateDifference;
  before: StandingPrice;
  /** Accounting month of the new charge. */
  period: Period;
}

/**
 * Whether an event costs otherwise by other books: what `rerate` would find, without the entries. Null where it costs what stands.
 */
export const priceAgain = (
  { tenant, facts }: LeanEvent,
  before: StandingPrice,
  by: { books: PriceBooks; knownAt: Instant },
): PriceChange | null => {
  const { priced, at } = priceEvent(facts, by.books, { knownAt: by.knownAt });
  const after: Substance = priced.ok
    ? { outcome: 'rated', charges: priced.charges, total_usd: priced.total }
    : { outcome: 'unrated', charges: [], unrated_reason: priced.reason };
  if (isSameSubstance(before, after)) return null;
  return { difference: differenceOf(tenant, before, after), before, period: periodOf(at) };
};
