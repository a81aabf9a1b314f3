import { Money, parseAmount } from '../../../pricing/money.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';

/** What a provider's own figure says of ours. */
export type Witness = 'agrees' | 'differs';

/** A JSON number, as written. */
const NUMBER = '(\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)';
const member = (name: string): RegExp => new RegExp(`"${name}"\\s*:\\s*${NUMBER}\\s*[,}]`, 'g');
const TICKS = member('cost_in_usd_ticks');
const COST = member('cost');
const TOTAL = member('total_cost');
const UPSTREAM = member('upstream_inference_cost');
const BYOK = /"is_byok"\s*:\s*true/;
/** xAI: one USD. */
const TICKS_PER_USD = '10000000000';

/** The last statement counts, as in the usage it stands in. Read as text: a float never holds money. */
const lastOf = (raw: string, pattern: RegExp): InstanceType<typeof Money> | null => {
  const text = [...raw.matchAll(pattern)].at(-1)?.[1];
  if (text === undefined) return null;
  const amount = new Money(text);
  return amount.isFinite() ? amount : null;
};

/**
 * The cost in USD that a provider states beside its usage: OpenRouter's `cost` (with the customer's own key at the vendor, what the
 * vendor took), Perplexity's `total_cost`, xAI's ticks. Null where none is stated.
 */
export const statedCostUsd = (rawUsage: string | undefined): InstanceType<typeof Money> | null => {
  if (rawUsage === undefined) return null;
  const ticks = lastOf(rawUsage, TICKS);
  if (ticks) return ticks.div(TICKS_PER_USD);
  if (BYOK.test(rawUsage)) return lastOf(rawUsage, UPSTREAM);
  return lastOf(rawUsage, COST) ?? lastOf(rawUsage, TOTAL);
};

/** Providers round what they state; below a millionth of a dollar nothing is told. */
const SHARE_MAX = '0.005';
const USD_MAX = '0.000001';

/**
 * Compares the cost that a provider states with what the books make of the same usage: a second witness, never the charge.
 * @returns null where the provider states none or the usage is not rated.
 */
export const costWitness = (event: UsageEvent, rated: RatedUsage): Witness | null => {
  if (rated.total_usd === undefined || event.raw_usage === undefined) return null;
  const stated = statedCostUsd(event.raw_usage);
  if (!stated) return null;
  const apart = stated.minus(parseAmount(rated.total_usd)).abs();
  const allowed = Money.max(stated.times(SHARE_MAX), USD_MAX);
  return apart.lte(allowed) ? 'agrees' : 'differs';
};
