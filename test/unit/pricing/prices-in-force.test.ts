import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { showPrices } from '../../../services/cli/commands/prices.ts';
import { loadPriceBooks } from '../../../services/platform/price-books.ts';
import { book, KNOWN, plainPrices, price } from './pricing-fixtures.ts';

const LATER = '2026-12-01T00:00:00.000Z';
const SUMMER = '2026-07-01T00:00:00.000Z';
const WINTER = '2026-12-24T00:00:00.000Z';

const shown = (books: Parameters<typeof createPriceBooks>[0], asOf: string, knownAt?: string) =>
  showPrices(createPriceBooks(books), { asOf, ...(knownAt ? { knownAt } : {}) })
    .filter(({ meter }) => meter === 'input_uncached')
    .map(({ tier, context, unit_price, claim }) =>
      [unit_price, tier, context, claim].filter((text) => text !== '').join(' '),
    );

describe('prices show --as-of T --known-at K', () => {
  it('shows a corrected price once it was known, and the price believed before', () => {
    const books = [
      book(plainPrices()),
      book([price('input_uncached', '0.000003', { known_from: LATER })], {
        version: 2,
        known_from: LATER,
      }),
    ];
    expect(shown(books, SUMMER, KNOWN)).toEqual(['0.000002 standard']);
    expect(shown(books, SUMMER)).toEqual(['0.000003 standard']);
  });

  it('shows an announced price only once a version of the book was published while it is in force', () => {
    const announced = price('input_uncached', '0.000003', { valid_from: LATER });
    const first = book([...plainPrices(), announced]);
    expect(shown([first], WINTER)).toEqual(['0.000002 standard']);
    const confirmed = book([], { version: 2, known_from: '2026-12-02T00:00:00.000Z' });
    expect(shown([first, confirmed], WINTER)).toEqual(['0.000003 standard']);
    expect(shown([first, confirmed], WINTER, KNOWN)).toEqual(['0.000002 standard']);
  });

  it('shows every tier and band, each with the price that holds there', () => {
    const long = { context: { operator: '>' as const, input_tokens: 200_000 } };
    const books = [
      book([
        ...plainPrices(),
        price('input_uncached', '0.000004', { when: long }),
        price('cache_read', '0.0000004', { when: long }),
        price('output_text', '0.000015', { when: long }),
        price('output_reasoning', '0.000015', { when: long }),
        price('input_uncached', '0.000001', { when: { tier: ['batch'] } }),
        price('output_text', '0.000005', { when: { tier: ['batch'] } }),
      ]),
    ];
    expect(shown(books, SUMMER).sort()).toEqual([
      '0.000001 batch',
      '0.000002 standard',
      '0.000004 standard input > 200000',
    ]);
  });

  it('shows all claims of a disputed price, and nothing where nothing was known', () => {
    const claims = ['0.000001', '0.000009'].map((unit, index) =>
      price('input_uncached', unit, { claim: 'which?', price_id: `claim-${index}` }),
    );
    const books = [
      book([...plainPrices().filter(({ meter }) => meter !== 'input_uncached'), ...claims]),
    ];
    expect(shown(books, SUMMER)).toEqual(['0.000001 standard which?', '0.000009 standard which?']);
    expect(shown(books, SUMMER, '2026-10-31T23:59:59.999Z')).toEqual([]);
  });

  it('shows one price a meter of a shipped model that was changed', () => {
    const books = loadPriceBooks();
    const o3 = (asOf: string) =>
      showPrices(books, { provider: 'openai', model: 'o3', asOf })
        .filter(({ meter, tier }) => meter === 'input_uncached' && tier === 'standard')
        .map(({ unit_price: unit }) => unit);
    expect(o3('2025-01-01T00:00:00.000Z')).toEqual(['0.00001']);
    expect(o3('2026-11-21T12:00:00.000Z')).toEqual(['0.000002']);
  });
});
