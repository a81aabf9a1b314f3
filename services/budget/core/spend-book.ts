import { scaledAmount } from '../../../pricing/money.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { SeenSequences } from './seen-sequences.ts';
import { createSeenSequences } from './seen-sequences.ts';
import { WINDOW_KINDS, windowKeyAt } from './windows.ts';

/** What one tenant has spent in one window. */
export interface WindowSpend {
  /** USD as a count of 10^-18. */
  readonly spent: bigint;
  /** How much of it is ceilings: usage without a price, counted at the most it can cost. */
  readonly ceilings: bigint;
  /** Events whose charge counts: rated, not reversed, paid from the shared pool. */
  readonly settledEvents: number;
  /** `closed_at` of the newest event counted. */
  readonly asOf?: Instant;
}

export type FoldOutcome = 'counted' | 'ceiling' | 'duplicate' | 'unrated' | 'byo_key';

/** Spend per tenant and window. The same set of entries gives the same book in any order and with any repetition. */
export interface SpendBook {
  fold(entry: RatedUsage): FoldOutcome;
  spendOf(tenant: string, windowKey: string): WindowSpend;
  /** Drops windows that are over for all budgets: days before `day`, months before its month. */
  forgetBefore(day: Instant): void;
  /** Intervals and windows held; the measure of memory. */
  size(): { intervals: number; windows: number };
}

const NOTHING: WindowSpend = { spent: 0n, ceilings: 0n, settledEvents: 0 };

const later = (a: Instant | undefined, b: Instant): Instant => (a === undefined || b > a ? b : a);

const isOver = (windowKey: string, day: Instant): boolean =>
  (windowKey.startsWith('day ') && windowKey < windowKeyAt('day', day)) ||
  (windowKey.startsWith('month ') && windowKey < windowKeyAt('month', day));

/**
 * An empty book. An entry is known by (proxy, boot, sequence) of its event together with its revision and kind, which is its
 * `entry_id` in a form whose numbers have no gaps. An event under the customer's own key is not our
 * spend and does not count. An unrated one counts at its ceiling until its reversal takes that back; without a ceiling it does not
 * count: an unknown price is not zero, it is a metric.
 */
export const createSpendBook = (): SpendBook => {
  const seen = new Map<string, SeenSequences>();
  const tenants = new Map<string, Map<string, WindowSpend>>();

  const isNew = (entry: RatedUsage): boolean => {
    const series = `${entry.proxy_id}/${entry.boot_id}/${entry.revision}/${entry.kind}`;
    let sequences = seen.get(series);
    if (sequences === undefined) {
      sequences = createSeenSequences();
      seen.set(series, sequences);
    }
    return sequences.add(entry.sequence);
  };

  const count = (entry: RatedUsage, amount: bigint): void => {
    const isRated = entry.total_usd !== undefined;
    const step = entry.kind === 'charge' ? 1 : -1;
    const tenant = entry.dimensions.tenant;
    const windows = tenants.get(tenant) ?? new Map<string, WindowSpend>();
    tenants.set(tenant, windows);
    for (const kind of WINDOW_KINDS) {
      const key = windowKeyAt(kind, entry.event_ts);
      const before = windows.get(key) ?? NOTHING;
      windows.set(key, {
        spent: before.spent + amount,
        ceilings: before.ceilings + (isRated ? 0n : amount),
        settledEvents: before.settledEvents + (isRated ? step : 0),
        asOf: later(before.asOf, entry.closed_at),
      });
    }
  };

  return {
    fold: (entry) => {
      if (!isNew(entry)) return 'duplicate';
      if (entry.byo_key) return 'byo_key';
      const amount = entry.total_usd ?? entry.ceiling_usd;
      if (amount === undefined) return 'unrated';
      count(entry, scaledAmount(amount));
      return entry.total_usd === undefined ? 'ceiling' : 'counted';
    },
    spendOf: (tenant, windowKey) => tenants.get(tenant)?.get(windowKey) ?? NOTHING,
    forgetBefore: (day) => {
      for (const windows of tenants.values()) {
        for (const key of windows.keys()) if (isOver(key, day)) windows.delete(key);
      }
    },
    size: () => ({
      intervals: [...seen.values()].reduce((sum, s) => sum + s.intervals(), 0),
      windows: [...tenants.values()].reduce((sum, w) => sum + w.size, 0),
    }),
  };
};
