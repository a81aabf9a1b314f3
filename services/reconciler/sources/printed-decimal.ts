import { AMOUNT_PLACES, canonicalAmount, Money } from '../../../pricing/money.ts';

const PRINTED = /^[+-]?(?:\d{1,40}(?:\.\d{0,60})?|\.\d{1,60})(?:e[+-]?\d{1,2})?$/i;

/** A figure of a file: its exact value, and how many digits stood after the point. */
export interface PrintedDecimal {
  value: string;
  places: number;
}

/**
 * Reads a decimal from its text, never through a float: `0.0123`, `1.5e-05` as some exports print, `-3`. Digits beyond the 18th
 * place, which no price list has and only float printing makes, are rounded half to even.
 * @returns null when the text is not a number or has more than 20 digits before the point.
 */
export const readPrintedDecimal = (text: string): PrintedDecimal | null => {
  const trimmed = text.trim();
  if (!PRINTED.test(trimmed)) return null;
  const [mantissa = '', exponent = '0'] = trimmed.toLowerCase().split('e');
  const places = Math.max(0, (mantissa.split('.')[1]?.length ?? 0) - Number(exponent));
  const rounded = new Money(trimmed).toDecimalPlaces(AMOUNT_PLACES, Money.ROUND_HALF_EVEN);
  if (rounded.abs().gte('1e20')) return null;
  return {
    value: canonicalAmount(rounded.toFixed()),
    places: Math.min(AMOUNT_PLACES, places),
  };
};
