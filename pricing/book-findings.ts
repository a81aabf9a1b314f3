import type { Price, PriceBook } from '../schemas/price-book.ts';
import { activePrices } from './active-prices.ts';

/** A book that ends within this many days is looked at now. */
export const SOON_DAYS = 45;

/** Something about a book that a person has to look at. */
export interface BookFinding {
  provider: string;
  finding: 'stale' | 'ends_soon' | 'announced_due' | 'open_conflict';
  what: string;
}

const MS_PER_DAY = 86_400_000;
const dayOf = (instant: string): string => instant.slice(0, 10);
const daysBetween = (from: string, to: string): number =>
  Math.floor((Date.parse(to) - Date.parse(from)) / MS_PER_DAY);

const modelsOf = (prices: readonly Price[]): string => {
  const models = [...new Set(prices.map(({ model }) => model))].sort();
  const shown = models.slice(0, 5).join(', ');
  return models.length > 5 ? `${shown} and ${models.length - 5} more` : shown;
};

/** Which meters and tiers of how many models are in dispute; the rest of those models is priced. */
const disputeOf = (claims: readonly Price[]): string => {
  const subjects = new Set(
    claims.map(({ meter, when }) => `${meter}${when?.tier ? ` (${when.tier.join('/')})` : ''}`),
  );
  const models = new Set(claims.map(({ model }) => model)).size;
  return `sources contradict each other on ${[...subjects].sort().join(', ')} of ${models} model(s), usage of which is unrated`;
};

const hasSuccessor = (price: Price, active: readonly Price[]): boolean =>
  active.some(
    (other) =>
      other.model === price.model &&
      other.meter === price.meter &&
      other.valid_from === price.valid_to,
  );

/**
 * What of one provider's published versions needs attention at `now`: not looked at for `staleAfterDays`, prices that end within
 * `soonDays` and have none after them, announced prices whose day has come since the newest version, open conflicts.
 */
export const checkBooks = (
  versions: readonly PriceBook[],
  options: { now: string; staleAfterDays: number; soonDays: number; writtenByHand?: boolean },
): BookFinding[] => {
  const { now } = options;
  const newest = [...versions].sort((left, right) => left.version - right.version).at(-1);
  if (!newest) return [];
  const { provider } = newest;
  const findings: BookFinding[] = [];
  const active = activePrices(versions);
  const lookedAt = active
    .map(({ retrieved_at }) => retrieved_at)
    .sort()
    .at(-1);
  const age = lookedAt === undefined ? Number.POSITIVE_INFINITY : daysBetween(lookedAt, now);
  const todo = options.writtenByHand
    ? 'compare it by hand and write the next version as a draft'
    : 'run prices import';
  if (age > options.staleAfterDays) {
    findings.push({
      provider,
      finding: 'stale',
      what: `last compared with its sources on ${lookedAt ?? 'no day'}; ${todo}`,
    });
  }
  const add = (finding: BookFinding['finding'], prices: readonly Price[], text: string): void => {
    if (prices.length > 0)
      findings.push({ provider, finding, what: `${text}: ${modelsOf(prices)}` });
  };
  add(
    'ends_soon',
    active
      .filter(({ valid_to: end }) => {
        if (end === undefined || end <= now) return false;
        return daysBetween(now, end) <= options.soonDays;
      })
      .filter((price) => !hasSuccessor(price, active)),
    `prices that end within ${options.soonDays} days and have none after them`,
  );
  add(
    'announced_due',
    active.filter(({ valid_from: from }) => from <= now && from > newest.known_from),
    `announced prices whose day has come by ${dayOf(now)}; approve a version to let them in`,
  );
  const disputed = active.filter(({ claim }) => claim !== undefined);
  add('open_conflict', disputed, disputeOf(disputed));
  return findings;
};
