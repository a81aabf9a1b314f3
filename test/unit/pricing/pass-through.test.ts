import { describe, expect, it, test } from 'vitest';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { PassThrough, PriceBook } from '../../../schemas/price-book.ts';
import { RatedUsageSchema } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { book, KNOWN, NOON, plainPrices, usageEvent } from './pricing-fixtures.ts';

const LATER = '2026-11-20T00:00:00.000Z';
const rule = (rest: Partial<PassThrough> = {}): PassThrough => ({
  valid_from: '2026-01-01T00:00:00.000Z',
  source: 'https://example.test/costs',
  retrieved_at: '2026-11-01',
  ...rest,
});
const second = (rest: Partial<PriceBook>): PriceBook =>
  book([], { version: 2, known_from: LATER, ...rest });
const first = book(plainPrices(), {
  aliases: [{ alias: 'model-a-latest', model: 'model-a', source: 'https://example.test' }],
});
const books = createPriceBooks([first, second({ pass_through: [rule()] })]);

const rate = (rest: Partial<UsageEvent>, knownAt = LATER, from = books) => {
  const rated = rateUsage(usageEvent(rest), from, { knownAt });
  expect(RatedUsageSchema.safeParse(rated).error).toBeUndefined();
  return rated;
};
const usd = (cost: string) => ({ raw_usage: `{"cost":${cost}}` });

describe('a call that costs what its provider says', () => {
  it('is one line of millionths of a dollar instead of its tokens', () => {
    const rated = rate(usd('0.0001182'));
    // 0.0001182 USD are 118.2 millionths; the tokens would be 1000 x 2 / 1e6 + 100 x 10 / 1e6 = 0.003.
    expect(rated.charges).toEqual([
      {
        meter: 'stated_cost_micro_usd',
        model: 'model-a',
        quantity: '118.2',
        unit_price: '0.000001',
        amount_usd: '0.0001182',
        price_id: 'acme-ai@2/pass-through/1',
      },
    ]);
    expect(rated).toMatchObject({ outcome: 'rated', total_usd: '0.0001182', book: 'acme-ai@2' });
  });

  test.each([
    ['12.5', '12500000'],
    ['3', '3000000'],
    ['0.000001', '1'],
    ['0.000000000001', '0.000001'],
    ['1.13e-05', '11.3'],
  ])('a stated %s is %s millionths', (cost, quantity) => {
    const [charge] = rate(usd(cost)).charges;
    expect(charge?.quantity).toBe(quantity);
  });

  it("is two lines with the customer's own key at the vendor: what the provider took and what the vendor took", () => {
    const rated = rate({
      raw_usage: '{"cost":0.00095,"is_byok":true,"cost_details":{"upstream_inference_cost":0.019}}',
    });
    expect(rated.charges.map((c) => [c.price_id, c.quantity, c.amount_usd])).toEqual([
      ['acme-ai@2/pass-through/1', '950', '0.00095'],
      ['acme-ai@2/pass-through/1/upstream', '19000', '0.019'],
    ]);
    expect(rated.total_usd).toBe('0.01995'); // 0.00095 + 0.019
  });

  it('has no line for what is nothing, and costs nothing where nothing is what it cost', () => {
    const own = rate({
      raw_usage: '{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.5}}',
    });
    expect(own.charges.map((c) => c.price_id)).toEqual(['acme-ai@2/pass-through/1/upstream']);
    expect(rate(usd('0'))).toMatchObject({ outcome: 'rated', charges: [], total_usd: '0' });
  });

  it('is unrated where the cost has more than 12 places of a dollar and no rule rounds it', () => {
    expect(rate(usd('0.0076509169000000005'))).toMatchObject({
      outcome: 'unrated',
      unrated_reason: 'precision',
      unrated_detail:
        'the cost that acme-ai states has 19 decimal places of a dollar, more than the 12 that are charged exactly',
      charges: [],
    });
    expect(rate(usd('0.1234567890123')).unrated_reason).toBe('precision');
    expect(rate(usd('0.1234567890120')).total_usd).toBe('0.123456789012');
    expect(rate(usd('1e20')).unrated_reason).toBe('precision'); // 21 digits before the point
    expect(rate(usd('99999999999999999999')).total_usd).toBe('99999999999999999999');
  });

  it('is rounded to 12 places of a dollar, half to even, where the rule says so', () => {
    const rounding = createPriceBooks([
      first,
      second({ pass_through: [rule({ rounding: 'half_even' })] }),
    ]);
    const total = (cost: string) => rate(usd(cost), LATER, rounding).total_usd;
    expect(total('0.0076509169000000005')).toBe('0.0076509169'); // what a float makes of 0.0076509169
    expect(total('0.1234567890125')).toBe('0.123456789012'); // a tie: to the even 2
    expect(total('0.1234567890135')).toBe('0.123456789014'); // a tie: to the even 4
    expect(total('0.12345678901250001')).toBe('0.123456789013');
    expect(total('0.9999999999999')).toBe('1');
    expect(total('0.123456789012')).toBe('0.123456789012');
    const [charge] = rate(usd('0.0076509169000000005'), LATER, rounding).charges;
    expect([charge?.quantity, charge?.amount_usd]).toEqual(['7650.9169', '0.0076509169']);
    expect(rate(usd('0.0000000000004'), LATER, rounding)).toMatchObject({
      charges: [],
      total_usd: '0',
    });
  });

  it('needs no price and no name of the model, nor any tokens', () => {
    expect(rate({ model: 'model-of-tomorrow', ...usd('0.25') }).total_usd).toBe('0.25');
    expect(rate({ classes: {}, ...usd('0.04') }).total_usd).toBe('0.04');
  });

  it('is one line for all parts of a reply: the statement is of the whole call', () => {
    const part = { model: 'model-a', classes: { input_uncached: '10' }, units: {} };
    expect(rate({ parts: [part, part], ...usd('0.25') }).charges).toHaveLength(1);
  });
});

describe('where nothing whole is stated the prices of the book hold', () => {
  const tokens = '0.003'; // 1000 x 2 / 1e6 + 100 x 10 / 1e6
  it('as without a cost', () => {
    expect(rate({ raw_usage: '{"prompt_tokens":1000}' }).total_usd).toBe(tokens);
    expect(rate({}).total_usd).toBe(tokens);
  });

  test.each(['partial', 'estimated'] as const)('as when the event ended %s', (ending) => {
    expect(rate({ ending, ...usd('0.25') }).total_usd).toBe(tokens);
  });

  test.each(['reported', 'drained', 'unknown'] as const)('but not when it ended %s', (ending) => {
    expect(rate({ ending, ...usd('0.25') }).total_usd).toBe('0.25');
  });

  it('and a call that was not billed costs nothing, one that is pending waits', () => {
    expect(rate({ ending: 'not_billed', ...usd('0.25') }).total_usd).toBe('0');
    expect(rate({ ending: 'pending', ...usd('0.25') }).unrated_reason).toBe('pending');
  });
});

describe('the rule', () => {
  const tokens = '0.003';
  it('is in force once the version it stands in is known, from its beginning to its end', () => {
    expect(rate(usd('0.25'), KNOWN).total_usd).toBe(tokens);
    const from = (valid: Partial<PassThrough>) =>
      rate(usd('0.25'), LATER, createPriceBooks([first, second({ pass_through: [rule(valid)] })]))
        .total_usd;
    expect(from({ valid_from: NOON })).toBe('0.25');
    expect(from({ valid_from: '2026-11-21T12:00:00.001Z' })).toBe(tokens);
    expect(from({ valid_to: NOON })).toBe(tokens);
    expect(from({ valid_to: '2026-11-21T12:00:00.001Z' })).toBe('0.25');
  });

  it('goes by when the provider completed the work', () => {
    const early = createPriceBooks([first, second({ pass_through: [rule({ valid_to: NOON })] })]);
    const done = { provider_completed_at: '2026-11-21T11:59:59.999Z' };
    expect(rate({ ...usd('0.25'), ...done }, LATER, early).total_usd).toBe('0.25');
  });

  it('may be for some models, under their names and aliases', () => {
    const other = plainPrices({ model: 'model-b' });
    const some = createPriceBooks([
      { ...first, prices: [...first.prices, ...other] },
      second({ pass_through: [rule({ models: ['model-a'] })] }),
    ]);
    const total = (model: string) => rate({ model, ...usd('0.25') }, LATER, some).total_usd;
    expect(total('model-a')).toBe('0.25');
    expect(total('model-a-latest')).toBe('0.25');
    expect(total('model-b')).toBe(tokens);
    expect(rate({ model: 'model-c', ...usd('1') }, LATER, some).unrated_reason).toBe(
      'unknown_model',
    );
  });

  it('is of its provider alone', () => {
    const foreign = rate({ provider: 'other-ai', ...usd('0.25') });
    expect(foreign).toMatchObject({ unrated_reason: 'unknown_model' });
  });

  it('ends by being stated again with an end; a version that does not state it leaves it as it is', () => {
    const third = (rest: Partial<PriceBook>) =>
      book([], { version: 3, known_from: '2026-11-21T00:00:00.000Z', ...rest });
    const stated = second({ pass_through: [rule()] });
    const silent = createPriceBooks([first, stated, third({})]);
    const at = '2026-11-21T00:00:00.000Z';
    expect(rate(usd('0.25'), at, silent).charges[0]?.price_id).toBe('acme-ai@2/pass-through/1');
    const ended = createPriceBooks([
      first,
      stated,
      third({ pass_through: [rule({ valid_to: LATER })] }),
    ]);
    expect(rate(usd('0.25'), at, ended).total_usd).toBe(tokens);
    expect(rate(usd('0.25'), LATER, ended).total_usd).toBe('0.25');
  });

  test.each([
    ['ends before it begins', [rule({ valid_to: '2025-12-31T00:00:00.000Z' })], 'is not after'],
    ['ends when it begins', [rule({ valid_to: '2026-01-01T00:00:00.000Z' })], 'is not after'],
    [
      'names a model no book prices',
      [rule({ models: ['model-x'] })],
      'no book prices the model model-x',
    ],
    ['is stated twice', [rule(), rule({ valid_to: NOON })], 'stated twice'],
  ])('is refused when it %s', (_name, rules, problem) => {
    expect(() => createPriceBooks([first, second({ pass_through: rules })])).toThrow(
      PriceBookError,
    );
    expect(() => createPriceBooks([first, second({ pass_through: rules })])).toThrow(problem);
  });
});
