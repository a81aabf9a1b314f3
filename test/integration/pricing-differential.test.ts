import { readFileSync } from 'node:fs';
import { calcPrice } from '@pydantic/genai-prices';
import { describe, expect, it } from 'vitest';
import { Money } from '../../pricing/money.ts';
import { priceUsage } from '../../pricing/price-usage.ts';
import type { ClassQuantities } from '../../schemas/usage-event.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';

/**
 * Every model of every shipped book, twenty shapes of usage, against the library whose data we import, with its own
 * arithmetic. Every difference stands in pricing-differences.json with its reason; one that is not there fails, and so does one
 * that is there and no longer occurs.
 */
const books = loadPriceBooks();
const AT = '2026-11-20T12:00:00.000Z'; // a Friday, outside DeepSeek's peak hours of either regime but 00:30-16:30

/** Ours, and theirs where they have another name for it. */
const PROVIDER_IDS: Record<string, string> = { bedrock: 'aws', xai: 'x-ai', vertex: 'google' };

type Shape = Partial<Record<keyof typeof CLASSES, number>>;
const CLASSES = {
  uncached: 'input_uncached',
  read: 'cache_read',
  write: 'cache_write_5m',
  write30m: 'cache_write_30m',
  write1h: 'cache_write_1h',
  text: 'output_text',
  reasoning: 'output_reasoning',
} as const;

const SHAPES: Record<string, Shape> = {
  one: { uncached: 1, text: 1 },
  plain: { uncached: 1234, text: 567 },
  'input only': { uncached: 5000 },
  'output only': { text: 777 },
  reasoning: { uncached: 500, text: 100, reasoning: 9000 },
  'reasoning only': { uncached: 10, reasoning: 4096 },
  cached: { uncached: 900, read: 30_000, text: 211 },
  'all cached': { read: 8192, text: 16 },
  'cached reasoning': { uncached: 3, read: 70_001, text: 5, reasoning: 1 },
  'at 128k': { uncached: 128_000, text: 10 },
  'over 128k': { uncached: 128_001, text: 10 },
  'under 200k': { uncached: 199_999, text: 10 },
  'at 200k': { uncached: 200_000, text: 10 },
  'over 200k': { uncached: 200_001, text: 10 },
  'under 272k': { uncached: 271_999, text: 10 },
  'at 272k': { uncached: 272_000, text: 10 },
  'over 272k': { uncached: 272_001, text: 10 },
  'long by cache': { uncached: 10, read: 300_000, text: 300, reasoning: 7 },
  written: { uncached: 10, read: 5000, write: 7000, text: 300 },
  'written 1h': { uncached: 10, read: 5000, write1h: 8000, text: 300, reasoning: 20 },
};

/** Of writes, the class that the model's book knows; those of OpenAI last 30 minutes. */
const ours = (provider: string, model: string, shape: Shape): string => {
  const classes: ClassQuantities = {};
  const halfHour = ['openai', 'azure'].includes(provider) || /openai\.gpt/.test(model);
  for (const [name, quantity] of Object.entries(shape)) {
    const key = name === 'write' && halfHour ? 'write30m' : name;
    classes[CLASSES[key as keyof typeof CLASSES]] = String(quantity);
  }
  const priced = priceUsage(
    {
      provider,
      at: AT,
      knownAt: books.newestKnownFrom,
      parts: [{ model, classes, units: {} }],
    },
    books,
  );
  return priced.ok ? priced.total : `unrated: ${priced.reason}`;
};

const theirs = (provider: string, model: string, shape: Shape): number | null => {
  const { uncached = 0, read = 0, write = 0, write1h = 0, text = 0, reasoning = 0 } = shape;
  const result = calcPrice(
    {
      input_tokens: uncached + read + write + write1h,
      cache_read_tokens: read,
      cache_write_tokens: write + write1h,
      cache_write_1h_tokens: write1h,
      output_tokens: text + reasoning,
      output_reasoning_tokens: reasoning,
    },
    model,
    { providerId: PROVIDER_IDS[provider] ?? provider, timestamp: new Date(AT) },
  );
  return result === null ? null : result.total_price;
};

/** Equal but for the noise of their floats: a millionth part, or a thousandth of a micro-dollar. */
const equal = (exact: string, float: number | null): boolean => {
  if (exact.startsWith('unrated') || float === null || !Number.isFinite(float)) return false;
  const theirAmount = new Money(String(float));
  return theirAmount
    .minus(exact)
    .abs()
    .lte(Money.max(theirAmount.abs().times('0.000001'), '1e-9'));
};

const modelsOf = (provider: string): string[] => [
  ...new Set(
    books.books
      .filter((book) => book.provider === provider)
      .flatMap((book) => book.prices)
      .filter(({ meter, when }) => meter === 'input_uncached' && when === undefined)
      .map(({ model }) => model),
  ),
];
const providers = [...new Set(books.books.map(({ provider }) => provider))].sort();

/** `provider/model`: shapes that differ, each with what we say; theirs is left out, since floats are not stable text. */
const differences = (): Map<string, { shapes: string[]; kind: string }> => {
  const found = new Map<string, { shapes: string[]; kind: string }>();
  for (const provider of providers) {
    for (const model of modelsOf(provider)) {
      const shapes: string[] = [];
      const kinds = new Set<string>();
      for (const [name, shape] of Object.entries(SHAPES)) {
        const exact = ours(provider, model, shape);
        const float = theirs(provider, model, shape);
        if (equal(exact, float)) continue;
        if (exact.startsWith('unrated') && float === null) continue;
        shapes.push(name);
        kinds.add(
          exact.startsWith('unrated')
            ? exact
            : float === null
              ? 'they have no price'
              : 'other amount',
        );
      }
      if (shapes.length > 0)
        found.set(`${provider}/${model}`, { shapes, kind: [...kinds].join(', ') });
    }
  }
  return found;
};

interface ListedDifference {
  reason: string;
  why: string;
  source?: string;
  kind: string;
  shapes: string[];
  models: string[];
}
const listed = JSON.parse(
  readFileSync(new URL('pricing-differences.json', import.meta.url), 'utf8'),
) as { reasons: Record<string, string>; differences: ListedDifference[] };

const found = differences();

describe('every shipped model against genai-prices', () => {
  it('compares at least 300 models in 20 shapes', () => {
    expect(Object.keys(SHAPES)).toHaveLength(20);
    expect(providers.flatMap(modelsOf).length).toBeGreaterThanOrEqual(300);
  });

  it('differs only as listed, and every listed difference still exists', () => {
    const asListed = new Map(
      listed.differences.flatMap(({ models, shapes, kind }) =>
        models.map((model) => [model, { shapes, kind }] as const),
      ),
    );
    const unlisted = [...found].filter(
      ([model, difference]) => JSON.stringify(asListed.get(model)) !== JSON.stringify(difference),
    );
    expect(unlisted, 'not listed, or listed otherwise').toEqual([]);
    expect(
      [...asListed.keys()].filter((model) => !found.has(model)),
      'listed, but gone',
    ).toEqual([]);
  });

  it('lists each model once, with a reason of the closed list, and our overlays with a source', () => {
    const models = listed.differences.flatMap((difference) => difference.models);
    expect(new Set(models).size).toBe(models.length);
    for (const { reason, why, source } of listed.differences) {
      expect(Object.keys(listed.reasons)).toContain(reason);
      expect(why).not.toBe('');
      if (reason === 'our overlay')
        expect(source).toMatch(/^(npm |field survey |https:|BerriAI\/|anomalyco\/|release notes )/);
    }
    expect(Object.keys(listed.reasons)).toEqual(['their gap', 'our overlay', 'open conflict']);
  });
});
