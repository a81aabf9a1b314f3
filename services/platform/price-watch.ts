import { activePrices } from '../../pricing/active-prices.ts';
import type { BookFinding } from '../../pricing/book-findings.ts';
import { checkBooks, SOON_DAYS } from '../../pricing/book-findings.ts';
import type { PriceBook } from '../../schemas/price-book.ts';
import type { Clock } from './clock.ts';
import { toInstant } from './clock.ts';
import type { FollowedPriceBooks } from './follow-price-books.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { RunningService } from './running-service.ts';

/** How often the day is looked at; the check itself is made once a day and after every swap. */
const LOOK_EVERY_MS = 10 * 60 * 1000;
const FINDINGS = ['stale', 'ends_soon', 'announced_due', 'open_conflict'] as const;

/** The newest version of one provider's book, as people look at it. */
export interface WatchedBook {
  provider: string;
  version: number;
  prices: number;
  known_from: string;
  approved_by: string[];
  last_compared: string | null;
  findings: BookFinding[];
}

/** The daily look at the books in force. */
export interface PriceWatch extends RunningService {
  /** What needs a person, as of the last look. */
  findings(): readonly BookFinding[];
  /** Every provider's book with its findings. */
  books(): readonly WatchedBook[];
  /** Looks if the day has changed since the last look. */
  look(): void;
}

const byProvider = (books: readonly PriceBook[]): PriceBook[][] => [
  ...Map.groupBy(books, ({ provider }) => provider).values(),
];

const watchedBook = (
  versions: readonly PriceBook[],
  findings: readonly BookFinding[],
): WatchedBook[] => {
  const newest = versions.at(-1);
  if (!newest) return [];
  const days = activePrices(versions).map(({ retrieved_at: day }) => day);
  return [
    {
      provider: newest.provider,
      version: newest.version,
      prices: versions.reduce((sum, { prices }) => sum + prices.length, 0),
      known_from: newest.known_from,
      approved_by: newest.approved?.map(({ by }) => by) ?? [],
      last_compared: days.sort().at(-1) ?? null,
      findings: findings.filter(({ provider }) => provider === newest.provider),
    },
  ];
};

/**
 * Looks at the books in force at the start, each UTC day and after every swap: one warning a finding and day, and
 * `reckoner_price_book_findings{provider,finding}`, zero where a provider has none.
 */
export const startPriceWatch = (deps: {
  prices: Pick<FollowedPriceBooks, 'current' | 'onSwap'>;
  staleAfterDays: number;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}): PriceWatch => {
  const { prices, clock, logger } = deps;
  let findings: readonly BookFinding[] = [];
  let watched: readonly WatchedBook[] = [];
  let day = '';
  let told = new Set<string>();

  const check = (now: string): void => {
    const options = { now, staleAfterDays: deps.staleAfterDays, soonDays: SOON_DAYS };
    findings = byProvider(prices.current().books).flatMap((books) => checkBooks(books, options));
    watched = byProvider(prices.current().books).flatMap((books) => watchedBook(books, findings));
    for (const found of findings) {
      const key = `${found.provider} ${found.finding} ${found.what}`;
      if (told.has(key)) continue;
      told.add(key);
      logger.info({ ...found }, 'a price book needs a person');
    }
  };
  const look = (): void => {
    const now = toInstant(clock.nowMs());
    if (now.slice(0, 10) === day) return;
    day = now.slice(0, 10);
    told = new Set();
    check(now);
  };
  deps.metrics.labelledGauge(
    'price_book_findings',
    'What of a price book needs a person: stale, ends_soon, announced_due, open_conflict.',
    ['provider', 'finding'],
    () =>
      byProvider(prices.current().books).flatMap(([book]) =>
        FINDINGS.map((finding) => ({
          labels: { provider: book?.provider ?? '', finding },
          value: findings.filter((f) => f.provider === book?.provider && f.finding === finding)
            .length,
        })),
      ),
  );
  look();
  prices.onSwap(() => check(toInstant(clock.nowMs())));
  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
  const ended = Promise.withResolvers<void>();
  return {
    name: 'price-watch',
    ended: ended.promise,
    findings: () => findings,
    books: () => watched,
    look,
    close: async () => {
      clearInterval(timer);
      ended.resolve();
    },
  };
};
