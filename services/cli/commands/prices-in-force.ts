import type { PriceBooks } from '../../../pricing/price-books.ts';
import type { Price } from '../../../schemas/price-book.ts';

const SCALE = 1_000_000n;

/** Whatever makes the choice of a price differ within one model. */
interface Circumstances {
  provider: string;
  tiers: Set<string | undefined>;
  geos: Set<string | undefined>;
  /** Sizes of a request, one on each side of every edge. */
  inputs: Set<bigint>;
  prices: Price[];
}

const circumstancesOf = (
  books: PriceBooks,
  only: string | undefined,
): Map<string, Circumstances> => {
  const models = new Map<string, Circumstances>();
  for (const { provider, prices } of books.books) {
    if (only !== undefined && provider !== only) continue;
    for (const price of prices) {
      const key = `${provider} ${price.model}`;
      const model = models.get(key) ?? {
        provider,
        tiers: new Set([undefined]),
        geos: new Set([undefined]),
        inputs: new Set([0n]),
        prices: [],
      };
      models.set(key, model);
      model.prices.push(price);
      for (const tier of price.when?.tier ?? []) model.tiers.add(tier);
      for (const geo of price.when?.geo ?? []) model.geos.add(geo);
      const edge = price.when?.context?.input_tokens;
      if (edge === undefined) continue;
      for (const near of [edge - 1, edge, edge + 1]) model.inputs.add(BigInt(near) * SCALE);
    }
  }
  return models;
};

/** What sources dispute is shown whole: every claim of the same meter under the same conditions. */
const claimsBeside = (found: Price, prices: readonly Price[]): Price[] => {
  const question = ({ meter, when, valid_from, known_from }: Price): string =>
    JSON.stringify([meter, when ?? {}, valid_from, known_from]);
  if (found.claim === undefined) return [found];
  return prices.filter((price) => price.claim !== undefined && question(price) === question(found));
};

/**
 * The prices that usage would be charged by at an instant, as known at another: asked of the books themselves for every meter, tier,
 * geography and length of context, so that corrections replace, announcements wait and bands hold as they do when rating. Prices with
 * hours show if the instant lies in them.
 * @returns their price ids.
 */
export const pricesInForce = (
  books: PriceBooks,
  { at, knownAt, ...only }: { at: string; knownAt: string; provider?: string | undefined },
): Set<string> => {
  const inForce = new Set<string>();
  for (const { provider, tiers, geos, inputs, prices } of circumstancesOf(
    books,
    only.provider,
  ).values()) {
    const model = prices[0]?.model ?? '';
    const meters = new Set(prices.map(({ meter }) => meter));
    for (const tier of tiers) {
      for (const geo of geos) {
        for (const scaledInputTokens of inputs) {
          const query = { provider, model, tier, geo, scaledInputTokens, at, knownAt };
          const priceOf = books.pricesOf(query);
          for (const meter of priceOf ? meters : []) {
            const found = priceOf?.(meter);
            if (!found) continue;
            for (const { price_id } of claimsBeside(found.price, prices)) inForce.add(price_id);
          }
        }
      }
    }
  }
  return inForce;
};
