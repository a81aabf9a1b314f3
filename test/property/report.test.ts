import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addAmounts } from '../../pricing/money.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import type { ReportGrouping, ReportRow, ReportSums } from '../../schemas/report.ts';
import { REPORT_GROUPINGS } from '../../schemas/report.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { ENDINGS } from '../../schemas/words.ts';
import { compareReports } from '../../services/rater/core/compare-reports.ts';
import { foldReport } from '../../services/rater/core/report-fold.ts';
import { createLogTally, logProblems } from '../../services/rater/core/report-logs.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from '../unit/pricing/pricing-fixtures.ts';

const books = createPriceBooks([
  book([
    ...plainPrices(),
    price('input_uncached', '0.000000000001', { model: 'model-b' }),
    price('output_text', '0.000000123457', { model: 'model-b' }),
  ]),
]);

const models = fc.constantFrom('model-a', 'model-b', 'model-unknown');
const count = fc.bigInt({ min: 0n, max: 10n ** 20n }).map(String);
const classes = fc.record({ input_uncached: count, output_text: count }, { requiredKeys: [] });
const events: fc.Arbitrary<UsageEvent[]> = fc.array(
  fc
    .record({
      tenant: fc.constantFrom('acme', 'zeta', 'Åre'),
      feature: fc.option(fc.constantFrom('chat', 'search'), { nil: undefined }),
      model: models,
      ending: fc.constantFrom(...ENDINGS),
      day: fc.integer({ min: 1, max: 28 }),
      classes,
      parts: fc.option(
        fc.array(fc.record({ model: models, classes }), { minLength: 1, maxLength: 3 }),
        {
          nil: undefined,
        },
      ),
    })
    .map(({ tenant, feature, day, parts, ...rest }) =>
      usageEvent({
        ...rest,
        event_ts: `2026-11-${String(day).padStart(2, '0')}T12:00:00.000Z`,
        dimensions: { tenant, ...(feature === undefined ? {} : { feature }) },
        ...(parts ? { parts: parts.map((part) => ({ ...part, units: {} })) } : {}),
      }),
    ),
  { maxLength: 30 },
);
const groupings = fc.uniqueArray(fc.constantFrom(...REPORT_GROUPINGS), { maxLength: 3 });

const fold = (list: readonly UsageEvent[], by: readonly ReportGrouping[]) => {
  const report = foldReport(by, books, KNOWN);
  for (const event of list) report.add(event);
  return { rows: report.rows(), totals: report.totals() };
};

/** Adds rows up with arithmetic of its own: whole numbers of 10^-18. */
const scaled = (text: string): bigint => {
  const [whole = '0', fraction = ''] = text.replace('-', '').split('.');
  return BigInt(whole + fraction.padEnd(18, '0')) * (text.startsWith('-') ? -1n : 1n);
};
const leaves = (value: unknown, path: string, into: Map<string, bigint>): void => {
  if (typeof value === 'object' && value !== null) {
    for (const [name, part] of Object.entries(value)) leaves(part, `${path}/${name}`, into);
  } else if (typeof value === 'number' || typeof value === 'string') {
    const amount = scaled(String(value));
    if (amount !== 0n) into.set(path, (into.get(path) ?? 0n) + amount);
  }
};
const sumOf = (all: readonly (ReportRow | ReportSums)[]): [string, bigint][] => {
  const sums = new Map<string, bigint>();
  for (const row of all) leaves({ ...row, group: undefined }, '', sums);
  return [...sums].sort(([left], [right]) => (left < right ? -1 : 1));
};

test('every grouping adds up to the totals, in every figure', () => {
  fc.assert(
    fc.property(events, groupings, (list, by) => {
      const { rows, totals } = fold(list, by);
      expect(sumOf(rows)).toEqual(sumOf([totals]));
      expect(totals).toEqual(fold(list, []).totals);
      expect(totals.events).toBe(list.length);
    }),
  );
});

test('the total is the sum of the ratings, one by one', () => {
  fc.assert(
    fc.property(events, (list) => {
      const ratings = list.map((event) => rateUsage(event, books, { knownAt: KNOWN }));
      const { totals } = fold(list, ['tenant']);
      expect(totals.amount_usd).toBe(addAmounts(ratings.map(({ total_usd }) => total_usd ?? '0')));
      const unrated = Object.values(totals.unrated).reduce((sum, n) => sum + n, 0);
      expect(unrated).toBe(ratings.filter(({ outcome }) => outcome === 'unrated').length);
    }),
  );
});

test('the bytes do not depend on the order of the events', () => {
  fc.assert(
    fc.property(events, groupings, fc.infiniteStream(fc.nat()), (list, by, keys) => {
      const keyed = list.map((event) => [keys.next().value ?? 0, event] as const);
      const shuffled = keyed.sort(([left], [right]) => left - right).map(([, event]) => event);
      expect(JSON.stringify(fold(shuffled, by))).toBe(JSON.stringify(fold(list, by)));
    }),
  );
});

test('of a comparison prices and events make up the difference, and its groups its totals', () => {
  fc.assert(
    fc.property(events, events, events, (before, between, after) => {
      const reports = [before, between, after].map((list) => {
        const { rows, totals } = fold(list, ['tenant', 'model']);
        return {
          recipe: {} as never,
          rows,
          totals: { groups: rows.length, superseded: 0, ...totals },
        };
      });
      const [first, second, third] = reports;
      if (!first || !second || !third) throw new Error('three reports');
      const { rows, totals } = compareReports(first, second, third);
      for (const row of [...rows, totals]) {
        expect(addAmounts([row.by_prices_usd, row.by_events_usd])).toBe(row.difference_usd);
        expect(addAmounts([row.before_usd, row.difference_usd])).toBe(row.after_usd);
      }
      expect(addAmounts(rows.map((row) => row.difference_usd))).toBe(totals.difference_usd);
    }),
  );
});

test('a log that lacks, gained or changed one event of a recipe is noticed', () => {
  const content = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
  const read = (hashes: readonly bigint[], superseded = 0) => {
    const tally = createLogTally([{ log: 'proxy', partition: 3, up_to: 100 }]);
    for (const hash of hashes) tally.add({ log: 'proxy', partition: 3, content: hash }, true);
    for (let n = 0; n < superseded; n += 1) {
      tally.add({ log: 'proxy', partition: 3, content: 1n }, false);
    }
    return tally.logs();
  };
  fc.assert(
    fc.property(fc.uniqueArray(content, { minLength: 1, maxLength: 20 }), content, (all, other) => {
      const recipe = read(all);
      expect(logProblems(recipe, read([...all].reverse()))).toEqual([]);
      expect(logProblems(recipe, read(all.slice(1)))).toHaveLength(1);
      expect(logProblems(recipe, read([...all, other]))).toHaveLength(1);
      expect(logProblems(recipe, read(all.slice(1), 1))).toHaveLength(1);
      if (other !== all[0]) {
        expect(logProblems(recipe, read([other, ...all.slice(1)]))).toHaveLength(1);
      }
      expect(logProblems(recipe, [])).toEqual(['log proxy is not there']);
    }),
  );
});
