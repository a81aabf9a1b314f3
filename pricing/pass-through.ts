import type { Instant } from '../schemas/instant.ts';
import type { PassThrough } from '../schemas/price-book.ts';
import type { Charge } from '../schemas/rated-usage.ts';
import type { BookRule } from './book-rules.ts';
import { isValidAt, passThroughSubject, rulesKnown, rulesOfBooks } from './book-rules.ts';
import { AMOUNT_PLACES, fitsAmount, formatAmount } from './money.ts';
import type { PriceBooks } from './price-books.ts';
import { PRICE_PLACES, QUANTITY_PLACES } from './price-schedule.ts';
import type { PricedUsage } from './price-usage.ts';
import type { ScaledDecimal } from './scaled-decimal.ts';
import { formatScaled, powerOfTen, widen } from './scaled-decimal.ts';
import type { StatedCost } from './stated-cost.ts';
import { readStatedCost } from './stated-cost.ts';

/** A call whose provider may have said what it cost. */
export interface StatedCall {
  provider: string;
  model: string;
  at: Instant;
  knownAt: Instant;
  rawUsage: string | undefined;
}

type Rules = ReadonlyMap<string, readonly BookRule<PassThrough>[]>;

/** By provider; only those that have any. Made once a set of books, which never changes. */
const RULES = new WeakMap<PriceBooks, Rules>();

const rulesOf = (books: PriceBooks): Rules => {
  const made = RULES.get(books);
  if (made) return made;
  const stating = books.books.filter((book) => book.pass_through !== undefined);
  const rules: Rules = new Map(
    stating.map(({ provider }) => [
      provider,
      rulesOfBooks(
        stating.filter((book) => book.provider === provider),
        'pass-through',
        (book) => book.pass_through,
      ),
    ]),
  );
  RULES.set(books, rules);
  return rules;
};

/** The rule under which a call costs what its provider says: it names the model or an alias of it, or no model at all. */
const ruleOf = (call: StatedCall, books: PriceBooks): BookRule<PassThrough> | undefined => {
  const rules = rulesOf(books).get(call.provider);
  if (!rules) return undefined;
  const { provider, model, at, knownAt } = call;
  return rulesKnown(rules, knownAt, passThroughSubject).find(({ rule }) => {
    if (!isValidAt(rule, at)) return false;
    if (rule.models === undefined || rule.models.includes(model)) return true;
    const target = books.modelOf(provider, model, knownAt);
    return target !== null && rule.models.includes(target);
  });
};

/** Whether a call costs what its provider says, should it say something. */
export const isCostStated = (call: StatedCall, books: PriceBooks): boolean =>
  ruleOf(call, books) !== undefined;

const chargeOf = (usd: ScaledDecimal, model: string, priceId: string): Charge => {
  const places = Math.max(usd.places - QUANTITY_PLACES, 0);
  return {
    meter: 'stated_cost_micro_usd',
    model,
    quantity: formatScaled(usd.value * powerOfTen(QUANTITY_PLACES + places - usd.places), places),
    unit_price: '0.000001',
    amount_usd: formatScaled(usd.value, usd.places),
    price_id: priceId,
  };
};

/** The count of 10^-`places` nearest to an amount, half to even. Amounts here are never below zero. */
const roundedTo = (places: number, usd: ScaledDecimal): ScaledDecimal => {
  if (usd.places <= places) return usd;
  const step = powerOfTen(usd.places - places);
  const whole = usd.value / step;
  const twice = (usd.value % step) * 2n;
  const up = twice > step || (twice === step && whole % 2n === 1n);
  return { value: up ? whole + 1n : whole, places };
};

/** Both amounts with the names of their lines. What the vendor took stands apart: OpenRouter's own statement lacks it. */
const linesOf = (
  cost: StatedCost,
  { id, rule }: BookRule<PassThrough>,
): { usd: ScaledDecimal; priceId: string }[] =>
  [
    { usd: cost.own, priceId: id },
    ...(cost.upstream ? [{ usd: cost.upstream, priceId: `${id}/upstream` }] : []),
  ]
    .map(({ usd, priceId }) => ({
      usd: rule.rounding === 'half_even' ? roundedTo(PRICE_PLACES, usd) : usd,
      priceId,
    }))
    .filter(({ usd }) => usd.value !== 0n);

/**
 * Charges a call what its provider says it cost, where the book says so: one line, with the customer's own key at the vendor two.
 * The statement is of the whole call, so parts, tiers and contracts do not matter; a stated zero costs nothing. What has more
 * than 12 decimal places of a dollar is rounded where the rule says how, and refused as `precision` where it does not.
 * @returns null where no rule is in force or nothing is stated: the book's prices hold.
 */
export const chargeStatedCost = (
  call: StatedCall,
  books: PriceBooks,
  book: string | undefined,
): PricedUsage | null => {
  const rule = ruleOf(call, books);
  const cost = rule && readStatedCost(call.rawUsage);
  if (!cost) return null;
  const lines = linesOf(cost, rule);
  const fine = lines.find(({ usd }) => usd.places > PRICE_PLACES);
  if (fine) {
    return {
      ok: false,
      book,
      reason: 'precision',
      detail: `the cost that ${call.provider} states has ${fine.usd.places} decimal places of a dollar, more than the 12 that are charged exactly`,
    };
  }
  const total = lines.reduce((sum, { usd }) => sum + widen(usd, AMOUNT_PLACES), 0n);
  if (!fitsAmount(total)) {
    return { ok: false, book, reason: 'precision', detail: 'the total needs more than 38 digits' };
  }
  const charges = lines.map(({ usd, priceId }) => chargeOf(usd, call.model, priceId));
  return { ok: true, book: book ?? '', charges, total: formatAmount(total) };
};

/** The most that a stated cost can be where it is too fine to be charged: the next 10^-18 USD. Null where none is stated. */
export const ceilingOfStatedCost = (call: StatedCall, books: PriceBooks): bigint | null => {
  const rule = ruleOf(call, books);
  const cost = rule && readStatedCost(call.rawUsage);
  if (!cost) return null;
  return linesOf(cost, rule).reduce((sum, { usd }) => {
    if (usd.places <= AMOUNT_PLACES) return sum + widen(usd, AMOUNT_PLACES);
    const finer = powerOfTen(usd.places - AMOUNT_PLACES);
    return sum + (usd.value + finer - 1n) / finer;
  }, 0n);
};
