import type { Instant } from '../schemas/instant.ts';
import type { UnratedReason } from '../schemas/rated-usage.ts';
import type { Meter } from '../schemas/words.ts';
import { AMOUNT_PLACES, fitsAmount, formatAmount } from './money.ts';
import type { StatedCall } from './pass-through.ts';
import { ceilingOfStatedCost } from './pass-through.ts';
import type { PriceBooks } from './price-books.ts';
import type { FoundPrice, PriceSet, Schedule } from './price-schedule.ts';
import { addToSchedule, sortSchedule, withScaledPrice } from './price-schedule.ts';
import type { UsagePart } from './price-usage.ts';
import { parseScaled, widen } from './scaled-decimal.ts';

interface Candidate {
  readonly found: FoundPrice;
  readonly set: PriceSet;
  readonly schedule: Schedule;
}

/** Every price of a meter, of whatever model, tier, geography, band and hour, the dearest first. */
type Dearest = ReadonlyMap<Meter, readonly Candidate[]>;

interface When {
  at: Instant;
  knownAt: Instant;
  begunBy: Instant;
}

/** By provider, made when a provider's first ceiling is asked for; books never change. */
const DEAREST = new WeakMap<PriceBooks, Map<string, Dearest>>();

const schedulesOf = (books: PriceBooks, provider: string): Schedule[] => {
  const schedules = new Map<string, Schedule>();
  const prices = books.books
    .filter((book) => book.provider === provider)
    .flatMap((book) => book.prices);
  for (const price of new Map(prices.map((one) => [one.price_id, one])).values()) {
    const found = withScaledPrice(price);
    for (const tier of price.when?.tier ?? ['']) {
      for (const geo of price.when?.geo ?? ['']) {
        const key = JSON.stringify([price.model, price.meter, tier, geo]);
        const schedule = schedules.get(key) ?? [];
        schedules.set(key, schedule);
        addToSchedule(schedule, found);
      }
    }
  }
  for (const schedule of schedules.values()) sortSchedule(schedule);
  return [...schedules.values()];
};

const dearestOf = (books: PriceBooks, provider: string): Dearest => {
  const providers = DEAREST.get(books) ?? new Map<string, Dearest>();
  DEAREST.set(books, providers);
  const made = providers.get(provider);
  if (made) return made;
  const dearest = new Map<Meter, Candidate[]>();
  for (const schedule of schedulesOf(books, provider)) {
    for (const set of schedule) {
      for (const found of set.bands) {
        const candidates = dearest.get(found.price.meter) ?? [];
        dearest.set(found.price.meter, candidates);
        candidates.push({ found, set, schedule });
      }
    }
  }
  for (const candidates of dearest.values()) {
    candidates.sort((left, right) =>
      left.found.scaledPrice < right.found.scaledPrice
        ? 1
        : Number(left.found.scaledPrice > right.found.scaledPrice) * -1,
    );
  }
  providers.set(provider, dearest);
  return dearest;
};

const isLive = ({ price }: FoundPrice, at: Instant): boolean =>
  price.valid_to === undefined || price.valid_to > at;

/** Whether a later set of the same model, meter, tier and geography leaves nothing to this one. */
const isReplacedBy = (later: PriceSet, set: PriceSet, when: When): boolean => {
  if (later.knownFrom > when.knownAt || later.validFrom > when.at) return false;
  if (later.validFrom > when.begunBy) return false;
  if (later.validFrom === set.validFrom) return true;
  return later.bands.some(
    (band) =>
      isLive(band, when.at) &&
      band.price.when?.context === undefined &&
      band.price.when?.time === undefined,
  );
};

/** Known, valid and not replaced; a price that was announced counts from its day on, approved or not. */
const isInForce = ({ found, set, schedule }: Candidate, when: When): boolean => {
  if (set.knownFrom > when.knownAt || set.validFrom > when.at || !isLive(found, when.at)) {
    return false;
  }
  const later = schedule.slice(0, schedule.indexOf(set));
  return !later.some((other) => isReplacedBy(other, set, when));
};

const quantitiesOf = (parts: readonly UsagePart[]): [string, string][] =>
  parts.flatMap((part) => [
    ...Object.entries(part.classes).map(([meter, text]): [string, string] => [meter, text ?? '']),
    ...Object.entries(part.units).map(([meter, text]): [string, string] => [meter, text ?? '']),
  ]);

const ceilingOfQuantities = (
  call: StatedCall,
  parts: readonly UsagePart[],
  books: PriceBooks,
): bigint | null => {
  const { provider, at, knownAt } = call;
  const newest = books.books.filter(
    (book) => book.provider === provider && book.known_from <= knownAt,
  );
  const stated = quantitiesOf(parts);
  if (newest.length === 0 || stated.length === 0) return null;
  const when = {
    at,
    knownAt,
    begunBy:
      newest
        .map((book) => book.known_from)
        .sort()
        .at(-1) ?? at,
  };
  const dearest = dearestOf(books, provider);
  let sum = 0n;
  for (const [meter, text] of stated) {
    const quantity = parseScaled(text);
    if (!quantity || quantity.value === 0n) continue;
    const most = dearest.get(meter as Meter)?.find((candidate) => isInForce(candidate, when));
    if (!most) return null;
    const { value, places } = most.found.exact;
    sum += widen(
      { value: quantity.value * value, places: quantity.places + places },
      AMOUNT_PLACES,
    );
  }
  if (stated.some(([meter]) => meter === 'requests')) return sum;
  const fee = dearest
    .get('requests')
    ?.find((one) => one.found.price.per_request === true && isInForce(one, when));
  return fee ? sum + widen(fee.found.exact, AMOUNT_PLACES) : sum;
};

/** Unrated for want of a price, not of a statement. */
const HAS_CEILING: ReadonlySet<UnratedReason> = new Set([
  'unknown_model',
  'unknown_price',
  'precision',
]);

/**
 * The most that usage can cost which no price was found for: each quantity at the dearest price of its meter in the provider's
 * book, whatever model, tier, geography, length or hour it is for, claims and a fee a request included; where the provider states
 * a cost too fine to be charged, that. Contracts are not looked at. Budgets count it; nobody is charged it.
 * @returns undefined where nothing is stated, a meter has no price at all, or the sum does not fit an amount.
 */
export const ceilingUsd = (
  call: StatedCall & { reason: UnratedReason; parts: readonly UsagePart[] },
  books: PriceBooks,
): string | undefined => {
  if (!HAS_CEILING.has(call.reason)) return undefined;
  const stated = call.reason === 'precision' ? ceilingOfStatedCost(call, books) : null;
  const ceiling = stated ?? ceilingOfQuantities(call, call.parts, books);
  return ceiling === null || !fitsAmount(ceiling) ? undefined : formatAmount(ceiling);
};
