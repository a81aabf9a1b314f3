import type { PriceBooks } from './price-books.ts';

const NEVER = '1970-01-01T00:00:00.000Z';

/**
 * Books that were made provider by provider, as one. Nothing of a provider depends on another but the newest moment of knowledge, so
 * that a provider whose files did not change needs not be made again.
 * @param parts by provider; each holds that provider's books and contracts only.
 */
export const joinPriceBooks = (parts: ReadonlyMap<string, PriceBooks>): PriceBooks => ({
  books: [...parts.values()].flatMap(({ books }) => books),
  newestKnownFrom:
    [...parts.values()]
      .map(({ newestKnownFrom }) => newestKnownFrom)
      .sort()
      .at(-1) ?? NEVER,
  versionAt: (provider, knownAt) => parts.get(provider)?.versionAt(provider, knownAt) ?? null,
  modelOf: (provider, name, knownAt) =>
    parts.get(provider)?.modelOf(provider, name, knownAt) ?? null,
  contractAt: (provider, account, knownAt) =>
    parts.get(provider)?.contractAt(provider, account, knownAt) ?? null,
  pricesOf: (query) => parts.get(query.provider)?.pricesOf(query) ?? null,
});
