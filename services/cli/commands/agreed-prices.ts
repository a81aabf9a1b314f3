import { indexContracts } from '../../../pricing/contract-prices.ts';
import { withScaledPrice } from '../../../pricing/price-schedule.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import type { LoadedPriceBooks } from '../../platform/price-books.ts';
import type { PriceFilter, PriceRow } from './prices.ts';
import { rowOf } from './prices.ts';
import { pricesInForce } from './prices-in-force.ts';

/** A price as an account pays it. */
export interface AgreedRow extends PriceRow {
  /** What the list says. */
  list_price: string;
  /** `contract@version/term`, or empty where the list price holds. */
  agreed: string;
}

const wantedBooks = (books: readonly PriceBook[], filter: PriceFilter, knownAt: string) => {
  const providers = [...new Set(books.map(({ provider }) => provider))];
  return providers
    .filter((provider) => filter.provider === undefined || provider === filter.provider)
    .map((provider) => ({
      provider,
      known: books.filter((b) => b.provider === provider && b.known_from <= knownAt),
    }));
};

/**
 * What one account pays at `asOf` by what was known at `knownAt`: a row a price in force of each provider it has a contract with. Claims
 * and announced prices that wait for a version are left out: they price nothing.
 */
export const showAgreedPrices = (
  { books, contracts }: LoadedPriceBooks,
  account: string,
  filter: PriceFilter & { asOf: string },
): AgreedRow[] => {
  const knownAt = filter.knownAt ?? books.newestKnownFrom;
  const terms = indexContracts(contracts);
  return wantedBooks(books.books, filter, knownAt).flatMap(({ provider, known }) => {
    const newest = known.at(-1);
    const agreed = terms.get(`${provider} ${account}`);
    if (!newest || !agreed) return [];
    const model =
      filter.model === undefined ? null : books.modelOf(provider, filter.model, knownAt);
    const inForce = pricesInForce(books, { at: filter.asOf, knownAt, provider });
    const prices = new Map(known.flatMap((book) => book.prices.map((one) => [one.price_id, one])));
    return [...prices.values()]
      .filter((price) => inForce.has(price.price_id))
      .filter((price) => filter.model === undefined || price.model === model)
      .map((price) => ({
        price,
        found: agreed.apply(withScaledPrice(price), {
          at: filter.asOf,
          knownAt,
          listModel: price.model,
        }),
      }))
      .filter(({ found }) => found.price.claim === undefined)
      .map(({ price, found }) => {
        const ending = ` on ${price.price_id}`;
        const name = found.price.price_id.endsWith(ending)
          ? found.price.price_id.slice(0, -ending.length)
          : '';
        return {
          ...rowOf(found.price, `${provider}@${newest.version}`),
          list_price: price.unit_price,
          agreed: found.inexact ? `${name} (more than 12 places: unrated)` : name,
        };
      });
  });
};
