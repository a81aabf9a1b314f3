import { describe, expect, it, test } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { Price } from '../../../schemas/price-book.ts';
import { RatedUsageSchema } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

const dear = (unitPrice: string, rest: Partial<Price>): Price =>
  price('input_uncached', unitPrice, { model: 'model-b', ...rest });
const base = [
  ...plainPrices(),
  dear('0.000003', {}),
  price('output_text', '0.000015', { model: 'model-b' }),
];
const ceilingOf = (
  prices: Price[],
  rest: Partial<UsageEvent> = {},
  knownAt = KNOWN,
): string | undefined => {
  const event = usageEvent({
    model: 'model-of-tomorrow',
    unknown_price: 'ceiling',
    classes: { input_uncached: '1000' },
    ...rest,
  });
  const rated = rateUsage(event, createPriceBooks([book(prices)]), { knownAt });
  expect(RatedUsageSchema.safeParse(rated).error).toBeUndefined();
  expect(rated.outcome).toBe('unrated');
  return rated.ceiling_usd;
};

describe('the ceiling of what no price was found for', () => {
  it('is each quantity at the dearest price of its meter, whatever model it is of', () => {
    const classes = { input_uncached: '1000', output_text: '10', cache_read: '100' };
    // 1000 x 3 / 1e6 + 10 x 15 / 1e6 + 100 x 0.2 / 1e6 = 0.003 + 0.00015 + 0.00002
    expect(ceilingOf(base, { classes })).toBe('0.00317');
  });

  test.each([
    ['of another tier', dear('0.000006', { when: { tier: ['priority'] } })],
    ['of another geography', dear('0.000006', { when: { geo: ['us'] } })],
    [
      'of longer requests',
      dear('0.000006', { when: { context: { operator: '>', input_tokens: 200_000 } } }),
    ],
    [
      'of other hours',
      dear('0.000006', { when: { time: { windows: [{ from: '01:00', to: '02:00' }] } } }),
    ],
  ])('counts the price %s', (_name, more) => {
    const { when } = more;
    const output = price('output_text', '0.000001', { model: 'model-b', when });
    expect(ceilingOf([...base, more, output])).toBe('0.006'); // 1000 x 6 / 1e6
  });

  it('counts claims: any of them may turn out to be the price', () => {
    const claims = ['0.000005', '0.000008'].map((usd, place) =>
      price('input_uncached', usd, {
        model: 'model-c',
        claim: 'which page is right?',
        price_id: `c${place}`,
      }),
    );
    const output = price('output_text', '0.000001', { model: 'model-c' });
    expect(ceilingOf([...base, ...claims, output])).toBe('0.008'); // 1000 x 8 / 1e6
  });

  it('counts a fee owed once a request, unless the requests are stated', () => {
    const fees = ['0.005', '0.004'].map((usd, place) =>
      price('requests', usd, { model: place === 0 ? 'model-a' : 'model-b', per_request: true }),
    );
    const counted = price('requests', '0.01', { model: 'model-c' });
    expect(ceilingOf([...base, ...fees, counted])).toBe('0.008'); // 1000 x 3 / 1e6 + 0.005
    // 0.003 + 2 x 0.01
    expect(ceilingOf([...base, ...fees, counted], { units: { requests: '2' } })).toBe('0.023');
  });

  it('adds up the parts of a reply', () => {
    const part = { model: 'model-x', classes: { input_uncached: '1000' }, units: {} };
    expect(ceilingOf(base, { parts: [part, part] })).toBe('0.006'); // 2 x 1000 x 3 / 1e6
  });

  it('is left out where a meter has no price at all, or nothing is stated', () => {
    expect(ceilingOf(base, { units: { images: '1' } })).toBeUndefined();
    expect(ceilingOf(base, { units: { images: '0' } })).toBe('0.003');
    expect(ceilingOf(base, { classes: {} })).toBeUndefined();
    expect(ceilingOf(base, {}, '2026-10-31T23:59:59.999Z')).toBeUndefined();
    expect(ceilingOf(base, { provider: 'other-ai' })).toBeUndefined();
    expect(ceilingOf(base, { ending: 'pending' })).toBeUndefined();
    expect(ceilingOf(base, { ending: 'unknown' })).toBeUndefined();
  });

  it('is left out where it does not fit an amount, and exact where it just does', () => {
    const most = '33333333333333333333333333';
    expect(ceilingOf(base, { classes: { input_uncached: most } })).toBe(
      '99999999999999999999.999999',
    );
    expect(
      ceilingOf(base, { classes: { input_uncached: '33333333333333333333333334' } }),
    ).toBeUndefined();
  });

  it('is for upstreams that say so, and only where no price was found', () => {
    const books = createPriceBooks([book(base)]);
    const rate = (rest: Partial<UsageEvent>) =>
      rateUsage(usageEvent(rest), books, { knownAt: KNOWN });
    expect(rate({ model: 'model-x' })).not.toHaveProperty('ceiling_usd');
    expect(rate({ unknown_price: 'ceiling' })).not.toHaveProperty('ceiling_usd');
    const tier = rate({ unknown_price: 'ceiling', tier: 'flex' });
    // 1000 x 3 / 1e6 + 100 x 15 / 1e6
    expect(tier).toMatchObject({ unrated_reason: 'unknown_price', ceiling_usd: '0.0045' });
  });

  it('of a stated cost too fine to be charged is the next 10^-18 USD', () => {
    const passing = book(base, {
      pass_through: [
        {
          valid_from: '2026-01-01T00:00:00.000Z',
          source: 'https://example.test',
          retrieved_at: '2026-11-01',
        },
      ],
    });
    const ceiling = (cost: string) =>
      rateUsage(
        usageEvent({ unknown_price: 'ceiling', raw_usage: `{"cost":${cost}}` }),
        createPriceBooks([passing]),
        { knownAt: KNOWN },
      ).ceiling_usd;
    expect(ceiling('0.0076509169000000005')).toBe('0.007650916900000001');
    expect(ceiling('0.123456789012345678')).toBe('0.123456789012345678');
    expect(ceiling('0.0010000000000000000001')).toBe('0.001000000000000001');
    expect(ceiling('1e20')).toBeUndefined();
  });
});

describe('of several prices of one model the ceiling takes', () => {
  const DAY = '2026-11-01T00:00:00.000Z';
  const others = base.filter((one) => one.meter !== 'input_uncached' || one.model === 'model-a');
  const ends = (to: string) => dear('0.000009', { valid_to: to });

  it('one that is still valid', () => {
    expect(ceilingOf([...others, ends('2026-11-21T12:00:00.001Z')])).toBe('0.009');
    expect(ceilingOf([...others, ends('2026-11-21T12:00:00.000Z')])).toBe('0.002');
  });

  it('the one that has replaced the others, though it is cheaper', () => {
    expect(ceilingOf([...base, dear('0.0000025', { valid_from: DAY })])).toBe('0.0025');
    const soon = dear('0.0000025', { valid_from: '2026-11-21T12:00:00.001Z' });
    expect(ceilingOf([...base, soon])).toBe('0.003');
  });

  it('the ones before it too where it holds for some hours or lengths only', () => {
    const night = { time: { windows: [{ from: '01:00', to: '02:00' }] } };
    const some = dear('0.0000025', { valid_from: DAY, when: night });
    const all = dear('0.0000021', { valid_from: DAY });
    expect(ceilingOf([...base, some, all])).toBe('0.0025');
    const ended = dear('0.0000025', { valid_from: DAY, valid_to: '2026-11-21T12:00:00.000Z' });
    expect(ceilingOf([...base, ended])).toBe('0.003');
  });

  it('a correction from the moment it was known, and an announced price from its day on, with the one before it', () => {
    const KNEW = '2026-11-10T00:00:00.000Z';
    const total = (correction: Partial<Price>, knownAt: string) =>
      rateUsage(
        usageEvent({
          model: 'model-x',
          unknown_price: 'ceiling',
          classes: { input_uncached: '1000' },
        }),
        createPriceBooks([
          book(base),
          book([dear('0.0000025', { known_from: KNEW, ...correction })], {
            version: 2,
            known_from: KNEW,
          }),
        ]),
        { knownAt },
      ).ceiling_usd;
    expect(total({}, KNEW)).toBe('0.0025');
    expect(total({}, '2026-11-09T23:59:59.999Z')).toBe('0.003');
    const cheaper = { valid_from: '2026-11-15T00:00:00.000Z' };
    expect(total(cheaper, KNEW)).toBe('0.003');
    expect(total({ ...cheaper, unit_price: '0.00001' }, KNEW)).toBe('0.01');
  });
});
