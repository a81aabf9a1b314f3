import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AmountError,
  addAmounts,
  canonicalAmount,
  compareAmounts,
  multiplyExact,
  negateAmount,
} from '../../pricing/money.ts';
import { AmountSchema } from '../../schemas/decimal-string.ts';

/** Wide enough to be exact for everything below: the judge of the integer arithmetic. */
const Wide = Decimal.clone({ precision: 200, toExpNeg: -9e15, toExpPos: 9e15 });

const digits = (most: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[0-9]{1,${most}}$`));
const plainDecimal = (whole: number, places: number): fc.Arbitrary<string> =>
  fc
    .tuple(digits(whole), fc.option(digits(places), { nil: undefined }))
    .map(([head, tail]) => `${BigInt(head)}${tail === undefined ? '' : `.${tail}`}`);
const amount = fc
  .tuple(plainDecimal(20, 18), fc.boolean())
  .map(([text, negative]) => (negative ? `-${text}` : text));
const LIMIT = new Wide('1e20');

describe('money', () => {
  it('adds as decimal.js does with enough digits, or refuses what does not fit', () => {
    fc.assert(
      fc.property(fc.array(amount, { maxLength: 30 }), (amounts) => {
        const expected = amounts.reduce((sum, text) => sum.plus(text), new Wide(0));
        if (expected.abs().gte(LIMIT)) expect(() => addAmounts(amounts)).toThrow(AmountError);
        else expect(addAmounts(amounts)).toBe(expected.isZero() ? '0' : expected.toFixed());
      }),
    );
  });

  it('adds the same in any order', () => {
    const shuffled = fc
      .array(plainDecimal(12, 18), { maxLength: 20 })
      .chain((list) =>
        fc.tuple(
          fc.constant(list),
          fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }),
        ),
      );
    fc.assert(fc.property(shuffled, ([list, other]) => addAmounts(list) === addAmounts(other)));
  });

  it('multiplies as decimal.js does with enough digits, and refuses exactly what does not fit', () => {
    fc.assert(
      fc.property(plainDecimal(32, 8), plainDecimal(18, 14), (quantity, unitPrice) => {
        const expected = new Wide(quantity).times(unitPrice);
        const product = multiplyExact(quantity, unitPrice);
        if (expected.decimalPlaces() > 18) {
          expect(product).toEqual({ ok: false, reason: 'precision' });
        } else if (expected.gte(LIMIT)) {
          expect(product).toEqual({ ok: false, reason: 'overflow' });
        } else {
          expect(product).toEqual({ ok: true, amount: expected.toFixed() });
        }
      }),
      { numRuns: 500 },
    );
  });

  it('has one spelling, which the schema takes and which reads back as itself', () => {
    fc.assert(
      fc.property(amount, (text) => {
        const spelled = canonicalAmount(text);
        expect(AmountSchema.safeParse(spelled).success).toBe(true);
        expect(canonicalAmount(spelled)).toBe(spelled);
        expect(compareAmounts(text, spelled)).toBe(0);
        expect(addAmounts([text, negateAmount(text)])).toBe('0');
        expect(spelled).not.toBe('-0');
      }),
    );
  });
});
