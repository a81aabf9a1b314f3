import { z } from 'zod';

/**
 * Exact decimals as strings: the only form money and quantities take on the wire (contracts: "Money and quantities").
 * No exponent, no leading plus, no bare point; a value has one spelling per scale, so strings can be compared.
 */
const decimal = (integerDigits: number, fractionDigits: number, name: string) =>
  z
    .string()
    .regex(
      new RegExp(`^-?(0|[1-9]\\d{0,${integerDigits - 1}})(\\.\\d{1,${fractionDigits}})?$`),
      `expected ${name}: a plain decimal string with at most ${integerDigits} integer and ${fractionDigits} fraction digits`,
    );

/** Money, `Decimal(38,18)` in the warehouse. May be negative (a reversal). */
export const AmountSchema = decimal(20, 18, 'an amount');
/** Counts and measures, `Decimal(38,6)`. Never negative. */
export const QuantitySchema = decimal(32, 6, 'a quantity').refine((v) => !v.startsWith('-'), {
  message: 'a quantity is never negative',
});
/** Price of one unit, at most 12 decimal places, so that quantity x price is exact in 18. */
export const UnitPriceSchema = decimal(18, 12, 'a unit price').refine((v) => !v.startsWith('-'), {
  message: 'a unit price is never negative',
});

export type Amount = z.infer<typeof AmountSchema>;
