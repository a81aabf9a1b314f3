import { formatAmount, negateAmount, scaledAmount } from '../../pricing/money.ts';
import type { Instant, Period } from '../../schemas/instant.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import type { PriceChange } from './core/price-again.ts';
import type { RerateDifference } from './core/rerate.ts';
import { addDifferences } from './core/rerate.ts';

/** What is posted where: several rows only where a period of the slice is closed. */
export interface ReratePosting {
  period: Period;
  posting_period: Period;
  entries: number;
  amount_usd: string;
}

/** What a run found, and appended unless it was a dry run. Money as decimal strings in USD; exact. */
export interface RerateReport {
  dry_run: boolean;
  known_at: Instant;
  events_read: number;
  /** Priced otherwise than before, by cause and tenant in `differences`. */
  changed: number;
  unchanged: number;
  /** Of the changed: had no price and have one now, and the reverse. */
  newly_rated: number;
  newly_unrated: number;
  /** Have no price still. */
  still_unrated: number;
  /** Left out: a later fact has taken their place. */
  superseded: number;
  /** Left out: the rater has not come to them yet. */
  not_rated_yet: number;
  /** Reversals and charges. */
  entries: number;
  differences: RerateDifference[];
  difference_usd: string;
  postings: ReratePosting[];
}

type Posted = Pick<RatedUsage, 'period' | 'posting_period' | 'total_usd'>;

/** What one run adds up. Bounded by tenants, causes and months. */
export class Tally {
  #differences: RerateDifference[] = [];
  readonly #postings = new Map<string, { posted: Posted; entries: number; amount: bigint }>();
  read = 0;
  superseded = 0;
  notRatedYet = 0;
  unchanged = 0;
  stillUnrated = 0;
  entries = 0;

  /** Differences with the entries that make them. */
  add(differences: readonly RerateDifference[], entries: readonly Posted[]): void {
    this.#differences = addDifferences([...this.#differences, ...differences]);
    this.entries += entries.length;
    for (const posted of entries) {
      const key = `${posted.period} ${posted.posting_period}`;
      const sum = this.#postings.get(key) ?? { posted, entries: 0, amount: 0n };
      sum.entries += 1;
      sum.amount += scaledAmount(posted.total_usd ?? '0');
      this.#postings.set(key, sum);
    }
  }

  /** Changes as they would be posted. */
  addChanges(changes: readonly PriceChange[], postingPeriodOf: (period: Period) => Period): void {
    this.add(
      changes.map(({ difference }) => difference),
      changes.flatMap(({ difference, before, period }) => [
        {
          period: before.period,
          posting_period: postingPeriodOf(before.posting_period),
          total_usd: negateAmount(difference.before_usd),
        },
        { period, posting_period: postingPeriodOf(period), total_usd: difference.after_usd },
      ]),
    );
  }

  report(dryRun: boolean, knownAt: Instant): RerateReport {
    const differences = this.#differences;
    const count = (cause?: string): number =>
      differences
        .filter((row) => cause === undefined || row.cause === cause)
        .reduce((sum, row) => sum + row.events, 0);
    const difference = differences.reduce((sum, row) => sum + scaledAmount(row.difference_usd), 0n);
    return {
      dry_run: dryRun,
      known_at: knownAt,
      events_read: this.read,
      changed: count(),
      unchanged: this.unchanged,
      newly_rated: count('newly_rated'),
      newly_unrated: count('newly_unrated'),
      still_unrated: this.stillUnrated,
      superseded: this.superseded,
      not_rated_yet: this.notRatedYet,
      entries: this.entries,
      differences,
      difference_usd: formatAmount(difference),
      postings: [...this.#postings]
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([, { posted, entries, amount }]) => ({
          period: posted.period,
          posting_period: posted.posting_period,
          entries,
          amount_usd: formatAmount(amount),
        })),
    };
  }
}
