import { describe, expect, it, test } from 'vitest';
import { allocateBill, allocatedBook, billOf } from '../../../pricing/allocation.ts';
import { addAmounts } from '../../../pricing/money.ts';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { PriceBookSchema } from '../../../schemas/price-book.ts';
import { rerate } from '../../../services/rater/core/rerate.ts';
import { book, plainPrices, usageEvent } from './pricing-fixtures.ts';

const about = {
  provider: 'own-gpus',
  model: 'llama',
  month: '2026-11',
  version: 1,
  now: '2026-12-02T09:00:00.000Z',
  source: '720 GPU hours at 2.5 USD',
};

describe('a bill spread over usage', () => {
  it('is shared in proportion to quantity times weight', () => {
    const allocation = allocateBill({
      bill_usd: billOf('720', '2.5'), // 1800
      quantities: { input_uncached: '10000000', output_text: '1250000' },
      weights: { output_text: '4' },
    });
    // 1800 / (10,000,000 x 1 + 1,250,000 x 4) = 0.00012 a unit of weight.
    expect(allocation).toEqual({
      prices: [
        { meter: 'input_uncached', unit_price: '0.00012' },
        { meter: 'output_text', unit_price: '0.00048' },
      ],
      charged_usd: '1800',
      remainder_usd: '0',
    });
  });

  it('says what no price of 12 places can express', () => {
    const allocation = allocateBill({
      bill_usd: '1',
      quantities: { input_uncached: '3', output_text: '0' },
      weights: {},
    });
    expect(allocation.prices[0]?.unit_price).toBe('0.333333333333');
    expect(allocation.charged_usd).toBe('0.999999999999'); // 3 x 0.333333333333
    expect(allocation.remainder_usd).toBe('0.000000000001');
  });

  it('has prices for what a model needs and for every meter used or weighed, in the order of the meters', () => {
    const allocation = allocateBill({
      bill_usd: '2',
      quantities: { output_reasoning: '1' },
      weights: { cache_read: '0.1', output_reasoning: '2' },
    });
    expect(allocation.prices).toEqual([
      { meter: 'input_uncached', unit_price: '1' },
      { meter: 'cache_read', unit_price: '0.1' },
      { meter: 'output_text', unit_price: '1' },
      { meter: 'output_reasoning', unit_price: '2' },
    ]);
  });

  test.each([
    ['a bill below zero', { bill_usd: '-1' }, 'below zero'],
    ['no usage', { quantities: {} }, 'Nothing that has a weight'],
    ['no weight', { weights: { input_uncached: '0' } }, 'Nothing that has a weight'],
    ['a quantity below zero', { quantities: { input_uncached: '-1' } }, 'input_uncached is "-1"'],
    ['too fine a quantity', { quantities: { input_uncached: '0.0000001' } }, 'at most 6 places'],
    ['a weight that is none', { weights: { input_uncached: 'x' } }, 'the weight of input_uncached'],
    ['too fine a weight', { weights: { input_uncached: '0.0000001' } }, 'at most 6 places'],
  ])('is refused with %s', (_name, rest, problem) => {
    const input = { bill_usd: '1', quantities: { input_uncached: '1' }, weights: {}, ...rest };
    expect(() => allocateBill(input)).toThrow(RangeError);
    expect(() => allocateBill(input)).toThrow(problem);
  });

  it('is GPU hours times the price of one, exactly', () => {
    expect(billOf('0.000001', '0.000000000001')).toBe('0.000000000000000001');
    expect(() => billOf('1.0000001', '2')).toThrow('the number of hours');
    expect(() => billOf('1', '2.0000000000001')).toThrow('the price of an hour');
  });
});

describe('the version of a book made from it', () => {
  const allocation = allocateBill({
    bill_usd: '100',
    quantities: { input_uncached: '700000', output_text: '300001' },
    weights: { output_text: '3' },
  });
  const version = allocatedBook(allocation, about);

  it('prices its month and nothing else, by the rules of every book', () => {
    expect(PriceBookSchema.safeParse(version).error).toBeUndefined();
    const books = createPriceBooks([version]);
    const outcome = (at: string) =>
      rateUsage(usageEvent({ provider: 'own-gpus', model: 'llama', event_ts: at }), books, {
        knownAt: about.now,
      }).outcome;
    expect(outcome('2026-10-31T23:59:59.999Z')).toBe('unrated');
    expect(outcome('2026-11-01T00:00:00.000Z')).toBe('rated');
    expect(outcome('2026-11-30T23:59:59.999Z')).toBe('rated');
    expect(outcome('2026-12-01T00:00:00.000Z')).toBe('unrated');
  });

  it('ends in the next year for a December, and takes no other month than YYYY-MM', () => {
    const [first] = allocatedBook(allocation, { ...about, month: '2026-12' }).prices;
    expect(first?.valid_to).toBe('2027-01-01T00:00:00.000Z');
    expect(allocatedBook(allocation, { ...about, month: '2026-09' }).prices[0]).toMatchObject({
      price_id: 'own-gpus@1/llama/input_uncached/allocated-2026-09',
      valid_from: '2026-09-01T00:00:00.000Z',
      valid_to: '2026-10-01T00:00:00.000Z',
      retrieved_at: '2026-12-02',
    });
    for (const month of ['2026-13', '2026-00', '2026-1', '2026-11-01', 'x2026-11']) {
      expect(() => allocatedBook(allocation, { ...about, month })).toThrow('expected YYYY-MM');
    }
  });

  it('makes the charges of the month, rated again, the bill less what cannot be expressed', () => {
    const calls = [
      { input_uncached: '400000', output_text: '1' },
      { input_uncached: '300000', output_text: '300000' },
    ].map((classes, place) =>
      usageEvent({
        provider: 'own-gpus',
        model: 'llama',
        event_id: `0193a5b2-7c1d-7003-8a4f-1b2c3d4e5f6${place}`,
        classes,
      }),
    );
    const unpriced = createPriceBooks([book(plainPrices())]);
    const before = calls.map((event) => ({
      event,
      entries: [rateUsage(event, unpriced, { knownAt: unpriced.newestKnownFrom })],
    }));
    const { entries, differences } = rerate(before, createPriceBooks([version]), {
      knownAt: about.now,
      postingPeriodOf: (period) => period,
    });
    const charged = addAmounts(entries.map((entry) => entry.total_usd ?? '0'));
    expect(charged).toBe(allocation.charged_usd);
    expect(addAmounts([charged, allocation.remainder_usd])).toBe('100');
    expect(differences).toMatchObject([{ cause: 'newly_rated', events: 2, after_usd: charged }]);
  });
});
