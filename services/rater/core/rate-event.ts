import type { PriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import type { Witness } from './stated-cost.ts';
import { costWitness } from './stated-cost.ts';
import type { TotalVerdict } from './stated-total.ts';
import { totalVerdict } from './stated-total.ts';

type Flag = NonNullable<RatedUsage['flags']>[number];

/** A rating, and what the provider's own figures say of it. */
export interface Rating {
  rated: RatedUsage;
  /** Null where the provider states no cost, or the usage has no price. */
  statedCost: Witness | null;
  statedTotal: TotalVerdict;
}

/** Puts the flags before the charges, wherever the rating was made: the order of the fields is the order of the bytes. */
const withFlags = (rated: RatedUsage, flags: Flag[]): RatedUsage => {
  if (flags.length === 0) return rated;
  const fields = Object.entries(rated).flatMap(([name, value]): [string, unknown][] =>
    name === 'charges'
      ? [
          ['flags', flags],
          [name, value],
        ]
      : [[name, value]],
  );
  return Object.fromEntries(fields) as RatedUsage;
};

/**
 * Rates one event and holds it against what the provider states beside the usage. The one place where an entry comes from: new usage,
 * re-rating and facts that supersede others flag alike, and a replay writes the same bytes. A flag changes no amount.
 */
export const rateEvent = (
  event: UsageEvent,
  books: PriceBooks,
  options: { knownAt: Instant },
): Rating => {
  const rated = rateUsage(event, books, options);
  const statedCost = costWitness(event, rated);
  const statedTotal = totalVerdict(event);
  const flags: Flag[] = [];
  if (statedTotal === 'differs') flags.push('stated_total_differs');
  if (statedCost === 'differs') flags.push('stated_cost_differs');
  return { rated: withFlags(rated, flags), statedCost, statedTotal };
};
