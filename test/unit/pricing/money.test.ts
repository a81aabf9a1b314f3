import { describe, expect, it } from 'vitest';
import {
  AmountError,
  addAmounts,
  canonicalAmount,
  compareAmounts,
  multiplyExact,
  negateAmount,
  parseAmount,
  roundHalfEven,
} from '../../../pricing/money.ts';

const LARGEST = '99999999999999999999.999999999999999999';

describe('amounts', () => {
  it('have one spelling: no trailing zeros, no exponent, no negative zero', () => {
    expect(canonicalAmount('1.50')).toBe('1.5');
    expect(canonicalAmount('100')).toBe('100');
    expect(canonicalAmount('-0')).toBe('0');
    expect(canonicalAmount('0.000000000000000001')).toBe('0.000000000000000001');
    expect(negateAmount('0')).toBe('0');
    expect(negateAmount('-2.50')).toBe('2.5');
  });

  it('add exactly where floats would not', () => {
    expect(addAmounts(['0.1', '0.2'])).toBe('0.3');
    expect(addAmounts([])).toBe('0');
    expect(addAmounts(['1.5', '-1.50'])).toBe('0');
  });

  it('refuse a sum of more than 38 digits instead of wrapping it', () => {
    expect(() => addAmounts([LARGEST, '0.000000000000000001'])).toThrow(AmountError);
    expect(addAmounts([LARGEST, LARGEST, negateAmount(LARGEST)])).toBe(LARGEST);
  });

  it('refuse what is not a plain decimal of at most 18 places', () => {
    for (const text of ['1e3', '+1', '01', '.5', '5.', '', 'NaN', '0.0000000000000000001']) {
      expect(() => parseAmount(text), text).toThrow(AmountError);
    }
  });

  it('multiply exactly, or say why not', () => {
    // 1,000,000 tokens at 0.15 USD a million
    expect(multiplyExact('1000000', '0.00000015')).toEqual({ ok: true, amount: '0.15' });
    expect(multiplyExact('0.000001', '0.000000000001')).toEqual({
      ok: true,
      amount: '0.000000000000000001',
    });
    expect(multiplyExact('0.0000001', '0.000000000001')).toEqual({
      ok: false,
      reason: 'precision',
    });
    expect(multiplyExact('99999999999999999999', '10')).toEqual({ ok: false, reason: 'overflow' });
    expect(multiplyExact('1e6', '1')).toEqual({ ok: false, reason: 'malformed' });
  });

  it('compare by value and round half to even', () => {
    expect(compareAmounts('1.50', '1.5')).toBe(0);
    expect(compareAmounts('-1', '0.000000000000000001')).toBe(-1);
    expect(compareAmounts('10', '9')).toBe(1);
    expect(roundHalfEven('2.345', 2)).toBe('2.34');
    expect(roundHalfEven('2.355', 2)).toBe('2.36');
    expect(roundHalfEven('-0.004', 2)).toBe('0');
  });
});
