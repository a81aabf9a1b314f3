import { calcPrice } from '@pydantic/genai-prices';
import { describe, expect, it } from 'vitest';
import { priceUsage } from '../../../pricing/price-usage.ts';
import type { ClassQuantities } from '../../../schemas/usage-event.ts';
import { loadPriceBooks } from '../../../services/platform/price-books.ts';

/**
 * A second opinion: the same usage priced by the library whose data we import, with its own arithmetic. It knows no tiers and no
 * geography, and where it has no price of a class it takes a broader one, which we leave unrated.
 */
const books = loadPriceBooks();

interface Shape {
  uncached: number;
  read: number;
  write5m: number;
  write1h: number;
  text: number;
  reasoning: number;
}
const SHAPES: Record<string, Shape> = {
  plain: { uncached: 1234, read: 0, write5m: 0, write1h: 0, text: 567, reasoning: 0 },
  cached: { uncached: 900, read: 30_000, write5m: 0, write1h: 0, text: 211, reasoning: 0 },
  reasoning: { uncached: 500, read: 0, write5m: 0, write1h: 0, text: 100, reasoning: 9000 },
  long: { uncached: 300_000, read: 0, write5m: 0, write1h: 0, text: 2000, reasoning: 10 },
  'at 200k': { uncached: 200_000, read: 0, write5m: 0, write1h: 0, text: 1, reasoning: 0 },
  'below 272k': { uncached: 271_999, read: 0, write5m: 0, write1h: 0, text: 1, reasoning: 0 },
  // At 272,000 itself the library takes the long price; OpenAI says more than 272K.
  'over 272k': { uncached: 272_001, read: 0, write5m: 0, write1h: 0, text: 1, reasoning: 0 },
};
const ANTHROPIC_SHAPES: Record<string, Shape> = {
  written: { uncached: 10, read: 5000, write5m: 7000, write1h: 0, text: 300, reasoning: 0 },
  'written 1h': { uncached: 10, read: 5000, write5m: 0, write1h: 8000, text: 300, reasoning: 20 },
  'long by cache': {
    uncached: 10,
    read: 250_000,
    write5m: 100,
    write1h: 0,
    text: 300,
    reasoning: 0,
  },
};

const MODELS: [string, string][] = [
  ...[
    'gpt-4o-2024-08-06',
    'gpt-4o-mini-2024-07-18',
    'gpt-4.1-2025-04-14',
    'gpt-4.1-mini-2025-04-14',
    'gpt-4.1-nano-2025-04-14',
    'gpt-5-2025-08-07',
    'gpt-5-mini-2025-08-07',
    'gpt-5.1-2025-11-13',
    'gpt-5.2-2025-12-11',
    'gpt-5.4-2026-03-05',
    'gpt-5.5-2026-04-23',
    'gpt-5.6-terra',
    'gpt-6-luna',
    'o3-2025-04-16',
    'o4-mini-2025-04-16',
  ].map((model): [string, string] => ['openai', model]),
  ...[
    'claude-3-5-haiku-20241022',
    'claude-3-7-sonnet-20250219',
    'claude-sonnet-4-5-20250929',
    'claude-haiku-4-5-20251001',
    'claude-opus-4-5-20251101',
    'claude-opus-4-6',
    'claude-sonnet-5',
    'claude-opus-5-5',
    'claude-fable-5-1',
  ].map((model): [string, string] => ['anthropic', model]),
];
const INSTANTS = [
  '2025-06-09T00:00:00.000Z',
  '2026-03-12T00:00:00.000Z',
  '2026-11-21T00:00:00.000Z',
];

const ours = (provider: string, model: string, shape: Shape, at: string) => {
  const stated: ClassQuantities = {
    input_uncached: String(shape.uncached),
    cache_read: String(shape.read),
    cache_write_5m: String(shape.write5m),
    cache_write_1h: String(shape.write1h),
    output_text: String(shape.text),
    output_reasoning: String(shape.reasoning),
  };
  const parts = [{ model, classes: stated, units: {} }];
  return priceUsage({ provider, at, knownAt: books.newestKnownFrom, parts }, books);
};

const theirs = (provider: string, model: string, shape: Shape, at: string): number | undefined =>
  calcPrice(
    {
      input_tokens: shape.uncached + shape.read + shape.write5m + shape.write1h,
      cache_read_tokens: shape.read,
      cache_write_tokens: shape.write5m + shape.write1h,
      cache_write_1h_tokens: shape.write1h,
      output_tokens: shape.text + shape.reasoning,
    },
    model,
    { providerId: provider, timestamp: new Date(at) },
  )?.total_price;

describe('the same usage priced by genai-prices', () => {
  it.each(MODELS)('%s %s costs the same, but for float noise', (provider, model) => {
    const shapes = provider === 'anthropic' ? { ...SHAPES, ...ANTHROPIC_SHAPES } : SHAPES;
    for (const [name, shape] of Object.entries(shapes)) {
      for (const at of INSTANTS) {
        const priced = ours(provider, model, shape, at);
        const label = `${name} at ${at}`;
        expect(priced.ok, label).toBe(true);
        const expected = theirs(provider, model, shape, at) ?? Number.NaN;
        if (priced.ok) expect(Math.abs(Number(priced.total) - expected), label).toBeLessThan(1e-9);
      }
    }
  });

  it('differs where it takes a broader price: cached input of gpt-5-pro has none, so we leave it unrated', () => {
    const shape = { uncached: 10, read: 5, write5m: 0, write1h: 0, text: 1, reasoning: 0 };
    const at = '2026-11-21T00:00:00.000Z';
    expect(theirs('openai', 'gpt-5-pro-2025-10-06', shape, at)).toBeGreaterThan(0);
    expect(ours('openai', 'gpt-5-pro-2025-10-06', shape, at)).toMatchObject({
      ok: false,
      reason: 'unknown_price',
    });
  });

  it('differs where it matches by prefix: a snapshot no book names is unrated here and priced there', () => {
    const shape = SHAPES['plain'] as Shape;
    const at = '2026-11-21T00:00:00.000Z';
    expect(theirs('anthropic', 'claude-haiku-4-5-20990101', shape, at)).toBeGreaterThan(0);
    expect(ours('anthropic', 'claude-haiku-4-5-20990101', shape, at)).toMatchObject({
      ok: false,
      reason: 'unknown_model',
    });
  });
});
