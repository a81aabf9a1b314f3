import { Decimal } from 'decimal.js';
import type { Amount } from '../schemas/decimal-string.ts';
import { formatScaled, parseScaled, powerOfTen, widen } from './scaled-decimal.ts';

/** Places after the point of an amount: `Decimal(38,18)` in the warehouse. */
export const AMOUNT_PLACES = 18;
/** 38 digits less 18 places: the first value that does not fit. */
const AMOUNT_LIMIT = powerOfTen(38);

/** Our decimal.js: 40 digits, half-even, never an exponent. For rules that divide or round; sums and products do not need it. */
export const Money = Decimal.clone({
  precision: 40,
  rounding: Decimal.ROUND_HALF_EVEN,
  toExpNeg: -9e15,
  toExpPos: 9e15,
});

/** An amount that is not a plain decimal of at most 20 integer and 18 fraction digits. Refused; never wrapped or rounded. */
export class AmountError extends Error {
  readonly reason: 'malformed' | 'overflow';
  constructor(reason: 'malformed' | 'overflow', message: string) {
    super(message);
    this.name = 'AmountError';
    this.reason = reason;
  }
}

const overflow = (what: string): AmountError =>
  new AmountError(
    'overflow',
    `${what} needs more than the 38 digits that an amount has (20 before the point, 18 after); nothing was rounded.`,
  );

/** The amount as an integer count of 10^-18 USD. */
export const scaledAmount = (amount: string): bigint => {
  const parsed = parseScaled(amount);
  if (!parsed || parsed.places > AMOUNT_PLACES) {
    throw new AmountError(
      'malformed',
      `Expected an amount as a plain decimal string with at most 18 fraction digits, found ${JSON.stringify(amount.slice(0, 60))}.`,
    );
  }
  const scaled = widen(parsed, AMOUNT_PLACES);
  if (!fitsAmount(scaled)) throw overflow('The amount');
  return scaled;
};

/** Whether a count of 10^-18 USD can be kept. */
export const fitsAmount = (scaled: bigint): boolean =>
  scaled < AMOUNT_LIMIT && scaled > -AMOUNT_LIMIT;

/** A count of 10^-18 USD in its one spelling. */
export const formatAmount = (scaled: bigint): Amount => formatScaled(scaled, AMOUNT_PLACES);

/** Reads an amount into a decimal of `Money`. */
export const parseAmount = (amount: string): Decimal =>
  new Money(formatAmount(scaledAmount(amount)));

/** The exact sum, whatever the order; an empty list is "0". Throws AmountError when the sum does not fit. */
export const addAmounts = (amounts: readonly string[]): Amount => {
  let sum = 0n;
  for (const amount of amounts) sum += scaledAmount(amount);
  if (!fitsAmount(sum)) throw overflow(`The sum of ${amounts.length} amounts`);
  return formatAmount(sum);
};

/** Less than zero, zero, or more than zero, as the first amount is below, equal to or above the second. */
export const compareAmounts = (left: string, right: string): -1 | 0 | 1 => {
  const difference = scaledAmount(left) - scaledAmount(right);
  if (difference === 0n) return 0;
  return difference < 0n ? -1 : 1;
};

/** The same amount with the other sign; zero stays "0". */
export const negateAmount = (amount: string): Amount => formatAmount(-scaledAmount(amount));

/** The one spelling of an amount: "1.50" becomes "1.5", "-0" becomes "0". */
export const canonicalAmount = (amount: string): Amount => formatAmount(scaledAmount(amount));

export type Product =
  | { ok: true; amount: Amount }
  | { ok: false; reason: 'malformed' | 'precision' | 'overflow' };

/**
 * quantity x unit price, exactly. Refuses what is not a plain decimal, what would need more than 18 places (`precision`) and
 * what would need more than 38 digits (`overflow`).
 */
export const multiplyExact = (quantity: string, unitPrice: string): Product => {
  const left = parseScaled(quantity);
  const right = parseScaled(unitPrice);
  if (!left || !right) return { ok: false, reason: 'malformed' };
  let value = left.value * right.value;
  let places = left.places + right.places;
  while (places > AMOUNT_PLACES && value % 10n === 0n) {
    value /= 10n;
    places -= 1;
  }
  if (places > AMOUNT_PLACES) return { ok: false, reason: 'precision' };
  const scaled = widen({ value, places }, AMOUNT_PLACES);
  return fitsAmount(scaled)
    ? { ok: true, amount: formatAmount(scaled) }
    : { ok: false, reason: 'overflow' };
};

/**
 * Rounds half to even. Money is rounded once, per invoice line, and by this rule only.
 * @param places fraction digits to keep, 0 to 18.
 */
export const roundHalfEven = (amount: string, places: number): Amount =>
  canonicalAmount(parseAmount(amount).toDecimalPlaces(places, Decimal.ROUND_HALF_EVEN).toFixed());
