import type { Period } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';

const MONTHS = 12;

/** The accounting month after another. */
export const nextPeriod = (period: Period): Period => {
  const [year = '', month = ''] = period.split('-');
  const count = BigInt(year) * BigInt(MONTHS) + BigInt(month);
  const digits = (value: bigint, width: number): string => value.toString().padStart(width, '0');
  return `${digits(count / BigInt(MONTHS), 4)}-${digits((count % BigInt(MONTHS)) + 1n, 2)}`;
};

/** What is posted into a closed period goes into the first one after it that is open. */
export const postingPeriods =
  (closed: ReadonlySet<Period>) =>
  (period: Period): Period => {
    let open = period;
    while (closed.has(open)) open = nextPeriod(open);
    return open;
  };

/** An entry as it is posted: where it belongs, or, that month being closed, in the open one after it. Fields keep their order. */
export const postedAs = (
  rated: RatedUsage,
  postingPeriodOf: (period: Period) => Period,
): RatedUsage => {
  const posting_period = postingPeriodOf(rated.posting_period);
  return posting_period === rated.posting_period ? rated : { ...rated, posting_period };
};
