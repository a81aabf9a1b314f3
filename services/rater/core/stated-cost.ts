import { Money, parseAmount } from '../../../pricing/money.ts';
import type { ScaledDecimal } from '../../../pricing/scaled-decimal.ts';
import { formatScaled } from '../../../pricing/scaled-decimal.ts';
import { readStatedCost } from '../../../pricing/stated-cost.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';

/** What a provider's own figure says of ours. */
export type Witness = 'agrees' | 'differs';

/**
 * The cost in USD that a provider states beside its usage, what the vendor took from the customer's own key included. Null where
 * none is stated.
 */
export const statedCostUsd = (rawUsage: string | undefined): InstanceType<typeof Money> | null => {
  const cost = readStatedCost(rawUsage);
  if (!cost) return null;
  const usd = ({ value, places }: ScaledDecimal) => new Money(formatScaled(value, places));
  return cost.upstream ? usd(cost.own).plus(usd(cost.upstream)) : usd(cost.own);
};

/** Providers round what they state; below a millionth of a dollar nothing is told. */
const SHARE_MAX = '0.005';
const USD_MAX = '0.000001';

/**
 * Compares the cost that a provider states with what the books make of the same usage: a second witness, never the charge.
 * @returns null where the provider states none, the usage is not rated, or the statement itself is what was charged.
 */
export const costWitness = (event: UsageEvent, rated: RatedUsage): Witness | null => {
  if (rated.total_usd === undefined || event.raw_usage === undefined) return null;
  if (rated.charges?.some(({ meter }) => meter === 'stated_cost_micro_usd')) return null;
  const stated = statedCostUsd(event.raw_usage);
  if (!stated) return null;
  const apart = stated.minus(parseAmount(rated.total_usd)).abs();
  const allowed = Money.max(stated.times(SHARE_MAX), USD_MAX);
  return apart.lte(allowed) ? 'agrees' : 'differs';
};
