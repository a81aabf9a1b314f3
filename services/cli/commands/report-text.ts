import { addAmounts } from '../../../pricing/money.ts';
import { UNRATED_REASONS } from '../../../schemas/rated-usage.ts';
import type { ReportSums } from '../../../schemas/report.ts';
import { ENDINGS } from '../../../schemas/words.ts';
import type { Comparison, Report } from '../../rater/core/compare-reports.ts';
import { formatRows } from './command-kit.ts';

export type ReportFormat = 'json' | 'csv' | 'table';

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

/** What no provider stated in full. */
const estimatedUsd = ({ endings }: ReportSums): string =>
  addAmounts([endings['estimated']?.amount_usd ?? '0', endings['partial']?.amount_usd ?? '0']);

const unratedEvents = ({ unrated }: ReportSums): number =>
  Object.values(unrated).reduce((sum, events) => sum + events, 0);

/** A column and what stands in it. */
type Column = readonly [string, (sums: ReportSums) => unknown];

const SHORT: readonly Column[] = [
  ['events', (sums) => sums.events],
  ['amount_usd', (sums) => sums.amount_usd],
  ['estimated_usd', estimatedUsd],
  ['unrated_events', unratedEvents],
];

/** Of a table for machines: every ending and reason there is, and the meters of this report. */
const longColumns = (totals: ReportSums): Column[] => [
  ...SHORT,
  ...UNRATED_REASONS.map(
    (reason): Column => [`unrated_${reason}`, (sums) => sums.unrated[reason] ?? 0],
  ),
  ...ENDINGS.flatMap((ending): Column[] => [
    [`events_${ending}`, (sums) => sums.endings[ending]?.events ?? 0],
    [`usd_${ending}`, (sums) => sums.endings[ending]?.amount_usd ?? '0'],
  ]),
  ...Object.keys(totals.meters).flatMap((meter): Column[] => [
    [`quantity_${meter}`, (sums) => sums.meters[meter]?.quantity ?? '0'],
    [`usd_${meter}`, (sums) => sums.meters[meter]?.amount_usd ?? '0'],
  ]),
  ...Object.keys(totals.unpriced).map(
    (meter): Column => [`unpriced_${meter}`, (sums) => sums.unpriced[meter] ?? '0'],
  ),
];

/**
 * A report as text, its recipe first; the same bytes on every machine. `json`: an object a line, `recipe`, `row`s, `totals`. `csv` and
 * `table`: the recipe in a comment, a row a group; a table has the totals as its last row, a CSV has none to be added up twice.
 */
export const reportText = (report: Report, format: ReportFormat): string => {
  const { recipe, rows, totals } = report;
  if (format === 'json') {
    return [line({ recipe }), ...rows.map((row) => line({ row })), line({ totals })].join('');
  }
  const columns = format === 'csv' ? longColumns(totals) : SHORT;
  const names = [...recipe.by, ...columns.map(([name]) => name)];
  const cells = (sums: ReportSums): unknown[] => columns.map(([, show]) => show(sums));
  const groups = rows.map((row) => [...Object.values(row.group), ...cells(row)]);
  const total = [...recipe.by.map((_, index) => (index === 0 ? 'total' : '')), ...cells(totals)];
  const shown = format === 'csv' || recipe.by.length === 0 ? groups : [...groups, total];
  return `# ${line({ recipe })}${formatRows(names, shown, { csv: format === 'csv' })}`;
};

const COMPARED = [
  'before_usd',
  'by_prices_usd',
  'by_events_usd',
  'after_usd',
  'difference_usd',
  'events_before',
  'events_after',
  'unrated_before',
  'unrated_after',
] as const;

/** The groups that differ, and the totals. */
export const comparisonText = (comparison: Comparison, format: ReportFormat): string => {
  const { before, after, rows, totals } = comparison;
  if (format === 'json') {
    return [
      line({ compare: { before, after } }),
      ...rows.map((row) => line({ row })),
      line({ totals }),
    ].join('');
  }
  const groups = rows.map((row) => [
    ...Object.values(row.group),
    ...COMPARED.map((name) => row[name]),
  ]);
  const total = [
    ...before.by.map((_, index) => (index === 0 ? 'total' : '')),
    ...COMPARED.map((name) => totals[name]),
  ];
  const shown = format === 'csv' || before.by.length === 0 ? groups : [...groups, total];
  return formatRows([...before.by, ...COMPARED], shown, { csv: format === 'csv' });
};
