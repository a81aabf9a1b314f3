import { describe, expect, it } from 'vitest';
import { createPriceBooks, PriceBookError, type PriceQuery } from '../../../pricing/price-books.ts';
import type { Price, PriceBook } from '../../../schemas/price-book.ts';
import { book, KNOWN, NOON, plainPrices, price } from './pricing-fixtures.ts';

const LATER = '2026-12-01T00:00:00.000Z';

const problemsOf = (...books: PriceBook[]): string => {
  try {
    createPriceBooks(books);
  } catch (error) {
    if (error instanceof PriceBookError) return error.problems.join('\n');
    throw error;
  }
  return '';
};

const find = (books: PriceBook[], rest: Partial<PriceQuery> = {}): string | null => {
  const priceOf = createPriceBooks(books).pricesOf({
    provider: 'acme-ai',
    model: 'model-a',
    scaledInputTokens: 0n,
    at: NOON,
    knownAt: KNOWN,
    ...rest,
  });
  return priceOf?.('input_uncached')?.price.unit_price ?? null;
};

const tokens = (count: number): bigint => BigInt(count) * 1_000_000n;

describe('choosing a price', () => {
  it('takes the price valid at the time, of all that were known', () => {
    const books = [
      book([
        ...plainPrices({ valid_to: '2026-06-01T00:00:00.000Z' }),
        ...plainPrices({ valid_from: '2026-06-01T00:00:00.000Z' }).map((p) => ({
          ...p,
          unit_price: '0.000001',
        })),
      ]),
    ];
    expect(find(books, { at: '2026-05-31T23:59:59.999Z' })).toBe('0.000002');
    expect(find(books, { at: '2026-06-01T00:00:00.000Z' })).toBe('0.000001');
    expect(find(books, { at: '2025-12-31T23:59:59.999Z' })).toBeNull();
  });

  it('lets a correction that became known later win, and still answers as it was known before', () => {
    const correction = price('input_uncached', '0.000003', { known_from: LATER });
    const books = [book(plainPrices()), book([correction], { version: 2, known_from: LATER })];
    expect(find(books)).toBe('0.000002');
    expect(find(books, { knownAt: LATER })).toBe('0.000003');
  });

  it('lets a later valid_from beat an earlier one, even when the earlier was corrected afterwards', () => {
    const change = price('input_uncached', '0.000001', { valid_from: '2026-06-01T00:00:00.000Z' });
    const correction = price('input_uncached', '0.000009', { known_from: LATER });
    const books = [
      book([...plainPrices(), change]),
      book([correction], { version: 2, known_from: LATER }),
    ];
    expect(find(books, { knownAt: LATER })).toBe('0.000001');
    expect(find(books, { knownAt: LATER, at: '2026-03-01T00:00:00.000Z' })).toBe('0.000009');
  });

  it('replaces an open price by its correction with an end, and does not fall back to the open one', () => {
    const ended = plainPrices({ valid_to: '2026-06-01T00:00:00.000Z', known_from: LATER });
    const books = [book(plainPrices()), book(ended, { version: 2, known_from: LATER })];
    expect(find(books, { knownAt: LATER })).toBeNull();
    expect(find(books)).toBe('0.000002');
  });

  it('ends a price the moment its valid_to comes', () => {
    const end = '2026-06-01T00:00:00.000Z';
    const books = [book(plainPrices({ valid_to: end }))];
    expect(find(books, { at: '2026-05-31T23:59:59.999Z' })).toBe('0.000002');
    expect(find(books, { at: end })).toBeNull();
  });

  it('lets a version that restates one meter keep the others as they were', () => {
    const cheaper = price('cache_read', '0.0000001', { known_from: LATER });
    const books = [book(plainPrices()), book([cheaper], { version: 2, known_from: LATER })];
    expect(find(books, { knownAt: LATER })).toBe('0.000002');
  });

  it('does not activate an announced price before a version published once it is in force', () => {
    const announced = price('input_uncached', '0.000003', { valid_from: LATER });
    const first = book([...plainPrices(), announced]);
    const after = '2026-12-24T00:00:00.000Z';
    expect(find([first], { at: after })).toBe('0.000002');
    const confirmed = book([], { version: 2, known_from: '2026-12-02T00:00:00.000Z' });
    expect(find([first, confirmed], { at: after, knownAt: '2026-12-02T00:00:00.000Z' })).toBe(
      '0.000003',
    );
  });

  it('never merges a dated snapshot with an undated name, but follows an explicit alias', () => {
    const aliases = [{ alias: 'model-a-latest', model: 'model-a', source: 'https://example.test' }];
    const books = [book(plainPrices(), { aliases })];
    expect(find(books, { model: 'model-a-2026-01-01' })).toBeNull();
    expect(find(books, { model: 'model' })).toBeNull();
    expect(find(books, { model: 'model-a-latest' })).toBe('0.000002');
  });

  it('prices standard names as standard, and another tier or geography only by an entry of its own', () => {
    const batch = plainPrices({ when: { tier: ['batch'] } }).map((p) => ({
      ...p,
      unit_price: '0.0000005',
    }));
    const us = plainPrices({ when: { geo: ['us'] } }).map((p) => ({
      ...p,
      unit_price: p.meter === 'input_uncached' ? '0.0000022' : p.unit_price,
    }));
    const books = [book([...plainPrices(), ...batch, ...us])];
    expect(find(books, { tier: 'standard', geo: 'global' })).toBe('0.000002');
    expect(find(books, { tier: 'batch' })).toBe('0.0000005');
    expect(find(books, { geo: 'us' })).toBe('0.0000022');
    expect(find(books, { tier: 'batch', geo: 'us' })).toBeNull();
    expect(find(books, { tier: 'turbo' })).toBeNull();
  });

  it.each([
    ['>', 200_000, '0.000002'],
    ['>', 200_001, '0.000004'],
    ['>=', 199_999, '0.000002'],
    ['>=', 200_000, '0.000004'],
  ] as const)('measures the cliff %s 200,000 at %i tokens', (operator, inputTokens, expected) => {
    const dear = price('input_uncached', '0.000004', {
      when: { context: { operator, input_tokens: 200_000 } },
    });
    expect(find([book([...plainPrices(), dear])], { scaledInputTokens: tokens(inputTokens) })).toBe(
      expected,
    );
  });

  it('takes the outermost of several bands', () => {
    const band = (inputTokens: number, unitPrice: string) =>
      price('input_uncached', unitPrice, {
        when: { context: { operator: '>', input_tokens: inputTokens } },
      });
    const books = [book([...plainPrices(), band(100, '0.000003'), band(200, '0.000004')])];
    expect(find(books, { scaledInputTokens: tokens(100) })).toBe('0.000002');
    expect(find(books, { scaledInputTokens: tokens(150) })).toBe('0.000003');
    expect(find(books, { scaledInputTokens: tokens(201) })).toBe('0.000004');
  });
});

describe('books that are refused', () => {
  const withPrice = (meter: string, unitPrice: string, rest: Partial<Price> = {}) =>
    book([...plainPrices(), price(meter, unitPrice, rest)]);

  it.each([
    ['more than 12 decimal places', withPrice('cache_write_5m', '0.0000000000001'), 'unit_price'],
    [
      'a per-million number in a per-token field',
      withPrice('cache_write_5m', '0.0025'),
      'above the plausible',
    ],
    ['35 USD for one search', withPrice('web_search_requests', '35'), 'above the plausible'],
    [
      'a price that ends before it begins',
      withPrice('cache_write_5m', '0.000001', { valid_to: '2025-01-01T00:00:00.000Z' }),
      'is not after',
    ],
    [
      'a price known before its version',
      withPrice('cache_write_5m', '0.000001', { known_from: '2026-10-01T00:00:00.000Z' }),
      'rewrite',
    ],
    [
      'a model without an output price',
      book([price('input_uncached', '0.000001')]),
      'needs input_uncached',
    ],
    [
      'a tier without an output price',
      withPrice('input_uncached', '0.000001', { when: { tier: ['batch'] } }),
      'tier batch',
    ],
    ['a gap in the versions', book(plainPrices(), { version: 2 }), 'expected version 1, found 2'],
    [
      'an alias of nothing',
      book(plainPrices(), { aliases: [{ alias: 'x', model: 'nothing', source: 's' }] }),
      'no book prices its target',
    ],
    [
      'an alias of a priced name',
      book(plainPrices(), { aliases: [{ alias: 'model-a', model: 'model-a', source: 's' }] }),
      'prices of its own',
    ],
  ])('%s', (_, refused, problem) => {
    expect(problemsOf(refused)).toContain(problem);
  });

  it('one price_id with two contents', () => {
    const [first, ...rest] = plainPrices();
    const again = { ...(first as Price), unit_price: '0.000009', known_from: LATER };
    expect(
      problemsOf(book([first as Price, ...rest]), book([again], { version: 2, known_from: LATER })),
    ).toContain('the same price_id stands for another price');
  });

  it('a tier fifty times dearer than standard', () => {
    const dear = plainPrices({ when: { tier: ['priority'] } }).map((p) => ({
      ...p,
      unit_price: p.meter === 'input_uncached' ? '0.0001' : p.unit_price,
    }));
    expect(problemsOf(book([...plainPrices(), ...dear]))).toContain('implausibly far');
  });

  it('a change that silently drops a context band', () => {
    const cliff = price('input_uncached', '0.000004', {
      when: { context: { operator: '>', input_tokens: 200_000 } },
    });
    const change = price('input_uncached', '0.000001', { valid_from: '2026-06-01T00:00:00.000Z' });
    expect(problemsOf(book([...plainPrices(), cliff, change]))).toContain(
      'leave out the band >200000',
    );
  });

  it('but not a correction that moves the edge of a band', () => {
    const cliff = (edge: number) =>
      price('input_uncached', '0.000004', {
        when: { context: { operator: '>', input_tokens: edge } },
      });
    const later = { version: 2, known_from: '2026-11-02T00:00:00.000Z' };
    const corrected = (...prices: Price[]) =>
      book(
        prices.map((p) => ({ ...p, price_id: `${p.price_id}/2`, known_from: later.known_from })),
        later,
      );
    const plain = price('input_uncached', '0.000002');
    const before = book([...plainPrices(), cliff(199_999)]);
    expect(problemsOf(before, corrected(plain, cliff(200_000)))).toBe('');
    expect(problemsOf(before, corrected(plain))).toContain('leave out the band >199999');
  });

  it('names every problem, not only the first', () => {
    const refused = book([
      price('input_uncached', '2'),
      price('output_text', '10'),
      price('web_search_requests', '10'),
    ]);
    expect(problemsOf(refused).split('\n')).toHaveLength(3);
  });
});
