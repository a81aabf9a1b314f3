import { addAmounts, negateAmount } from '../../../pricing/money.ts';
import type { ReportRecipe, ReportRow, ReportSums, ReportTotals } from '../../../schemas/report.ts';

/** A whole report. */
export interface Report {
  recipe: ReportRecipe;
  rows: ReportRow[];
  totals: ReportTotals;
}

/** One group in two states of knowledge. Money exact, in USD. */
export interface ComparedSums {
  before_usd: string;
  /** Of the difference: the same events by the later prices. */
  by_prices_usd: string;
  /** Of the difference: events that came, or were replaced, since. */
  by_events_usd: string;
  after_usd: string;
  difference_usd: string;
  events_before: number;
  events_after: number;
  /** Events without a price. */
  unrated_before: number;
  unrated_after: number;
}

export type ComparedRow = { group: ReportRow['group'] } & ComparedSums;

export interface Comparison {
  before: ReportRecipe;
  after: ReportRecipe;
  /** Groups in which anything differs. */
  rows: ComparedRow[];
  totals: ComparedSums;
  differs: boolean;
}

type Sums = Pick<ReportSums, 'amount_usd' | 'events' | 'unrated'> | undefined;

const minus = (left: string, right: string): string => addAmounts([left, negateAmount(right)]);

const unratedOf = (sums: Sums): number =>
  Object.values(sums?.unrated ?? {}).reduce((sum, events) => sum + events, 0);

const compareSums = (before: Sums, between: Sums, after: Sums): ComparedSums => {
  const [first, second, third] = [before, between, after].map((sums) => sums?.amount_usd ?? '0');
  return {
    before_usd: first ?? '0',
    by_prices_usd: minus(second ?? '0', first ?? '0'),
    by_events_usd: minus(third ?? '0', second ?? '0'),
    after_usd: third ?? '0',
    difference_usd: minus(third ?? '0', first ?? '0'),
    events_before: before?.events ?? 0,
    events_after: after?.events ?? 0,
    unrated_before: unratedOf(before),
    unrated_after: unratedOf(after),
  };
};

/** What two sums must share to be the same; the group's values are theirs already. */
const substance = (sums: ReportSums | undefined): string =>
  sums === undefined
    ? ''
    : JSON.stringify([
        sums.events,
        sums.amount_usd,
        sums.meters,
        sums.endings,
        sums.unrated,
        sums.unpriced,
      ]);

const keyOf = ({ group }: ReportRow): string => JSON.stringify(Object.values(group));

/**
 * The exact difference by group between two states of knowledge, taken apart into prices and events.
 * @param between the events of `before` by the prices of `after`.
 */
export const compareReports = (before: Report, between: Report, after: Report): Comparison => {
  const [old, middle, fresh] = [before, between, after].map(
    ({ rows }) => new Map(rows.map((row) => [keyOf(row), row])),
  );
  const groups = new Map(
    [before, between, after].flatMap(({ rows }) => rows.map((row) => [keyOf(row), row.group])),
  );
  const rows = [...groups]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .filter(([key]) => substance(old?.get(key)) !== substance(fresh?.get(key)))
    .map(([key, group]) => ({
      group,
      ...compareSums(old?.get(key), middle?.get(key), fresh?.get(key)),
    }));
  return {
    before: before.recipe,
    after: after.recipe,
    rows,
    totals: compareSums(before.totals, between.totals, after.totals),
    differs: rows.length > 0,
  };
};
