import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { activePrices } from '../../../pricing/active-prices.ts';
import { Money } from '../../../pricing/money.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import { diffPrices, nextVersion } from '../../../services/cli/commands/price-diff.ts';
import {
  providersIn,
  publishedVersions,
  readOverlay,
} from '../../../services/cli/commands/price-drafts.ts';
import { showPrices } from '../../../services/cli/commands/prices.ts';
import { formatPriceBook, importPriceBook } from '../../../services/cli/commands/prices-import.ts';
import { loadPriceBooks, SHIPPED_BOOKS } from '../../../services/platform/price-books.ts';
import { usageEvent } from './pricing-fixtures.ts';

const books = loadPriceBooks();
const PROVIDERS = providersIn(SHIPPED_BOOKS);
const NOW = '2026-11-21T12:00:00.000Z';

const perMillion = (
  model: string,
  meter: string,
  tier = 'standard',
  geo = '',
): string | undefined => {
  const rows = showPrices(books, {
    provider: model.startsWith('claude') ? 'anthropic' : 'openai',
    model,
    asOf: NOW,
  }).filter(
    (row) =>
      row.meter === meter &&
      row.tier.split(' ').includes(tier) &&
      row.geo === geo &&
      row.context === '',
  );
  expect(rows.length).toBeLessThanOrEqual(1);
  const price = rows[0]?.unit_price;
  return price === undefined ? undefined : new Money(price).times('1000000').toFixed();
};

describe('the shipped books', () => {
  it.each(PROVIDERS)(
    'of %s pass the schema and the lint, and name a source and a day',
    (provider) => {
      for (const book of publishedVersions(SHIPPED_BOOKS, provider)) {
        if (book.version === 1) expect(book.prices.length).toBeGreaterThan(30);
        for (const { source, retrieved_at } of book.prices) {
          expect(source).not.toBe('');
          expect(retrieved_at).toMatch(/^2026-/);
        }
      }
      expect(books.versionAt(provider, books.newestKnownFrom)).not.toBeNull();
    },
  );

  it.each(PROVIDERS)(
    'of %s say what the source and the overlay say: an import finds nothing new',
    (provider) => {
      const versions = publishedVersions(SHIPPED_BOOKS, provider);
      const { book } = importPriceBook({
        source: readFileSync('node_modules/@pydantic/genai-prices/dist/index.js', 'utf8'),
        sourceName: 'npm @pydantic/genai-prices 0.1.8 (MIT)',
        overlay: readOverlay(SHIPPED_BOOKS, provider),
        version: versions.length + 1,
        knownFrom: '2026-11-21T00:00:00.000Z',
        retrievedAt: '2026-11-21',
      });
      const options = { now: NOW, flagBeyondPercent: 20 };
      expect(diffPrices(activePrices(versions), book.prices, options)).toEqual([]);
      expect(nextVersion(versions, book)).toBeNull();
    },
  );

  it.each(PROVIDERS)('of %s stand one price a line, as the import writes them', (provider) => {
    publishedVersions(SHIPPED_BOOKS, provider).forEach((book, index) => {
      const path = `pricing/books/${provider}/000${index + 1}.json`;
      expect(formatPriceBook(book)).toBe(readFileSync(path, 'utf8'));
    });
  });

  it.each([
    ['gpt-4o-2024-08-06', '2.5', '1.25', '10'],
    ['gpt-4o-mini-2024-07-18', '0.15', '0.075', '0.6'],
    ['gpt-4.1-mini-2025-04-14', '0.4', '0.1', '1.6'],
    ['o4-mini-2025-04-16', '1.1', '0.275', '4.4'],
  ])('have the public price of %s: %s in, %s cached, %s out', (model, input, cached, output) => {
    expect(perMillion(model, 'input_uncached')).toBe(input);
    expect(perMillion(model, 'cache_read')).toBe(cached);
    expect(perMillion(model, 'output_text')).toBe(output);
    expect(perMillion(model, 'output_reasoning')).toBe(output);
    expect(perMillion(model, 'cache_write_30m')).toBeUndefined();
  });

  it('have the public price of text-embedding-3-small, which has no output', () => {
    expect(perMillion('text-embedding-3-small', 'input_uncached')).toBe('0.02');
    expect(perMillion('text-embedding-3-small', 'output_text')).toBeUndefined();
  });

  it.each([
    ['claude-sonnet-4-5-20250929', '3', '0.3', '3.75', '6', '15'],
    ['claude-haiku-4-5-20251001', '1', '0.1', '1.25', '2', '5'],
    ['claude-opus-4-5-20251101', '5', '0.5', '6.25', '10', '25'],
    ['claude-opus-5-5', '4', '0.2', '5', '8', '20'],
    ['claude-fable-5-1', '10', '0.25', '12.5', '20', '50'],
  ])(
    'have the public prices of %s: %s in, %s read, %s and %s written, %s out',
    (model, ...prices) => {
      const meters = [
        'input_uncached',
        'cache_read',
        'cache_write_5m',
        'cache_write_1h',
        'output_text',
      ];
      expect(meters.map((meter) => perMillion(model, meter))).toEqual(prices);
      expect(perMillion(model, 'web_search_requests')).toBe('10000'); // 10 USD a thousand
    },
  );

  it('sell batches at half, the United States at 1.1 from the 4.6 models on, and both together at 0.55', () => {
    expect(perMillion('claude-sonnet-4-5-20250929', 'output_text', 'batch')).toBe('7.5');
    expect(perMillion('claude-opus-4-6', 'input_uncached', 'standard', 'us')).toBe('5.5');
    expect(perMillion('claude-opus-4-6', 'cache_write_5m', 'batch', 'us')).toBe('3.4375');
    expect(
      perMillion('claude-sonnet-4-5-20250929', 'input_uncached', 'standard', 'us'),
    ).toBeUndefined();
    expect(perMillion('gpt-4o-mini-2024-07-18', 'input_uncached', 'batch')).toBe('0.075');
    expect(perMillion('o4-mini-2025-04-16', 'cache_read', 'flex')).toBe('0.1375');
    expect(perMillion('gpt-4o-2024-08-06', 'output_text', 'priority')).toBe('17');
    expect(perMillion('gpt-4o-2024-08-06', 'output_text', 'flex')).toBeUndefined();
  });

  it('keep dated prices apart: o3 fell to a fifth on 2025-06-10', () => {
    const priceAt = (asOf: string) =>
      showPrices(books, { provider: 'openai', model: 'o3', asOf }).find(
        (r) => r.meter === 'input_uncached' && r.tier === 'standard',
      )?.unit_price;
    expect(priceAt('2025-06-09T23:59:59.999Z')).toBe('0.00001');
    expect(priceAt('2025-06-10T00:00:00.000Z')).toBe('0.000002');
  });

  it('follow only the aliases they state', () => {
    expect(books.modelOf('openai', 'gpt-4o-mini', NOW)).toBe('gpt-4o-mini-2024-07-18');
    expect(books.modelOf('anthropic', 'claude-haiku-4-5', NOW)).toBe('claude-haiku-4-5-20251001');
    expect(books.modelOf('openai', 'gpt-4o', NOW)).toBe('gpt-4o'); // two snapshots: a model of its own
    expect(books.modelOf('openai', 'gpt-4o-2099-01-01', NOW)).toBeNull();
    expect(books.modelOf('anthropic', 'claude-haiku-4-5-20990101', NOW)).toBeNull();
  });
});

describe('loading books from disk', () => {
  const folder = (files: Record<string, string>): string => {
    const directory = mkdtempSync(join(tmpdir(), 'reckoner-books-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, 'acme'));
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(directory, 'acme', name), text);
    return directory;
  };
  const valid = (version: number): PriceBook => ({
    provider: 'acme',
    version,
    currency: 'USD',
    known_from: '2026-11-01T00:00:00.000Z',
    standard_tiers: ['standard'],
    standard_geos: [],
    aliases: [],
    prices: [],
  });

  it('takes every numbered version and leaves other files alone', () => {
    const directory = folder({
      '0001.json': JSON.stringify(valid(1)),
      '0002.json': JSON.stringify(valid(2)),
      'overlay.json': 'not a book',
    });
    expect(loadPriceBooks(directory).versionAt('acme', NOW)).toBe(2);
  });

  it.each([
    ['a gap', { '0002.json': JSON.stringify(valid(2)) }, 'expected version 1, found 2'],
    ['a torn file', { '0001.json': '{"provider":' }, 'cannot be read as JSON'],
    ['no book', {}, 'holds no price book'],
  ])('refuses %s in one clear sentence', (_, files, message) => {
    const directory = folder(files as Record<string, string>);
    expect(() => loadPriceBooks(directory)).toThrow(
      expect.objectContaining({
        code: 'PRICE_BOOK_INVALID',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('refuses a folder that is not there', () => {
    expect(() => loadPriceBooks('/nowhere/books')).toThrow(/ENOENT/);
  });
});

it('the example of a book for own machines loads, and sells by the token and by the GPU hour', () => {
  const books = loadPriceBooks('deploy/examples/price-books');
  const rate = (model: string, rest: object) =>
    rateUsage(usageEvent({ provider: 'own-gpus', model, tier: 'default', ...rest }), books, {
      knownAt: books.newestKnownFrom,
    }).total_usd;
  expect(rate('llama-by-token', {})).toBe('0.00028'); // 1000 x 0.2 / 1e6 + 100 x 0.8 / 1e6
  expect(rate('llama-by-hour', { classes: {}, units: { gpu_hours: '1.5' } })).toBe('3.75'); // 1.5 x 2.5
});
