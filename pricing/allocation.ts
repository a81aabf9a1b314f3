import type { PriceBook } from '../schemas/price-book.ts';
import type { Meter } from '../schemas/words.ts';
import { compareMeters } from './meter-order.ts';
import { formatAmount, scaledAmount } from './money.ts';
import { PRICE_PLACES, QUANTITY_PLACES } from './price-schedule.ts';
import { formatScaled, parseScaled, widen } from './scaled-decimal.ts';

/** A bill of machines and what they served. */
export interface AllocationInput {
  /** The whole bill in USD: GPU hours times the price of one, or an invoice. */
  bill_usd: string;
  /** What the machines served, by meter. */
  quantities: Partial<Record<Meter, string>>;
  /** How much dearer one unit of a meter is than that of another; 1 where none is given. */
  weights: Partial<Record<Meter, string>>;
}

/** Unit prices that spread a bill over usage. */
export interface Allocation {
  prices: { meter: Meter; unit_price: string }[];
  /** What the quantities cost at these prices, exactly. */
  charged_usd: string;
  /** What no price of 12 decimal places can express: bill less charged, never below zero. */
  remainder_usd: string;
}

/** What a model's book has to price. */
const ALWAYS: readonly Meter[] = ['input_uncached', 'output_text'];
/** Weights are small numbers people write. */
const WEIGHT_PLACES = 6;

const stated = (name: string, text: string, places: number): bigint => {
  const parsed = parseScaled(text);
  if (!parsed || parsed.value < 0n || parsed.places > places) {
    throw new RangeError(
      `${name} is ${JSON.stringify(text.slice(0, 60))}; expected a decimal of at most ${places} places that is not below zero.`,
    );
  }
  return widen(parsed, places);
};

/** An exact product, such as that of GPU hours and the price of one. Throws RangeError where a figure is no such decimal. */
export const billOf = (hours: string, hourUsd: string): string => {
  const counted = stated('the number of hours', hours, QUANTITY_PLACES);
  return formatAmount(counted * stated('the price of an hour', hourUsd, PRICE_PLACES));
};

/**
 * Spreads a bill over the usage it served, in proportion to quantity times weight. Each price is the exact share of one unit, cut
 * to 12 places, so that what is charged never exceeds the bill; what is cut off is stated.
 * @throws RangeError where nothing that has a weight was used, or a figure is no such decimal.
 */
export const allocateBill = (input: AllocationInput): Allocation => {
  const bill = scaledAmount(input.bill_usd);
  if (bill < 0n) throw new RangeError('The bill is below zero; expected what the machines cost.');
  const named = [...Object.keys(input.quantities), ...Object.keys(input.weights), ...ALWAYS];
  const lines = ([...new Set(named)] as Meter[]).sort(compareMeters).map((meter) => ({
    meter,
    quantity: stated(meter, input.quantities[meter] ?? '0', QUANTITY_PLACES),
    weight: stated(`the weight of ${meter}`, input.weights[meter] ?? '1', WEIGHT_PLACES),
  }));
  const weighed = lines.reduce((sum, { quantity, weight }) => sum + quantity * weight, 0n);
  if (weighed === 0n) {
    throw new RangeError(
      'Nothing that has a weight was used; there is nothing to spread the bill over.',
    );
  }
  // Bill in 10^-18, weights in 10^-6, the sum below in 10^-12: the quotient counts 10^-12 USD, the last place a price has.
  const prices = lines.map(({ meter, quantity, weight }) => ({
    meter,
    quantity,
    price: (bill * weight) / weighed,
  }));
  const charged = prices.reduce((sum, { quantity, price }) => sum + quantity * price, 0n);
  return {
    prices: prices.map(({ meter, price }) => ({
      meter,
      unit_price: formatScaled(price, PRICE_PLACES),
    })),
    charged_usd: formatAmount(charged),
    remainder_usd: formatAmount(bill - charged),
  };
};

/** First instants of a month and of the one after it. */
const monthOf = (month: string): { from: string; to: string } => {
  const match = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month);
  if (!match) throw new RangeError(`The month is ${JSON.stringify(month)}; expected YYYY-MM.`);
  const [year, number] = [Number(match[1]), Number(match[2])];
  const next = number === 12 ? `${year + 1}-01` : `${year}-${String(number + 1).padStart(2, '0')}`;
  return { from: `${month}-01T00:00:00.000Z`, to: `${next}-01T00:00:00.000Z` };
};

/**
 * The version of a book that charges one month of one model by an allocation. Stated again for the same month it replaces what was
 * allocated before.
 */
export const allocatedBook = (
  allocation: Allocation,
  about: {
    provider: string;
    model: string;
    month: string;
    version: number;
    now: string;
    source: string;
  },
): PriceBook => {
  const { provider, model, month, version, now } = about;
  const { from, to } = monthOf(month);
  return {
    provider,
    version,
    currency: 'USD',
    known_from: now,
    note: `Allocated: ${allocation.charged_usd} USD charged, ${allocation.remainder_usd} USD that no price of 12 places can express.`,
    standard_tiers: ['default', 'standard', 'auto'],
    standard_geos: [],
    aliases: [],
    prices: allocation.prices.map(({ meter, unit_price }) => ({
      price_id: `${provider}@${version}/${model}/${meter}/allocated-${month}`,
      model,
      meter,
      unit_price,
      valid_from: from,
      valid_to: to,
      known_from: now,
      source: about.source,
      retrieved_at: now.slice(0, 10),
    })),
  };
};
