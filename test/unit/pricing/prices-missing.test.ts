import { expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { whyNoPrice } from '../../../services/cli/commands/prices-missing.ts';
import { book, KNOWN, plainPrices } from './pricing-fixtures.ts';

const books = createPriceBooks([
  book(plainPrices(), { aliases: [{ alias: 'model-latest', model: 'model-a', source: 's' }] }),
]);

it('where no price is found it is said why, with the name that was probably meant', () => {
  const provider = 'acme-ai';
  const early = '2020-01-01T00:00:00.000Z';
  expect(whyNoPrice(books, { provider: 'acme-a' })).toBe(
    'No provider acme-a has a price book. Did you mean acme-ai?',
  );
  expect(whyNoPrice(books, { provider: 'wholly-other' })).toBe(
    'No provider wholly-other has a price book.',
  );
  expect(whyNoPrice(books, { provider, model: 'model-latst' })).toBe(
    'No book of acme-ai prices a model model-latst. Did you mean model-latest?',
  );
  expect(whyNoPrice(books, { model: 'zzz' })).toBe('No book of any provider prices a model zzz.');
  expect(whyNoPrice(books, { provider, knownAt: early })).toBe(
    `Nothing was known at ${early}. The first book of acme-ai is known from ${KNOWN}.`,
  );
  expect(whyNoPrice(books, { provider, model: 'model-a', asOf: early })).toBe(
    `No price was in force at ${early} by what was known then; leave --as-of out to see every price.`,
  );
});
