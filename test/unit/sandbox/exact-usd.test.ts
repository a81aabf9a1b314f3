import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { picoOfUsd, picoPerToken, usdOfPico } from '../../../services/sandbox/exact-usd.ts';
import { findModel, METERS, PRICE_LIST, picoAmount } from '../../../services/sandbox/price-list.ts';

describe('the money of the sandbox', () => {
  it('prices one token of the cheapest model exactly', () => {
    // 0.02 USD / 1,000,000 = 0.00000002 USD = 20,000 pico-USD
    expect(picoPerToken('0.02')).toBe(20_000n);
    expect(
      usdOfPico(
        picoAmount({ provider: 'openai', model: 'text-embedding-3-small' }, 'input_uncached', 1),
      ),
    ).toBe('0.00000002');
  });

  it('writes plain decimals without trailing zeros', () => {
    expect(usdOfPico(0n)).toBe('0');
    expect(usdOfPico(10_000_000_000_000n)).toBe('10');
    expect(usdOfPico(-1n)).toBe('-0.000000000001');
  });

  it('reads back every amount it writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), (pico) => {
        expect(picoOfUsd(usdOfPico(pico))).toBe(pico);
      }),
    );
  });

  it('refuses a price it could not keep exactly', () => {
    expect(() => picoPerToken('0.0000001')).toThrow(RangeError);
    expect(() => picoPerToken('1e-3')).toThrow(RangeError);
  });

  it('has no price for a meter a model is not sold by', () => {
    expect(() =>
      picoAmount({ provider: 'openai', model: 'gpt-4o-mini-2024-07-18' }, 'cache_write_5m', 1),
    ).toThrow(RangeError);
  });
});

describe('the price list', () => {
  it('knows a model by its dated name and its alias, for its own vendor only', () => {
    expect(findModel('openai', 'gpt-4o-mini')?.model).toBe('gpt-4o-mini-2024-07-18');
    expect(findModel('openai', 'gpt-4o-mini-2024-07-18')?.model).toBe('gpt-4o-mini-2024-07-18');
    expect(findModel('anthropic', 'claude-opus-4-5')?.model).toBe('claude-opus-4-5-20251101');
    expect(findModel('anthropic', 'gpt-4o')).toBeUndefined();
  });

  it('sells reasoning at the price of output', () => {
    for (const { usdPerMillion } of PRICE_LIST) {
      expect(usdPerMillion.output_reasoning).toBe(usdPerMillion.output_text);
    }
  });

  it('sells Claude by every meter there is', () => {
    for (const entry of PRICE_LIST.filter(({ provider }) => provider === 'anthropic')) {
      expect(Object.keys(entry.usdPerMillion)).toEqual([...METERS]);
    }
  });
});
