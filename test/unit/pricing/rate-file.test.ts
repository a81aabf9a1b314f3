import { describe, expect, it } from 'vitest';
import { listPrices, showPrices } from '../../../services/cli/commands/prices.ts';
import {
  type RateFileOptions,
  type RateLine,
  rateFile,
} from '../../../services/cli/commands/rate.ts';
import { loadPriceBooks } from '../../../services/platform/price-books.ts';

const books = loadPriceBooks();
const AT = '2026-11-21T12:00:00.000Z';

const rate = async (lines: unknown[], rest: Partial<RateFileOptions> = {}): Promise<RateLine[]> => {
  const text = async function* () {
    for (const line of lines) yield typeof line === 'string' ? line : JSON.stringify(line);
  };
  return Array.fromAsync(rateFile({ lines: text(), books, ...rest }));
};

const mini = { provider: 'openai', model: 'gpt-4o-mini-2024-07-18', at: AT, tier: 'default' };

describe('rate FILE', () => {
  it('does not answer zero where a line states no quantity: that is unknown, as it is for the rater', async () => {
    const lines = await rate([mini, { ...mini, classes: {}, units: {} }]);
    for (const line of lines) expect(line).toMatchObject({ unrated: 'unknown_usage' });
    // A stated zero is one.
    const [zero] = await rate([{ ...mini, classes: { output_text: 0 } }]);
    expect(zero).toMatchObject({ total_usd: '0', charges: [] });
  });

  it('answers each line with its charges', async () => {
    const [line] = await rate([
      {
        ...mini,
        classes: { input_uncached: '900', cache_read: '300', output_text: '211' },
        units: {},
      },
    ]);
    expect(line).toEqual({
      index: 0,
      // 900 x 0.15 / 1e6 + 300 x 0.075 / 1e6 + 211 x 0.60 / 1e6 = 0.000135 + 0.0000225 + 0.0001266
      total_usd: '0.0002841',
      book: 'openai@3',
      charges: [
        {
          class: 'input_uncached',
          quantity: '900',
          unit_price: '0.00000015',
          amount_usd: '0.000135',
          price_id: 'openai@1/gpt-4o-mini-2024-07-18/input_uncached',
        },
        {
          class: 'cache_read',
          quantity: '300',
          unit_price: '0.000000075',
          amount_usd: '0.0000225',
          price_id: 'openai@1/gpt-4o-mini-2024-07-18/cache_read',
        },
        {
          class: 'output_text',
          quantity: '211',
          unit_price: '0.0000006',
          amount_usd: '0.0001266',
          price_id: 'openai@1/gpt-4o-mini-2024-07-18/output_text',
        },
      ],
    });
  });

  it('says what is unrated and goes on', async () => {
    const answers = await rate([
      { ...mini, model: 'gpt-99', classes: { output_text: '1' } },
      { ...mini, classes: { output_text: 1000000 } },
    ]);
    expect(answers[0]).toMatchObject({ index: 0, unrated: 'unknown_model' });
    expect(answers[1]).toMatchObject({ index: 1, total_usd: '0.6' });
  });

  it('names the line of what it cannot read, and counts on', async () => {
    const answers = await rate([
      '',
      '{"provider":',
      { ...mini, tokens: 5 },
      { ...mini, classes: { output_text: 1.5 } },
      { ...mini, at: 'noon' },
    ]);
    expect(answers).toMatchObject([
      { index: 0, error: { line: 2 } },
      { index: 1, error: { line: 3 } },
      { index: 2, error: { line: 4 } },
      { index: 3, error: { line: 5 } },
    ]);
  });

  it('rates as of another time, and as known at another time', async () => {
    const o3 = { provider: 'openai', model: 'o3', classes: { input_uncached: '1000000' } };
    const total = async (rest: object) => (await rate([o3], rest))[0];
    expect(await total({ asOf: '2025-01-01T00:00:00.000Z' })).toMatchObject({ total_usd: '10' });
    expect(await total({ asOf: AT })).toMatchObject({ total_usd: '2' });
    expect(await total({ asOf: AT, knownAt: '2026-01-01T00:00:00.000Z' })).toMatchObject({
      unrated: 'unknown_model',
    });
    expect(await total({})).toMatchObject({ error: { line: 1 } });
  });
});

describe('prices', () => {
  it('lists models with their aliases', () => {
    expect(listPrices(books, { provider: 'anthropic', model: 'claude-haiku-4-5' })).toMatchObject([
      { provider: 'anthropic', model: 'claude-haiku-4-5-20251001', aliases: 'claude-haiku-4-5' },
    ]);
  });

  it('shows nothing as known before a book was published', () => {
    expect(showPrices(books, { knownAt: '2026-01-01T00:00:00.000Z' })).toEqual([]);
  });
});
