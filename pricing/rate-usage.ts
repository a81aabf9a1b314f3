import { entryId } from '../schemas/ids.ts';
import type { Instant } from '../schemas/instant.ts';
import { periodOf } from '../schemas/instant.ts';
import type { RatedUsage } from '../schemas/rated-usage.ts';
import type { UsageEvent } from '../schemas/usage-event.ts';
import { ceilingUsd } from './ceilings.ts';
import { chargeStatedCost } from './pass-through.ts';
import type { PriceBooks } from './price-books.ts';
import type { PricedUsage, UsagePart } from './price-usage.ts';
import { bookName, priceUsage } from './price-usage.ts';

/** Stands where neither reply nor request named a model. */
const NO_MODEL = 'unknown';

type Assumed = NonNullable<RatedUsage['assumed']>;

/**
 * What of an event decides its price; nothing else does. Whoever prices an event from a table instead of its own bytes must bring all
 * of it, so what pricing comes to read is added here first.
 */
export type PricedFacts = Pick<
  UsageEvent,
  | 'event_ts'
  | 'provider_completed_at'
  | 'provider'
  | 'credential_pool_id'
  | 'flavour'
  | 'requested_model'
  | 'model'
  | 'requested_tier'
  | 'tier'
  | 'geo'
  | 'ending'
  | 'classes'
  | 'units'
  | 'parts'
  | 'raw_usage'
>;

const statesNothing = (event: PricedFacts): boolean =>
  (event.parts === undefined || event.parts.length === 0) &&
  Object.keys(event.classes).length === 0 &&
  Object.keys(event.units).length === 0;

/**
 * Whether the provider's statement is whole: only then the cost in it is that of the call. Of a partial one it is the cost so far, and
 * an estimate has none.
 */
const isWhole = ({ ending }: PricedFacts): boolean =>
  ending === 'reported' || ending === 'drained' || ending === 'unknown';

/** Endings that need no price: what was not billed costs nothing, what is not stated is not zero. */
const withoutPricing = (event: PricedFacts, book: string | undefined): PricedUsage | null => {
  switch (event.ending) {
    case 'not_billed':
      return { ok: true, book: book ?? '', charges: [], total: '0' };
    case 'pending':
      return {
        ok: false,
        book,
        reason: 'pending',
        detail: 'the provider has not stated the usage yet',
      };
    case 'unknown':
      return {
        ok: false,
        book,
        reason: 'unknown_usage',
        detail: 'no usage was stated and none could be counted',
      };
    default:
      return statesNothing(event)
        ? {
            ok: false,
            book,
            reason: 'unknown_usage',
            detail: `an event that ended ${event.ending} states no quantity`,
          }
        : null;
  }
};

/** Sets what is there. The order in which fields are set is the order of the bytes: a replay must write the same. */
const setStated = <Name extends keyof RatedUsage>(
  rated: Partial<RatedUsage>,
  name: Name,
  value: RatedUsage[Name] | undefined,
): void => {
  if (value !== undefined) rated[name] = value;
};

const setOutcome = (rated: Partial<RatedUsage>, priced: PricedUsage): void => {
  rated.outcome = priced.ok ? 'rated' : 'unrated';
  if (priced.ok) return;
  rated.unrated_reason = priced.reason;
  rated.unrated_detail = priced.detail;
};

const setIdentity = (rated: Partial<RatedUsage>, event: UsageEvent): void => {
  rated.attempt_id = event.attempt_id;
  rated.request_id = event.request_id;
  setStated(rated, 'supersedes', event.supersedes);
  rated.event_ts = event.event_ts;
  rated.closed_at = event.closed_at;
};

const setRoute = (rated: Partial<RatedUsage>, event: UsageEvent): void => {
  rated.proxy_id = event.proxy_id;
  rated.boot_id = event.boot_id;
  rated.sequence = event.sequence;
  rated.provider = event.provider;
  rated.upstream = event.upstream;
};

const setOwnership = (rated: Partial<RatedUsage>, event: UsageEvent): void => {
  rated.ending = event.ending;
  rated.key_id = event.key_id;
  rated.credential_pool_id = event.credential_pool_id;
  rated.byo_key = event.byo_key;
  setStated(rated, 'reservation_id', event.reservation_id);
  setStated(rated, 'provider_request_id', event.provider_request_id);
  rated.dimensions = event.dimensions;
  rated.tags = event.tags;
};

/**
 * The name under which the provider sells what served the call. Bedrock's InvokeModel passes the vendor's own body on, which knows the
 * model by the vendor's name; AWS sells it, region by region, under the id in the path.
 */
const soldAs = (event: PricedFacts): string => {
  const named = [event.model, event.requested_model];
  if (event.flavour === 'bedrock.invoke') named.reverse();
  return named.find((name) => name !== undefined) ?? NO_MODEL;
};

/** A price with what it was looked up by. */
export interface PricedEvent {
  /** The time that counts: when the provider completed the work, else when the attempt was opened. */
  at: Instant;
  /** Name under which it was sold, and the tier, requested where the reply is silent. */
  model: string;
  tier: string | undefined;
  /** Absent where the provider has no book. */
  book: string | undefined;
  parts: readonly UsagePart[];
  priced: PricedUsage;
}

/** Prices one event: all that `rateUsage` does before it writes the entry. Pure. */
export const priceEvent = (
  event: PricedFacts,
  books: PriceBooks,
  options: { knownAt: Instant },
): PricedEvent => {
  const at = event.provider_completed_at ?? event.event_ts;
  const model = soldAs(event);
  const tier = event.tier ?? event.requested_tier;
  const version = books.versionAt(event.provider, options.knownAt);
  const { provider, credential_pool_id: account } = event;
  const { knownAt } = options;
  const book =
    version === null ? undefined : bookName(books, { provider, account, knownAt }, version);
  const parts =
    event.parts === undefined || event.parts.length === 0
      ? [{ model, classes: event.classes, units: event.units }]
      : event.parts;
  const call = { provider, model, at, knownAt, rawUsage: event.raw_usage };
  const priced =
    (isWhole(event) ? chargeStatedCost(call, books, book) : null) ??
    withoutPricing(event, book) ??
    priceUsage({ provider, tier, geo: event.geo, at, knownAt, account, parts }, books);
  return { at, model, tier, book, parts, priced };
};

/**
 * Rates one event. Pure: the same event, books and `knownAt` give the same bytes. The time that counts is when the provider
 * completed the work, else when the attempt was opened. Model, tier and geography are the reply's; where it is silent
 * the requested ones, which `assumed` then names. A cost that the provider states is charged where its book says so. Contract prices are those of the credential pool used. Parts, where there are any, are the whole truth. Keys brought by the
 * customer are rated like any other: what they cost is theirs, not nothing. An unrated entry whose upstream says so carries the most it can cost.
 */
export const rateUsage = (
  event: UsageEvent,
  books: PriceBooks,
  options: { knownAt: Instant },
): RatedUsage => {
  const { at, model, tier, book, parts, priced } = priceEvent(event, books, options);
  const assumed: Assumed = [];
  if (event.model === undefined && event.requested_model !== undefined) assumed.push('model');
  if (event.tier === undefined && event.requested_tier !== undefined) assumed.push('tier');
  const period = periodOf(at);
  const rated: Partial<RatedUsage> = {
    entry_id: entryId(event.event_id, 1, 'charge'),
    event_id: event.event_id,
    revision: 1,
    kind: 'charge',
  };
  setOutcome(rated, priced);
  setIdentity(rated, event);
  rated.period = period;
  rated.posting_period = period;
  setRoute(rated, event);
  rated.model = model;
  setStated(rated, 'tier', tier);
  setStated(rated, 'geo', event.geo);
  setOwnership(rated, event);
  setStated(rated, 'book', book);
  if (assumed.length > 0) rated.assumed = assumed;
  rated.charges = priced.ok ? priced.charges : [];
  if (priced.ok) rated.total_usd = priced.total;
  else if (event.unknown_price === 'ceiling') {
    const { provider, raw_usage: rawUsage } = event;
    const call = { provider, model, at, knownAt: options.knownAt, rawUsage };
    setStated(rated, 'ceiling_usd', ceilingUsd({ ...call, reason: priced.reason, parts }, books));
  }
  return rated as RatedUsage;
};
