import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addAmounts, compareAmounts } from '../../pricing/money.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import { RatedUsageSchema } from '../../schemas/rated-usage.ts';
import type { ClassQuantities, UsageEvent } from '../../schemas/usage-event.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';
import { usageEvent } from '../unit/pricing/pricing-fixtures.ts';

/** Wide enough to be exact for everything below: the judge of the integer arithmetic. */
const Wide = Decimal.clone({ precision: 200, toExpNeg: -9e15, toExpPos: 9e15 });

const digits = (most: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[0-9]{1,${most}}$`));
const plainDecimal = (whole: number, places: number): fc.Arbitrary<string> =>
  fc
    .tuple(digits(whole), fc.option(digits(places), { nil: undefined }))
    .map(([head, tail]) => `${BigInt(head)}${tail === undefined ? '' : `.${tail}`}`);
const LIMIT = new Wide('1e20');

const books = loadPriceBooks();
const options = { knownAt: books.newestKnownFrom };
const FLAT = ['gpt-4o-mini-2024-07-18', 'o4-mini-2025-04-16', 'gpt-5-2025-08-07'] as const;
const CLIFF = ['claude-sonnet-4-5-20250929', 'gpt-5.6-terra', 'gpt-5.4-2026-03-05'] as const;
const METERS = ['input_uncached', 'cache_read', 'output_text', 'output_reasoning'] as const;
const tokenCount = fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 400_000 })).map(String);
const classes: fc.Arbitrary<ClassQuantities> = fc.record(
  Object.fromEntries(METERS.map((meter) => [meter, tokenCount])) as Record<
    (typeof METERS)[number],
    fc.Arbitrary<string>
  >,
);

const rate = (model: string, stated: ClassQuantities, rest: Partial<UsageEvent> = {}) => {
  const provider = model.startsWith('claude') ? 'anthropic' : 'openai';
  const event = usageEvent({ provider, model, tier: 'standard', classes: stated, ...rest });
  return rateUsage(event, books, options);
};
const totalOf = (model: string, stated: ClassQuantities): string => {
  const { total_usd: total } = rate(model, stated);
  if (total === undefined) throw new Error(`${model} was not rated`);
  return total;
};

describe('rating', () => {
  it('never costs less when more was used, across context cliffs too', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FLAT, ...CLIFF),
        classes,
        fc.constantFrom(...METERS),
        fc.nat({ max: 300_000 }),
        (model, stated, meter, more) => {
          const larger = {
            ...stated,
            [meter]: String(BigInt(stated[meter] ?? '0') + BigInt(more)),
          };
          expect(compareAmounts(totalOf(model, larger), totalOf(model, stated))).not.toBe(-1);
        },
      ),
    );
  });

  it('costs the same in one call or in two, where there is no cliff', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FLAT), classes, classes, (model, first, second) => {
        const whole = Object.fromEntries(
          METERS.map((m) => [m, String(BigInt(first[m] ?? '0') + BigInt(second[m] ?? '0'))]),
        );
        expect(addAmounts([totalOf(model, first), totalOf(model, second)])).toBe(
          totalOf(model, whole),
        );
      }),
    );
  });

  it('charges quantity x price on every line, exactly, and their sum as the total', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FLAT, ...CLIFF), classes, (model, stated) => {
        const rated = rate(model, stated);
        for (const charge of rated.charges) {
          expect(charge.amount_usd).toBe(
            new Wide(charge.quantity).times(charge.unit_price).toFixed(),
          );
        }
        expect(rated.total_usd).toBe(addAmounts(rated.charges.map((c) => c.amount_usd)));
        expect(RatedUsageSchema.safeParse(rated).error).toBeUndefined();
      }),
    );
  });

  it('does not depend on the order in which the classes are stated, nor on being repeated', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FLAT, ...CLIFF), classes, (model, stated) => {
        const reversed = Object.fromEntries(Object.entries(stated).reverse());
        const text = JSON.stringify(rate(model, stated));
        expect(JSON.stringify(rate(model, reversed))).toBe(text);
        expect(JSON.stringify(rate(model, stated))).toBe(text);
      }),
    );
  });

  it('is exact or refused at the extremes: fractions of 1e-6 and 32 digits', () => {
    const quantity = fc.oneof(plainDecimal(32, 6), fc.constantFrom('0', '0.000001', '0.000000'));
    fc.assert(
      fc.property(fc.constantFrom(...FLAT), quantity, (model, text) => {
        const rated = rate(model, { input_uncached: text });
        const unitPrice = rate(model, { input_uncached: '1' }).charges[0]?.unit_price ?? '';
        const expected = new Wide(text).times(unitPrice);
        if (expected.gte(LIMIT)) expect(rated.unrated_reason).toBe('precision');
        else expect(rated.total_usd).toBe(expected.toFixed());
        expect(RatedUsageSchema.safeParse(rated).error).toBeUndefined();
      }),
    );
  });

  it('never prices a name the books do not state', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FLAT, ...CLIFF),
        fc.stringMatching(/^[a-z0-9.-]{1,12}$/),
        (model, tail) => {
          const name = `${model}${tail}`;
          fc.pre(books.modelOf('openai', name, books.newestKnownFrom) === null);
          expect(rate(name, { input_uncached: '1' })).toMatchObject({
            unrated_reason: 'unknown_model',
            charges: [],
          });
        },
      ),
    );
  });
});
