import { expect, it } from 'vitest';
import { ReportRecipeSchema } from '../../../schemas/report.ts';
import { UsageSliceSchema } from '../../../schemas/usage-slice.ts';
import { pinPrices } from '../../../services/rater/core/report-books.ts';
import { book, price } from '../pricing/pricing-fixtures.ts';

const sha256 = 'a'.repeat(64);

it('says at once that a version far beyond all others is not there', () => {
  // A recipe is a file that anybody may have written; a list of all that is missing would fill the memory.
  const prices = {
    books: [book([price('output_text', '1')], { provider: 'openai' })],
    contracts: [],
  };
  const named = { provider: 'openai', version: Number.MAX_SAFE_INTEGER, sha256 };
  const { problems } = pinPrices(prices, { books: [named], contracts: [] }, () => sha256);
  expect(problems.length).toBeLessThan(100);
  expect(problems[0]).toBe('book openai@2 is not there');
});

const recipe = {
  reckoner_report: 1,
  slice: {},
  by: [],
  known_at: '2026-11-01T00:00:00.000Z',
  books: [{ provider: 'openai', version: 1, sha256 }],
  contracts: [{ contract: 'deal', provider: 'openai', version: 1, sha256 }],
  logs: [
    { log: 'edge', partition: 0, up_to: 1, events: 1, superseded: 0, content: 'a'.repeat(32) },
  ],
};

it('takes a recipe that names each thing once', () => {
  expect(ReportRecipeSchema.safeParse(recipe).success).toBe(true);
});

it.each(['books', 'contracts', 'logs'] as const)(
  'refuses a recipe whose %s name one twice',
  (list) => {
    const [first] = recipe[list];
    const doubled = ReportRecipeSchema.safeParse({ ...recipe, [list]: [first, first] });
    expect(doubled.error?.issues).toMatchObject([{ path: [list] }]);
  },
);

it.each([
  '2026-02-31T00:00:00.000Z', // the warehouse refuses it
  '2026-13-01T00:00:00.000Z',
  'yesterday',
  '0000-01-01T00:00:00.000Z', // the warehouse reads the year 0 as this year
])('refuses the bound %s of a slice', (from) => {
  expect(UsageSliceSchema.safeParse({ from }).success).toBe(false);
});

it('takes the last day of February', () => {
  const from = '2028-02-29T23:59:59.999Z';
  expect(UsageSliceSchema.safeParse({ from }).success).toBe(true);
});
