import { describe, expect, it } from 'vitest';
import { joinPriceBooks } from '../../../pricing/join-price-books.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { book, KNOWN, NOON, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

const LATER = '2026-11-20T00:00:00.000Z';
const acme = [
  book(plainPrices(), {
    aliases: [{ alias: 'model-a-latest', model: 'model-a', source: 'https://example.test' }],
  }),
  book([], { version: 2, known_from: LATER }),
];
const zeta = [
  book([price('input_uncached', '0.000005'), price('output_text', '0.00002')], {
    provider: 'zeta-ai',
  }),
];
const half = {
  contract: 'frame',
  provider: 'acme-ai',
  version: 1,
  known_from: KNOWN,
  accounts: ['pool-1'],
  prices: [
    {
      id: 'half',
      factor: '0.5',
      valid_from: '2026-01-01T00:00:00.000Z',
      source: 'frame contract, page 3',
      retrieved_at: '2026-11-01',
    },
  ],
};
const parts = new Map<string, PriceBooks>([
  ['acme-ai', createPriceBooks(acme, [half])],
  ['zeta-ai', createPriceBooks(zeta)],
]);
const joined = joinPriceBooks(parts);
const whole = createPriceBooks([...acme, ...zeta], [half]);

describe('books made provider by provider, as one', () => {
  it('are the books of all of them, in the order of the providers', () => {
    expect(joined.books.map(({ provider, version }) => `${provider}@${version}`)).toEqual([
      'acme-ai@1',
      'acme-ai@2',
      'zeta-ai@1',
    ]);
  });

  it('know what the provider that learned last knows, wherever it stands', () => {
    expect(joined.newestKnownFrom).toBe(LATER);
    expect(joinPriceBooks(new Map([...parts].reverse())).newestKnownFrom).toBe(LATER);
    expect(joinPriceBooks(new Map()).newestKnownFrom).toBe('1970-01-01T00:00:00.000Z');
    expect(joinPriceBooks(new Map()).books).toEqual([]);
  });

  it('answer by the provider that is asked for, as the same books made at once', () => {
    expect(joined.versionAt('acme-ai', KNOWN)).toBe(1);
    expect(joined.versionAt('acme-ai', LATER)).toBe(2);
    expect(joined.versionAt('zeta-ai', LATER)).toBe(1);
    expect(joined.modelOf('acme-ai', 'model-a-latest', KNOWN)).toBe('model-a');
    expect(joined.modelOf('zeta-ai', 'model-a-latest', KNOWN)).toBeNull();
    expect(joined.contractAt('acme-ai', 'pool-1', KNOWN)).toEqual(
      whole.contractAt('acme-ai', 'pool-1', KNOWN),
    );
    expect(joined.contractAt('acme-ai', 'pool-1', KNOWN)).not.toBeNull();
    expect(joined.contractAt('zeta-ai', 'pool-1', KNOWN)).toBeNull();
  });

  it('know nothing of a provider that none of them is of', () => {
    expect(joined.versionAt('other-ai', LATER)).toBeNull();
    expect(joined.modelOf('other-ai', 'model-a', LATER)).toBeNull();
    expect(joined.contractAt('other-ai', 'pool-1', LATER)).toBeNull();
    expect(
      joined.pricesOf({
        provider: 'other-ai',
        model: 'model-a',
        scaledInputTokens: 0n,
        at: NOON,
        knownAt: LATER,
      }),
    ).toBeNull();
  });

  it('rate as the same books made at once', () => {
    const total = (rest: object, books = joined) =>
      rateUsage(usageEvent(rest), books, { knownAt: LATER });
    expect(total({}).total_usd).toBe('0.003'); // 1000 x 2 / 1e6 + 100 x 10 / 1e6
    expect(total({ credential_pool_id: 'pool-1' }).total_usd).toBe('0.0015'); // half of it
    expect(total({ provider: 'zeta-ai' }).total_usd).toBe('0.007'); // 1000 x 5 / 1e6 + 100 x 20 / 1e6
    for (const rest of [{}, { credential_pool_id: 'pool-1' }, { provider: 'zeta-ai' }])
      expect(total(rest)).toEqual(total(rest, whole));
    expect(total({ provider: 'other-ai' }).unrated_reason).toBe('unknown_model');
  });
});
