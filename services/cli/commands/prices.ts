import type { PriceBooks } from '../../../pricing/price-books.ts';
import { timeBandName } from '../../../pricing/time-band.ts';
import type { Price } from '../../../schemas/price-book.ts';
import { pricesInForce } from './prices-in-force.ts';

export interface PriceFilter {
  provider?: string;
  /** A model's name or an alias of it. */
  model?: string;
  /** Only the prices in force at this instant. */
  asOf?: string;
  /** Only prices known at this instant; the newest loaded book when left out. */
  knownAt?: string;
}

/** One price as a row of text, as it stands in the book. */
export interface PriceRow {
  book: string;
  model: string;
  meter: string;
  tier: string;
  geo: string;
  /** Context band and hours. */
  context: string;
  /** The question of an open conflict; a claim prices nothing. */
  claim: string;
  unit_price: string;
  valid_from: string;
  valid_to: string;
  known_from: string;
  source: string;
  price_id: string;
}

/** One model a row: how many prices it has and under which names it goes. */
export interface ModelRow {
  provider: string;
  model: string;
  aliases: string;
  prices: number;
  tiers: string;
}

const contextOf = (price: Price): string => {
  const { context, time } = price.when ?? {};
  const parts = [
    context ? `input ${context.operator} ${context.input_tokens}` : '',
    time ? timeBandName(time) : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
};

/** Whether a price, taken by itself, passes the times of a filter; which of several is in force the books say. */
const isWanted = (price: Price, filter: PriceFilter, knownAt: string): boolean => {
  if (price.known_from > knownAt) return false;
  if (filter.asOf === undefined) return true;
  return (
    price.valid_from <= filter.asOf &&
    (price.valid_to === undefined || price.valid_to > filter.asOf)
  );
};

/** A price as a row, under the name of the book it is shown for. */
export const rowOf = (price: Price, book: string): PriceRow => ({
  book,
  model: price.model,
  meter: price.meter,
  tier: price.when?.tier?.join(' ') ?? 'standard',
  geo: price.when?.geo?.join(' ') ?? '',
  context: contextOf(price),
  claim: price.claim ?? '',
  unit_price: price.unit_price,
  valid_from: price.valid_from,
  valid_to: price.valid_to ?? '',
  known_from: price.known_from,
  source: price.source,
  price_id: price.price_id,
});

/**
 * The prices that pass the filter, in the order of the books: all that were known, or with `asOf` those in force. An alias shows the
 * prices of the model it stands for.
 */
export const showPrices = (books: PriceBooks, filter: PriceFilter = {}): PriceRow[] => {
  const knownAt = filter.knownAt ?? books.newestKnownFrom;
  const inForce =
    filter.asOf === undefined
      ? null
      : pricesInForce(books, { at: filter.asOf, knownAt, provider: filter.provider });
  const shown = new Set<string>();
  /** A version may repeat a price of an earlier one; in force it is once. */
  const isShown = (price: Price): boolean => {
    if (inForce === null) return isWanted(price, filter, knownAt);
    if (!inForce.has(price.price_id) || shown.has(price.price_id)) return false;
    shown.add(price.price_id);
    return true;
  };
  return books.books
    .filter(({ provider }) => filter.provider === undefined || provider === filter.provider)
    .flatMap((book) => {
      const model =
        filter.model === undefined ? null : books.modelOf(book.provider, filter.model, knownAt);
      return book.prices
        .filter((price) => filter.model === undefined || price.model === model)
        .filter(isShown)
        .map((price) => rowOf(price, `${book.provider}@${book.version}`));
    });
};

/** The models that have a price passing the filter, by provider and name. */
export const listPrices = (books: PriceBooks, filter: PriceFilter = {}): ModelRow[] => {
  const knownAt = filter.knownAt ?? books.newestKnownFrom;
  const rows = new Map<string, { row: ModelRow; tiers: Set<string> }>();
  for (const price of showPrices(books, filter)) {
    const provider = price.book.slice(0, price.book.indexOf('@'));
    const key = `${provider} ${price.model}`;
    const entry = rows.get(key) ?? {
      row: { provider, model: price.model, aliases: '', prices: 0, tiers: '' },
      tiers: new Set<string>(),
    };
    rows.set(key, entry);
    entry.row.prices += 1;
    for (const tier of price.tier.split(' ')) entry.tiers.add(tier);
  }
  const aliases = books.books
    .filter((book) => book.known_from <= knownAt)
    .flatMap((book) => book.aliases.map((alias) => ({ ...alias, provider: book.provider })));
  return [...rows]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, { row, tiers }]) => ({
      ...row,
      aliases: aliases
        .filter(({ provider, model }) => provider === row.provider && model === row.model)
        .map(({ alias }) => alias)
        .join(' '),
      tiers: [...tiers].join(' '),
    }));
};
