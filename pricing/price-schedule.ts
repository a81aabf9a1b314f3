import type { Instant } from '../schemas/instant.ts';
import type { Price } from '../schemas/price-book.ts';
import type { ScaledDecimal } from './scaled-decimal.ts';
import { parseScaled, powerOfTen, widen } from './scaled-decimal.ts';
import { inTimeBand } from './time-band.ts';

/** Places after the point of a unit price, and of a quantity: together the 18 of an amount. */
export const PRICE_PLACES = 12;
export const QUANTITY_PLACES = 6;

/** A price with its number ready to multiply. */
export interface FoundPrice {
  readonly price: Price;
  /** Count of 10^-12 USD. */
  readonly scaledPrice: bigint;
  /** The same number as short as it is written: small integers are quick to multiply and to print. */
  readonly exact: ScaledDecimal;
  /** Edge of its context band as a count of 10^-6 tokens; zero where it has none. */
  readonly scaledEdge: bigint;
  /** A rule combined it to more than 12 decimal places: nothing may be charged with it. */
  readonly inexact?: true;
}

/** What one publication says about one (model, meter, tier, geo) from one instant on: all its context bands together. */
export interface PriceSet {
  readonly validFrom: Instant;
  readonly knownFrom: Instant;
  readonly bands: FoundPrice[];
}

/** All sets of one (model, meter, tier, geo): later valid_from first, then later known_from. */
export type Schedule = PriceSet[];

export const withScaledPrice = (price: Price): FoundPrice => {
  const exact = parseScaled(price.unit_price) ?? { value: 0n, places: 0 };
  return {
    price,
    scaledPrice: widen(exact, PRICE_PLACES),
    exact,
    scaledEdge: BigInt(price.when?.context?.input_tokens ?? 0) * powerOfTen(QUANTITY_PLACES),
  };
};

/** Adds a price to the set it belongs to. */
export const addToSchedule = (schedule: Schedule, found: FoundPrice): void => {
  const { valid_from, known_from } = found.price;
  const set = schedule.find((s) => s.validFrom === valid_from && s.knownFrom === known_from);
  if (set) set.bands.push(found);
  else schedule.push({ validFrom: valid_from, knownFrom: known_from, bands: [found] });
};

const descending = (left: string, right: string): number =>
  left < right ? 1 : left > right ? -1 : 0;

/** How far from the middle a band lies; the outermost band that holds is the one meant. */
const bandRank = ({ price }: FoundPrice): number => {
  const context = price.when?.context;
  if (!context) return -1;
  return context.operator.startsWith('>')
    ? context.input_tokens
    : Number.MAX_SAFE_INTEGER - context.input_tokens;
};

export const sortSchedule = (schedule: Schedule): void => {
  schedule.sort(
    (left, right) =>
      descending(left.validFrom, right.validFrom) || descending(left.knownFrom, right.knownFrom),
  );
  for (const set of schedule) {
    set.bands.sort(
      (left, right) =>
        bandRank(right) - bandRank(left) ||
        Number(right.price.when?.time !== undefined) -
          Number(left.price.when?.time !== undefined) ||
        Number(right.price.claim !== undefined) - Number(left.price.claim !== undefined),
    );
  }
};

const inContext = ({ price, scaledEdge: edge }: FoundPrice, scaledInputTokens: bigint): boolean => {
  const context = price.when?.context;
  if (!context) return true;
  switch (context.operator) {
    case '>':
      return scaledInputTokens > edge;
    case '>=':
      return scaledInputTokens >= edge;
    case '<':
      return scaledInputTokens < edge;
    case '<=':
      return scaledInputTokens <= edge;
  }
};

/**
 * The price in force. A set counts when it was known at `knownAt`, is valid at `at`, and had begun by `begunBy`: a price
 * announced for later does not activate alone, it needs a version of its book published once it is in force. A later valid_from
 * beats an earlier one; of two sets with the same valid_from the one known later replaces the other, end date included. What is
 * found may be a claim, which prices nothing: the caller must look.
 */
export const findInSchedule = (
  schedule: Schedule,
  when: { at: Instant; knownAt: Instant; begunBy: Instant; scaledInputTokens: bigint },
): FoundPrice | null => {
  let decided: Instant | undefined;
  for (const set of schedule) {
    if (set.knownFrom > when.knownAt || set.validFrom > when.at) continue;
    if (set.validFrom > when.begunBy || set.validFrom === decided) continue;
    decided = set.validFrom;
    for (const band of set.bands) {
      const { valid_to: end, when: conditions } = band.price;
      if (end !== undefined && end <= when.at) continue;
      if (!inContext(band, when.scaledInputTokens)) continue;
      if (conditions?.time === undefined || inTimeBand(conditions.time, when.at)) return band;
    }
  }
  return null;
};
