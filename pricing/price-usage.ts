import type { Instant } from '../schemas/instant.ts';
import type { Charge, UnratedReason } from '../schemas/rated-usage.ts';
import type { ClassQuantities, UnitQuantities } from '../schemas/usage-event.ts';
import type { Meter } from '../schemas/words.ts';
import { compareMeters, isInputMeter } from './meter-order.ts';
import { AMOUNT_PLACES, fitsAmount, formatAmount } from './money.ts';
import type { PriceBooks, PriceOfMeter } from './price-books.ts';
import type { FoundPrice } from './price-schedule.ts';
import { QUANTITY_PLACES } from './price-schedule.ts';
import type { ScaledDecimal } from './scaled-decimal.ts';
import { formatScaled, parseScaled, widen } from './scaled-decimal.ts';

/** What one model served. */
export interface UsagePart {
  model: string;
  classes: ClassQuantities;
  units: UnitQuantities;
}

/** Quantities to be priced and everything that decides their prices. */
export interface PricingRequest {
  provider: string;
  tier?: string | undefined;
  geo?: string | undefined;
  at: Instant;
  knownAt: Instant;
  /** The provider account that is billed, where contracts are kept by account. */
  account?: string | undefined;
  parts: readonly UsagePart[];
}

export type PricedUsage =
  | { ok: true; book: string; charges: Charge[]; total: string }
  | { ok: false; book: string | undefined; reason: UnratedReason; detail: string };

interface Quantity {
  readonly meter: Meter;
  readonly exact: ScaledDecimal;
  /** The one spelling of it. */
  readonly text: string;
}

const ONE_REQUEST: Quantity = { meter: 'requests', exact: { value: 1n, places: 0 }, text: '1' };

const inOrder = (quantities: readonly Quantity[]): boolean => {
  for (let index = 1; index < quantities.length; index += 1) {
    const [left, right] = [quantities[index - 1], quantities[index]];
    if (left && right && compareMeters(left.meter, right.meter) > 0) return false;
  }
  return true;
};

const addQuantities = (stated: ClassQuantities | UnitQuantities, quantities: Quantity[]): void => {
  for (const [meter, text] of Object.entries(stated)) {
    const exact = text === undefined ? null : parseScaled(text);
    if (!exact || exact.value === 0n) continue;
    const spelled = exact.places === 0 ? text : formatScaled(exact.value, exact.places);
    quantities.push({ meter: meter as Meter, exact, text: spelled });
  }
};

/** Quantities other than zero, in the order of the meters. */
const quantitiesOf = (part: UsagePart): Quantity[] => {
  const quantities: Quantity[] = [];
  addQuantities(part.classes, quantities);
  addQuantities(part.units, quantities);
  if (!inOrder(quantities)) {
    quantities.sort((left, right) => compareMeters(left.meter, right.meter));
  }
  return quantities;
};

const totalInput = (quantities: readonly Quantity[]): bigint => {
  let sum = 0n;
  for (const { meter, exact } of quantities) {
    if (isInputMeter(meter)) sum += widen(exact, QUANTITY_PLACES);
  }
  return sum;
};

type Refusal = { reason: UnratedReason; detail: string };

const circumstances = (request: PricingRequest): string =>
  `tier ${request.tier ?? 'not stated'}, geo ${request.geo ?? 'not stated'}, at ${request.at}, known at ${request.knownAt}`;

/** Why a price that was found must not be used; null when it may be. */
const refusalOf = (found: FoundPrice, model: string): Refusal | null => {
  const { price } = found;
  if (price.claim !== undefined) {
    return {
      reason: 'unknown_price',
      detail: `the price of ${price.meter} of model ${model} is disputed and none of the claims is approved: ${price.claim}`,
    };
  }
  return found.inexact
    ? {
        reason: 'precision',
        detail: `the contract price of ${price.meter} of model ${model} needs more than 12 decimal places`,
      }
    : null;
};

/** A fee charged once a request is owed whether or not the usage counts requests. */
const addRequestFee = (quantities: Quantity[], priceOf: PriceOfMeter): void => {
  if (priceOf('requests')?.price.per_request !== true) return;
  if (quantities.some(({ meter }) => meter === 'requests')) return;
  quantities.push(ONE_REQUEST);
  quantities.sort((left, right) => compareMeters(left.meter, right.meter));
};

/** Prices one part; adds its charges and returns their sum, or says what is missing. */
const pricePart = (
  part: UsagePart,
  books: PriceBooks,
  request: PricingRequest,
  charges: Charge[],
): bigint | Refusal => {
  const quantities = quantitiesOf(part);
  const priceOf = books.pricesOf({
    provider: request.provider,
    model: part.model,
    tier: request.tier,
    geo: request.geo,
    scaledInputTokens: totalInput(quantities),
    at: request.at,
    knownAt: request.knownAt,
    account: request.account,
  });
  if (!priceOf) {
    return {
      reason: 'unknown_model',
      detail: `no book of ${request.provider} names the model ${part.model}; ${circumstances(request)}`,
    };
  }
  if (part === request.parts[0]) addRequestFee(quantities, priceOf);
  let sum = 0n;
  for (const { meter, exact, text } of quantities) {
    const found = priceOf(meter);
    if (!found) {
      return {
        reason: 'unknown_price',
        detail: `model ${part.model} has no price of ${meter}; ${circumstances(request)}`,
      };
    }
    const refusal = refusalOf(found, part.model);
    if (refusal) return refusal;
    const product = exact.value * found.exact.value;
    const places = exact.places + found.exact.places;
    const amount = widen({ value: product, places }, AMOUNT_PLACES);
    if (!fitsAmount(amount)) {
      return { reason: 'precision', detail: `the charge of ${meter} needs more than 38 digits` };
    }
    sum += amount;
    charges.push({
      meter,
      model: part.model,
      quantity: text,
      unit_price: found.price.unit_price,
      amount_usd: formatScaled(product, places),
      price_id: found.price.price_id,
    });
  }
  return sum;
};

/** `openai@3`, with the contract where the account has one: `openai@3+frame@2`. */
export const bookName = (
  books: PriceBooks,
  { provider, account, knownAt }: Pick<PricingRequest, 'provider' | 'account' | 'knownAt'>,
  version: number,
): string => {
  const contract = account === undefined ? null : books.contractAt(provider, account, knownAt);
  return `${provider}@${version}${contract === null ? '' : `+${contract}`}`.slice(0, 100);
};

/**
 * Prices disjoint quantities: one charge per (part, meter) above zero, in a fixed order, and their exact sum. All or
 * nothing: one missing price leaves the whole request unrated. Each part is measured against context cliffs by itself.
 */
export const priceUsage = (request: PricingRequest, books: PriceBooks): PricedUsage => {
  const version = books.versionAt(request.provider, request.knownAt);
  if (version === null) {
    return {
      ok: false,
      book: undefined,
      reason: 'unknown_model',
      detail: `no price book of ${request.provider} is known at ${request.knownAt}`,
    };
  }
  const book = bookName(books, request, version);
  const charges: Charge[] = [];
  let total = 0n;
  for (const part of request.parts) {
    const sum = pricePart(part, books, request, charges);
    if (typeof sum !== 'bigint') {
      return { ok: false, book, reason: sum.reason, detail: sum.detail.slice(0, 500) };
    }
    total += sum;
  }
  if (!fitsAmount(total)) {
    return { ok: false, book, reason: 'precision', detail: 'the total needs more than 38 digits' };
  }
  return { ok: true, book, charges, total: formatAmount(total) };
};
