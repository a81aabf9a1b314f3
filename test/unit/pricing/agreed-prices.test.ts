import { expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { showAgreedPrices } from '../../../services/cli/commands/agreed-prices.ts';
import { book, KNOWN, NOON, plainPrices, price } from './pricing-fixtures.ts';

const LATER = '2026-11-20T00:00:00.000Z';

it('an account pays by the prices that rating would take: one that a correction ended is not in force any more', () => {
  const end = '2026-06-01T00:00:00.000Z';
  const search = price('tool_calls', '0.01', { price_id: 'open' });
  const ended = price('tool_calls', '0.01', {
    price_id: 'ended',
    known_from: LATER,
    valid_to: end,
  });
  const contract = {
    contract: 'frame',
    provider: 'acme-ai',
    version: 1,
    known_from: KNOWN,
    accounts: ['acme-ai'],
    prices: [
      {
        id: 'half',
        factor: '0.5',
        valid_from: '2026-01-01T00:00:00.000Z',
        source: 'contract of 2026',
        retrieved_at: '2026-01-01',
      },
    ],
  };
  const versions = [
    book([...plainPrices(), search]),
    book([ended], { version: 2, known_from: LATER }),
  ];
  const books = createPriceBooks(versions, [contract]);
  const loaded = { books, contracts: [contract] } as unknown as Parameters<
    typeof showAgreedPrices
  >[0];
  const paid = (knownAt: string) =>
    showAgreedPrices(loaded, 'acme-ai', { asOf: NOON, knownAt }).map(
      ({ meter, unit_price, list_price, agreed }) => [...[meter, unit_price, list_price, agreed]],
    );
  const tokens = [
    ['input_uncached', '0.000001', '0.000002', 'frame@1/half'],
    ['cache_read', '0.0000001', '0.0000002', 'frame@1/half'],
    ['output_text', '0.000005', '0.00001', 'frame@1/half'],
    ['output_reasoning', '0.000005', '0.00001', 'frame@1/half'],
  ];
  expect(paid(KNOWN)).toEqual([...tokens, ['tool_calls', '0.005', '0.01', 'frame@1/half']]);
  expect(paid(LATER)).toEqual(tokens);
});
