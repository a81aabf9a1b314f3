import { describe, expect, it, test } from 'vitest';
import type { AllowanceUse } from '../../../pricing/allowances.ts';
import { allowanceCredits, allowancesKnown } from '../../../pricing/allowances.ts';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import type { Allowance, PriceBook } from '../../../schemas/price-book.ts';
import { book, KNOWN, plainPrices, price } from './pricing-fixtures.ts';

const allowance = (rest: Partial<Allowance> = {}): Allowance => ({
  meter: 'web_search_requests',
  quantity: '100',
  per: 'day',
  valid_from: '2026-01-01T00:00:00.000Z',
  source: 'https://example.test/free',
  retrieved_at: '2026-11-01',
  ...rest,
});
const use = (at: string, quantity: string, rest: Partial<AllowanceUse> = {}): AllowanceUse => ({
  at,
  quantity,
  model: 'model-a',
  meter: 'web_search_requests',
  unit_price: '0.014',
  ...rest,
});
const MORNING = '2026-11-21T08:00:00.000Z';
const EVENING = '2026-11-21T20:00:00.000Z';
const NEXT_DAY = '2026-11-22T00:00:00.000Z';
const prices = [
  ...plainPrices(),
  ...plainPrices({ model: 'model-b' }),
  price('web_search_requests', '0.014'),
];
const withRules = (allowances: Allowance[], more: PriceBook[] = []) =>
  createPriceBooks([
    book(prices, {
      allowances,
      aliases: [{ alias: 'model-a-latest', model: 'model-a', source: 'https://example.test' }],
    }),
    ...more,
  ]);
const credits = (uses: AllowanceUse[], allowances = [allowance()], knownAt = KNOWN) =>
  allowanceCredits({ provider: 'acme-ai', uses, knownAt }, withRules(allowances)).map(
    ({ allowance: id, window, quantity, credit_usd }) => [id, window, quantity, credit_usd],
  );

describe('free allowances', () => {
  it('make the first units of a window free, by the list price of what was used in order', () => {
    expect(credits([use(EVENING, '80', { unit_price: '0.035' }), use(MORNING, '30')])).toEqual([
      ['acme-ai@1/allowance/1', '2026-11-21', '30', '0.42'], // 30 x 0.014
      ['acme-ai@1/allowance/1', '2026-11-21', '70', '2.45'], // the 70 left of 100, x 0.035
    ]);
  });

  it('begin again with the day, or with the month', () => {
    const uses = [use(MORNING, '150'), use(NEXT_DAY, '1')];
    expect(credits(uses).map(([, window, quantity]) => [window, quantity])).toEqual([
      ['2026-11-21', '100'],
      ['2026-11-22', '1'],
    ]);
    const monthly = credits(
      [...uses, use('2026-12-01T00:00:00.000Z', '1')],
      [allowance({ per: 'month' })],
    );
    expect(monthly.map(([, window, quantity]) => [window, quantity])).toEqual([
      ['2026-11', '100'],
      ['2026-12', '1'],
    ]);
  });

  it('are exact to the last place of a quantity', () => {
    const hours = { meter: 'code_execution_hours', unit_price: '0.05' };
    const free = allowance({ meter: 'code_execution_hours', quantity: '1550', per: 'month' });
    expect(
      credits([use(MORNING, '1549.999999', hours), use(EVENING, '1.5', hours)], [free]),
    ).toEqual([
      ['acme-ai@1/allowance/1', '2026-11', '1549.999999', '77.49999995'], // 1549.999999 x 0.05
      ['acme-ai@1/allowance/1', '2026-11', '0.000001', '0.00000005'], // 1550 - 1549.999999
    ]);
  });

  it('are shared by the models they name, under every name of them, and by no other', () => {
    const free = [allowance({ models: ['model-a'] })];
    expect(credits([use(MORNING, '1', { model: 'model-a-latest' })], free)).toHaveLength(1);
    expect(credits([use(MORNING, '1', { model: 'model-b' })], free)).toEqual([]);
    expect(credits([use(MORNING, '1', { model: 'model-x' })], free)).toEqual([]);
    expect(credits([use(MORNING, '1', { model: 'model-x' })])).toHaveLength(1);
  });

  it('are of their meter alone, and nothing is free twice', () => {
    expect(credits([use(MORNING, '1', { meter: 'images' })])).toEqual([]);
    const two = [allowance({ models: ['model-a'], quantity: '10' }), allowance({ quantity: '5' })];
    expect(credits([use(MORNING, '12')], two).map(([id, , quantity]) => [id, quantity])).toEqual([
      ['acme-ai@1/allowance/1', '10'],
      ['acme-ai@1/allowance/2', '2'],
    ]);
  });

  test.each([
    ['a reversal', use(MORNING, '-5')],
    ['nothing', use(MORNING, '0')],
    ['no number', use(MORNING, 'many')],
    ['a price of nothing', use(MORNING, '5', { unit_price: '0' })],
    ['a price that is none', use(MORNING, '5', { unit_price: 'free' })],
    ['finer than a quantity can be', use(MORNING, '0.0000001')],
  ])('credit nothing for %s', (_name, odd) => {
    expect(credits([odd])).toEqual([]);
  });

  it('hold from their first instant to before their last', () => {
    const from = (valid: Partial<Allowance>) => credits([use(MORNING, '1')], [allowance(valid)]);
    expect(from({ valid_from: MORNING })).toHaveLength(1);
    expect(from({ valid_from: EVENING })).toEqual([]);
    expect(from({ valid_to: MORNING })).toEqual([]);
    expect(from({ valid_to: EVENING })).toHaveLength(1);
  });

  it('hold once they are known; a later version that states one again replaces it', () => {
    expect(credits([use(MORNING, '1')], [allowance()], '2026-10-31T23:59:59.999Z')).toEqual([]);
    const LATER = '2026-11-20T00:00:00.000Z';
    const second = book([], {
      version: 2,
      known_from: LATER,
      allowances: [allowance({ quantity: '40' })],
    });
    const books = withRules([allowance(), allowance({ per: 'month' })], [second]);
    const known = (at: string) =>
      allowancesKnown(books, 'acme-ai', at).map(
        ({ id, rule }) => `${id} ${rule.quantity} ${rule.per}`,
      );
    expect(known(KNOWN)).toEqual([
      'acme-ai@1/allowance/1 100 day',
      'acme-ai@1/allowance/2 100 month',
    ]);
    expect(known(LATER)).toEqual([
      'acme-ai@2/allowance/1 40 day',
      'acme-ai@1/allowance/2 100 month',
    ]);
    expect(allowancesKnown(books, 'other-ai', LATER)).toEqual([]);
  });

  it('are refused by the lint where they are of models no book prices', () => {
    expect(() => withRules([allowance({ models: ['model-x'] })])).toThrow(PriceBookError);
    expect(() => withRules([allowance({ models: ['model-b', 'model-a'] })])).not.toThrow();
  });
});
