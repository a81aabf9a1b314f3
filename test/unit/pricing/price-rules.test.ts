import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { inTimeBand, timeBandName } from '../../../pricing/time-band.ts';
import type { Price, PriceBook, TimeBand } from '../../../schemas/price-book.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

const rate = (prices: Price[], rest: Partial<UsageEvent> = {}) =>
  rateUsage(usageEvent(rest), createPriceBooks([book(prices)]), { knownAt: KNOWN });
const refusal = (...books: PriceBook[]): string => {
  try {
    createPriceBooks(books);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('hours', () => {
  const office: TimeBand = {
    windows: [
      { from: '01:00', to: '04:00' },
      { from: '06:00', to: '24:00' },
    ],
    days: [1, 2, 3, 4, 5],
    except_days: ['2026-11-19'],
  };

  it.each([
    ['2026-11-20T00:59:59.999Z', false], // Friday
    ['2026-11-20T01:00:00.000Z', true],
    ['2026-11-20T03:59:59.999Z', true],
    ['2026-11-20T04:00:00.000Z', false],
    ['2026-11-20T23:59:59.999Z', true],
    ['2026-11-16T02:00:00.000Z', true], // Monday
    ['2026-11-21T02:00:00.000Z', false], // Saturday
    ['2026-11-22T02:00:00.000Z', false], // Sunday
    ['2026-11-19T02:00:00.000Z', false], // the exception
  ])('of weekdays: %s is %s', (at, expected) => {
    expect(inTimeBand(office, at)).toBe(expected);
  });

  it('may be on Sundays, on every day, and over midnight', () => {
    const sunday = '2026-11-22T02:00:00.000Z';
    const windows = [{ from: '00:00', to: '24:00' }];
    expect(inTimeBand({ windows, days: [7] }, sunday)).toBe(true);
    expect(inTimeBand({ windows, days: [1] }, sunday)).toBe(false);
    expect(inTimeBand({ windows }, sunday)).toBe(true);
    const night = { windows: [{ from: '16:30', to: '00:30' }] };
    const at = (clock: string) => inTimeBand(night, `2026-11-20T${clock}:00.000Z`);
    expect([at('16:29'), at('16:30'), at('23:59'), at('00:00'), at('00:29'), at('00:30')]).toEqual([
      false,
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  it('have one name each', () => {
    expect(timeBandName(office)).toBe('01:00-04:00+06:00-24:00 days 12345 but 2026-11-19');
    expect(timeBandName({ windows: [{ from: '01:00', to: '02:00' }] })).toBe('01:00-02:00');
  });

  it('decide the price inside them; outside the price without hours is meant, whatever the order in the book', () => {
    const time = { windows: [{ from: '12:00', to: '13:00' }] };
    const peak = price('input_uncached', '0.000004', { when: { time } });
    for (const prices of [
      [...plainPrices(), peak],
      [peak, ...plainPrices()],
    ]) {
      expect(rate(prices).total_usd).toBe('0.005'); // 12:00: 1000 x 4 + 100 x 10
      expect(rate(prices, { event_ts: '2026-11-21T13:00:00.000Z' }).total_usd).toBe('0.003');
    }
  });

  it('may end with a later price list that has none, but two for the same hours are refused', () => {
    const time = { windows: [{ from: '12:00', to: '13:00' }] };
    const peak = price('input_uncached', '0.000004', { when: { time } });
    const flat = price('input_uncached', '0.000003', { valid_from: '2026-06-01T00:00:00.000Z' });
    expect(rate([...plainPrices(), peak, flat]).total_usd).toBe('0.004'); // 1000 x 3 + 100 x 10
    const again = price('input_uncached', '0.000005', { when: { time }, price_id: 'again' });
    expect(refusal(book([...plainPrices(), peak, again]))).toContain('for the same conditions');
  });
});

describe('a fee a request', () => {
  const fee = price('requests', '0.005', { per_request: true });

  it('is owed whether or not the usage counts requests, once', () => {
    expect(rate([...plainPrices(), fee]).total_usd).toBe('0.008'); // 0.003 + 0.005
    expect(rate([...plainPrices(), fee], { units: { requests: '1' } }).total_usd).toBe('0.008');
    expect(rate([...plainPrices(), fee], { units: { requests: '3' } }).total_usd).toBe('0.018'); // 0.003 + 3 x 0.005
    expect(rate([...plainPrices(), fee]).charges.map((c) => [c.meter, c.quantity])).toEqual([
      ['input_uncached', '1000'],
      ['output_text', '100'],
      ['requests', '1'],
    ]);
  });

  it('stands in the fixed order of the meters, before what comes after it', () => {
    const search = price('web_search_requests', '0.01');
    const meters = rate([...plainPrices(), fee, search], { units: { web_search_requests: '1' } });
    expect(meters.charges.map((c) => c.meter)).toEqual([
      'input_uncached',
      'output_text',
      'requests',
      'web_search_requests',
    ]);
  });

  it('is owed once for a reply of several parts', () => {
    const part = { model: 'model-a', classes: { input_uncached: '1000' }, units: {} };
    expect(rate([...plainPrices(), fee], { parts: [part, { ...part }] }).total_usd).toBe('0.009'); // 2 x 0.002 + 0.005
  });

  it('is not owed where the price of a request is of stated requests only', () => {
    const stated = price('requests', '0.005');
    expect(rate([...plainPrices(), stated]).total_usd).toBe('0.003');
    expect(rate([...plainPrices(), stated], { units: { requests: '1' } }).total_usd).toBe('0.008');
  });

  it('can be of requests only', () => {
    const wrong = price('images', '0.005', { per_request: true });
    expect(refusal(book([...plainPrices(), wrong]))).toContain(
      'only a price of the meter requests',
    );
  });
});

describe('claims', () => {
  const claim = (unitPrice: string, rest: Partial<Price> = {}) =>
    price('input_uncached', unitPrice, {
      claim: 'did it fall?',
      valid_from: '2026-06-01T00:00:00.000Z',
      price_id: `claim ${unitPrice}`,
      ...rest,
    });
  const disputed = [...plainPrices(), claim('0.000001'), claim('0.000002')];

  it('price nothing: the disputed span is unrated, the span before it is not', () => {
    expect(rate(disputed)).toMatchObject({ outcome: 'unrated', unrated_reason: 'unknown_price' });
    expect(rate(disputed).unrated_detail).toContain('none of the claims is approved: did it fall?');
    expect(rate(disputed, { event_ts: '2026-05-31T23:59:59.999Z' }).total_usd).toBe('0.003');
    expect(rate(disputed, { classes: { output_text: '100' } }).total_usd).toBe('0.001');
  });

  it('end when a version states the price again without a claim; what was known then stays', () => {
    const known = '2026-12-01T00:00:00.000Z';
    const settled = claim('0.000001', { known_from: known, price_id: 'settled' });
    const { claim: _, ...agreed } = settled;
    const books = createPriceBooks([
      book(disputed),
      book([agreed], { version: 2, known_from: known }),
    ]);
    expect(rateUsage(usageEvent(), books, { knownAt: known }).total_usd).toBe('0.002'); // 1000 x 1 + 100 x 10
    expect(rateUsage(usageEvent(), books, { knownAt: KNOWN }).outcome).toBe('unrated');
  });

  it('go before an undisputed price of the same band, and never stand alone', () => {
    const plain = price('input_uncached', '0.000005', { valid_from: '2026-06-01T00:00:00.000Z' });
    for (const prices of [
      [...disputed, plain],
      [plain, ...disputed],
    ]) {
      expect(rate(prices).outcome).toBe('unrated');
    }
    expect(refusal(book([...plainPrices(), claim('0.000001')]))).toContain('stands alone');
    const other = claim('0.000003', { when: { context: { operator: '>', input_tokens: 5 } } });
    expect(refusal(book([...plainPrices(), claim('0.000001'), other]))).toContain('stands alone');
  });
});

describe('an announced price', () => {
  it('waits for a version of its own book, not of whatever book is published next', () => {
    const rise = price('input_uncached', '0.000004', { valid_from: '2026-12-01T00:00:00.000Z' });
    const later = '2026-12-02T00:00:00.000Z';
    const other = book([], { provider: 'other-ai', known_from: later });
    const event = usageEvent({ event_ts: '2026-12-05T00:00:00.000Z' });
    const alone = createPriceBooks([book([...plainPrices(), rise]), other]);
    expect(rateUsage(event, alone, { knownAt: later }).total_usd).toBe('0.003');
    const approved = createPriceBooks([
      book([...plainPrices(), rise]),
      book([], { version: 2, known_from: later }),
    ]);
    expect(rateUsage(event, approved, { knownAt: later }).total_usd).toBe('0.005'); // 1000 x 4 + 100 x 10
  });
});

describe('row 52 · decimal extremes', () => {
  const cheap = price('input_uncached', '0.000000000001');
  const of = (quantity: string) =>
    rate([cheap, price('output_text', '0.00001')], { classes: { input_uncached: quantity } });

  it.each([
    ['0', '0'],
    ['1', '0.000000000001'], // 1 x 1e-12
    ['0.000001', '0.000000000000000001'], // 1e-6 x 1e-12: the smallest amount there is
    ['99999999999999999999999999999999', '99999999999999999999.999999999999'], // 32 digits x 1e-12
    ['99999999999999999999999999999999.999999', '99999999999999999999.999999999999999999'], // all 38
  ])('row 52 · %s tokens at 1e-12 are exactly %s', (quantity, amount) => {
    expect(of(quantity).total_usd).toBe(amount);
  });

  it('row 52 · what needs a 39th digit, in one charge or in the sum, is refused and never wrapped', () => {
    const huge = { input_uncached: '99999999999999999999999999999999' };
    expect(rate(plainPrices(), { classes: huge })).toMatchObject({ unrated_reason: 'precision' });
    const full = '99999999999999999999999999999999.999999';
    const prices = [cheap, price('output_text', '0.000000000001')];
    const sum = rate(prices, { classes: { input_uncached: full, output_text: full } });
    expect(sum).toMatchObject({ outcome: 'unrated', unrated_reason: 'precision', charges: [] });
    expect(sum.unrated_detail).toContain('the total');
  });
});
