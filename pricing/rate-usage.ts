import { entryId } from '../schemas/ids.ts';
import type { Instant } from '../schemas/instant.ts';
import { periodOf } from '../schemas/instant.ts';
import type { RatedUsage } from '../schemas/rated-usage.ts';
import type { UsageEvent } from '../schemas/usage-event.ts';
import type { PriceBooks } from './price-books.ts';
import type { PricedUsage } from './price-usage.ts';
import { bookName, priceUsage } from './price-usage.ts';

/** Stands where neither reply nor request named a model. */
const NO_MODEL = 'unknown';

type Assumed = NonNullable<RatedUsage['assumed']>;

const statesNothing = (event: UsageEvent): boolean =>
  (event.parts === undefined || event.parts.length === 0) &&
  Object.keys(event.classes).length === 0 &&
  Object.keys(event.units).length === 0;

/** Endings that need no price: what was not billed costs nothing, what is not stated is not zero. */
const withoutPricing = (event: UsageEvent, book: string | undefined): PricedUsage | null => {
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

const identityOf = (event: UsageEvent) => ({
  attempt_id: event.attempt_id,
  request_id: event.request_id,
  ...(event.supersedes === undefined ? {} : { supersedes: event.supersedes }),
  event_ts: event.event_ts,
  closed_at: event.closed_at,
});

const routeOf = (event: UsageEvent) => ({
  proxy_id: event.proxy_id,
  boot_id: event.boot_id,
  sequence: event.sequence,
  provider: event.provider,
  upstream: event.upstream,
});

const ownershipOf = (event: UsageEvent) => ({
  ending: event.ending,
  key_id: event.key_id,
  credential_pool_id: event.credential_pool_id,
  byo_key: event.byo_key,
  ...(event.reservation_id === undefined ? {} : { reservation_id: event.reservation_id }),
  ...(event.provider_request_id === undefined
    ? {}
    : { provider_request_id: event.provider_request_id }),
  dimensions: event.dimensions,
  tags: event.tags,
});

const outcomeOf = (priced: PricedUsage) =>
  priced.ok
    ? { outcome: 'rated' as const }
    : {
        outcome: 'unrated' as const,
        unrated_reason: priced.reason,
        unrated_detail: priced.detail,
      };

/**
 * Rates one event. Pure: the same event, books and `knownAt` give the same bytes. The time that counts is when the provider
 * completed the work, else when the attempt was opened. Model, tier and geography are the reply's; where it is silent
 * the requested ones, which `assumed` then names. Contract prices are those of the credential pool used. Parts, where there are any, are the whole truth. Keys brought by the
 * customer are rated like any other: what they cost is theirs, not nothing.
 */
export const rateUsage = (
  event: UsageEvent,
  books: PriceBooks,
  options: { knownAt: Instant },
): RatedUsage => {
  const at = event.provider_completed_at ?? event.event_ts;
  const model = event.model ?? event.requested_model ?? NO_MODEL;
  const tier = event.tier ?? event.requested_tier;
  const assumed: Assumed = [];
  if (event.model === undefined && event.requested_model !== undefined) assumed.push('model');
  if (event.tier === undefined && event.requested_tier !== undefined) assumed.push('tier');
  const version = books.versionAt(event.provider, options.knownAt);
  const { provider, credential_pool_id: account } = event;
  const { knownAt } = options;
  const book =
    version === null ? undefined : bookName(books, { provider, account, knownAt }, version);
  const parts =
    event.parts === undefined || event.parts.length === 0
      ? [{ model, classes: event.classes, units: event.units }]
      : event.parts;
  const priced =
    withoutPricing(event, book) ??
    priceUsage({ provider, tier, geo: event.geo, at, knownAt, account, parts }, books);
  const period = periodOf(at);
  return {
    entry_id: entryId(event.event_id, 1, 'charge'),
    event_id: event.event_id,
    revision: 1,
    kind: 'charge',
    ...outcomeOf(priced),
    ...identityOf(event),
    period,
    posting_period: period,
    ...routeOf(event),
    model,
    ...(tier === undefined ? {} : { tier }),
    ...(event.geo === undefined ? {} : { geo: event.geo }),
    ...ownershipOf(event),
    ...(book === undefined ? {} : { book }),
    ...(assumed.length === 0 ? {} : { assumed }),
    charges: priced.ok ? priced.charges : [],
    ...(priced.ok ? { total_usd: priced.total } : {}),
  };
};
