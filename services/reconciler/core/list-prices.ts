import type { AllowanceCredit } from '../../../pricing/allowances.ts';
import { allowanceCredits } from '../../../pricing/allowances.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { LedgerQuarter } from './day-boundary.ts';
import type { LedgerSlice, ListPrice } from './repricing.ts';

const TIERS = ['', 'batch', 'flex', 'priority'];
const CACHE_METERS: readonly Meter[] = [
  'input_uncached',
  'cache_read',
  'cache_write_5m',
  'cache_write_30m',
  'cache_write_1h',
  'cache_write_12h',
];

/**
 * What the books list for the models and meters that were charged, at every tier and for all classes of cached input: the other prices that the
 * provider may have billed. Of the shortest context; disputed prices are left out.
 * @param at instants at which they are looked up: a price that changed in between is listed twice.
 */
export const listPrices = (
  books: PriceBooks,
  slices: readonly LedgerSlice[],
  about: { provider: string; at: readonly Instant[] },
): ListPrice[] => {
  const tiers = new Set([...TIERS, ...slices.map(({ tier }) => tier)]);
  const metersOf = new Map<string, Set<Meter>>();
  for (const { model, meter } of slices) {
    metersOf.set(model, (metersOf.get(model) ?? new Set<Meter>(CACHE_METERS)).add(meter));
  }
  const found = new Map<string, ListPrice>();
  for (const [model, meters] of metersOf) {
    for (const at of about.at) {
      for (const tier of tiers) {
        const priceOf = books.pricesOf({
          ...{ provider: about.provider, model, at, knownAt: books.newestKnownFrom },
          tier: tier === '' ? undefined : tier,
          scaledInputTokens: 0n,
        });
        for (const meter of meters) {
          const price = priceOf?.(meter)?.price;
          if (!price || price.claim !== undefined) continue;
          const listed = { model, meter, tier, unit_price: price.unit_price };
          found.set(JSON.stringify(listed), listed);
        }
      }
    }
  }
  return [...found.values()];
};

/** What the free allowances of the books take off the month's charges, in the order they were made. */
export const freeCredits = (
  books: PriceBooks,
  quarters: readonly LedgerQuarter[],
  about: { provider: string; period: Period },
): AllowanceCredit[] =>
  allowanceCredits(
    {
      provider: about.provider,
      knownAt: books.newestKnownFrom,
      uses: quarters
        .filter(({ quarter_start }) => quarter_start.startsWith(about.period))
        .map(({ quarter_start, ...use }) => ({ at: quarter_start, ...use })),
    },
    books,
  );
