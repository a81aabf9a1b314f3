import type { Instant } from '../schemas/instant.ts';
import type { Allowance } from '../schemas/price-book.ts';
import type { BookRule } from './book-rules.ts';
import { allowanceSubject, isValidAt, rulesKnown, rulesOfBooks } from './book-rules.ts';
import { AMOUNT_PLACES, fitsAmount, formatAmount } from './money.ts';
import type { PriceBooks } from './price-books.ts';
import { QUANTITY_PLACES } from './price-schedule.ts';
import { formatScaled, parseScaled, widen } from './scaled-decimal.ts';

/** One charged line of the account: what it used, at which list price. */
export interface AllowanceUse {
  at: Instant;
  model: string;
  meter: string;
  quantity: string;
  unit_price: string;
}

/** What of one use an allowance makes free: quantity x unit price, exactly. */
export interface AllowanceCredit {
  /** `anthropic@3/allowance/1`. */
  allowance: string;
  /** UTC day or month that the allowance is of: `2026-11-21`, `2026-11`. */
  window: string;
  model: string;
  meter: string;
  quantity: string;
  unit_price: string;
  /** What the account does not owe; above zero. */
  credit_usd: string;
}

export interface AllowanceQuery {
  provider: string;
  /** Uses of one account at the provider; they are taken in the order of their instants. */
  uses: readonly AllowanceUse[];
  knownAt: Instant;
}

/** Allowances of a provider known at an instant, whatever their valid times. */
export const allowancesKnown = (
  books: PriceBooks,
  provider: string,
  knownAt: Instant,
): BookRule<Allowance>[] =>
  rulesKnown(
    rulesOfBooks(
      books.books.filter((book) => book.provider === provider),
      'allowance',
      (book) => book.allowances,
    ),
    knownAt,
    allowanceSubject,
  );

const windowOf = (per: Allowance['per'], at: Instant): string =>
  at.slice(0, per === 'day' ? 10 : 7);

const byInstant = (left: AllowanceUse, right: AllowanceUse): number =>
  left.at < right.at ? -1 : left.at > right.at ? 1 : 0;

/** A quantity as a count of 10^-6; zero where it is none that could be free, such as that of a reversal. */
const scaledQuantity = (text: string): bigint => {
  const parsed = parseScaled(text);
  if (!parsed || parsed.value <= 0n || parsed.places > QUANTITY_PLACES) return 0n;
  return widen(parsed, QUANTITY_PLACES);
};

const creditOf = (
  use: AllowanceUse,
  taken: bigint,
  from: { allowance: string; window: string },
): AllowanceCredit | null => {
  const price = parseScaled(use.unit_price);
  if (!price) return null;
  const places = price.places + QUANTITY_PLACES;
  const value = taken * price.value;
  if (value <= 0n || places > AMOUNT_PLACES) return null;
  const amount = widen({ value, places }, AMOUNT_PLACES);
  if (!fitsAmount(amount)) return null;
  const quantity = formatScaled(taken, QUANTITY_PLACES);
  const { model, meter, unit_price } = use;
  return { ...from, model, meter, quantity, unit_price, credit_usd: formatAmount(amount) };
};

/**
 * What the free allowances of a provider take off what an account used: uses in the order of their instants, each by its own list
 * price, until the window's quantity is used up; a unit is free once. Windows are UTC days and months. Never more than was
 * used, never below zero. The ledger keeps list prices: these are the lines by which the provider's bill is lower.
 */
export const allowanceCredits = (query: AllowanceQuery, books: PriceBooks): AllowanceCredit[] => {
  const { provider, knownAt } = query;
  const allowances = allowancesKnown(books, provider, knownAt);
  if (allowances.length === 0) return [];
  const left = new Map<string, bigint>();
  const credits: AllowanceCredit[] = [];
  for (const use of [...query.uses].sort(byInstant)) {
    const model = books.modelOf(provider, use.model, knownAt) ?? use.model;
    let charged = scaledQuantity(use.quantity);
    for (const { id, rule } of allowances) {
      if (rule.meter !== use.meter || !isValidAt(rule, use.at)) continue;
      if (rule.models !== undefined && !rule.models.includes(model)) continue;
      const window = windowOf(rule.per, use.at);
      const key = `${id} ${window}`;
      const free = left.get(key) ?? scaledQuantity(rule.quantity);
      let taken = charged;
      if (free < taken) taken = free;
      left.set(key, free - taken);
      charged -= taken;
      const credit = creditOf(use, taken, { allowance: id, window });
      if (credit) credits.push(credit);
    }
  }
  return credits;
};
