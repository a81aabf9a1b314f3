import { describe, expect, it } from 'vitest';
import { activePrices, groupBy, setKey } from '../../../pricing/active-prices.ts';
import { checkBooks, SOON_DAYS } from '../../../pricing/book-findings.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import { book, KNOWN, plainPrices, price } from './pricing-fixtures.ts';

const LATER = '2026-11-20T00:00:00.000Z';
const check = (versions: readonly PriceBook[], now: string, rest = {}) =>
  checkBooks(versions, { now, staleAfterDays: 30, soonDays: SOON_DAYS, ...rest });

describe('what of a book somebody has to look at', () => {
  it('is nothing where there is no book, and nothing where all is well', () => {
    expect(check([], KNOWN)).toEqual([]);
    expect(check([book(plainPrices())], KNOWN)).toEqual([]);
  });

  it('is a comparison longer ago than allowed: whole days since the newest of its prices was read', () => {
    const read = [price('input_uncached', '0.1', { retrieved_at: '2026-10-01' }), ...plainPrices()];
    // Read on 2026-11-01: thirty whole days have gone by until the last moment before December 2.
    expect(check([book(read)], '2026-12-01T23:59:59.999Z')).toEqual([]);
    expect(check([book(read)], '2026-12-02T00:00:00.000Z')).toEqual([
      {
        provider: 'acme-ai',
        finding: 'stale',
        what: 'last compared with its sources on 2026-11-01; run prices import',
      },
    ]);
  });

  it('is a book without a price: it was compared on no day', () => {
    expect(check([book([])], KNOWN)).toEqual([
      {
        provider: 'acme-ai',
        finding: 'stale',
        what: 'last compared with its sources on no day; run prices import',
      },
    ]);
  });

  it('is a price that ends within the days and has none after it', () => {
    const now = '2026-11-06T00:00:00.000Z';
    const ending = (validTo: string) => check([book(plainPrices({ valid_to: validTo }))], now);
    const soon = [
      {
        provider: 'acme-ai',
        finding: 'ends_soon',
        what: 'prices that end within 45 days and have none after them: model-a',
      },
    ];
    // 45 days from November 6 are over on December 21; less than a whole day more still counts as 45.
    expect(ending('2026-12-21T00:00:00.000Z')).toEqual(soon);
    expect(ending('2026-12-21T23:59:59.999Z')).toEqual(soon);
    expect(ending('2026-12-22T00:00:00.000Z')).toEqual([]);
    // What has ended ends no more.
    expect(ending(now)).toEqual([]);
    expect(ending('2026-11-05T00:00:00.000Z')).toEqual([]);
    expect(ending('2026-11-06T00:00:00.001Z')).toEqual(soon);
  });

  it('needs a successor of the same model and meter from the same moment on', () => {
    const end = '2026-11-20T00:00:00.000Z';
    const endsSoon = (next: Parameters<typeof price>) =>
      check(
        [book([price('output_text', '0.00001', { valid_to: end }), price(...next)])],
        '2026-11-06T00:00:00.000Z',
      ).map(({ finding }) => finding);
    expect(endsSoon(['output_text', '0.00002', { valid_from: end }])).toEqual([]);
    expect(endsSoon(['cache_read', '0.00002', { valid_from: end }])).toEqual(['ends_soon']);
    expect(endsSoon(['output_text', '0.00002', { valid_from: end, model: 'model-b' }])).toEqual([
      'ends_soon',
    ]);
    expect(
      endsSoon(['output_text', '0.00002', { valid_from: '2026-11-20T00:00:00.001Z' }]),
    ).toEqual(['ends_soon']);
  });

  it('is an announced price on its day, until a version is known that late', () => {
    const rise = price('input_uncached', '0.000004', { valid_from: '2026-11-10T00:00:00.000Z' });
    const announced = book([...plainPrices(), rise]);
    expect(check([announced], '2026-11-09T23:59:59.999Z')).toEqual([]);
    expect(check([announced], '2026-11-10T12:00:00.000Z')).toEqual([
      {
        provider: 'acme-ai',
        finding: 'announced_due',
        what: 'announced prices whose day has come by 2026-11-10; approve a version to let them in: model-a',
      },
    ]);
    // Known in the very moment in which it begins it is not announced any more; versions may be given in any order.
    const confirmed = book([], { version: 2, known_from: '2026-11-10T00:00:00.000Z' });
    expect(check([confirmed, announced], '2026-11-10T12:00:00.000Z')).toEqual([]);
  });

  it('is an open conflict; five models are named in their order, and the rest counted', () => {
    const claims = (models: readonly string[]) =>
      check(
        [book(models.map((model) => price('images', '0.04', { model, claim: 'which?' })))],
        KNOWN,
      ).map(({ finding, what }) => `${finding} ${what}`);
    const text = 'open_conflict sources contradict each other and usage is unrated';
    expect(claims(['e', 'd', 'c', 'b', 'a', 'a'])).toEqual([`${text}: a, b, c, d, e`]);
    expect(claims(['f', 'e', 'd', 'c', 'b', 'a'])).toEqual([`${text}: a, b, c, d, e and 1 more`]);
  });

  it('is told in this order: stale, ending, announced, in conflict', () => {
    const prices = [
      price('images', '0.04', { valid_to: '2027-01-01T00:00:00.000Z' }),
      price('images', '0.05', { model: 'model-b', valid_from: '2026-11-10T00:00:00.000Z' }),
      price('images', '0.06', { model: 'model-c', claim: 'which?' }),
    ];
    expect(check([book(prices)], '2026-12-20T00:00:00.000Z').map(({ finding }) => finding)).toEqual(
      ['stale', 'ends_soon', 'announced_due', 'open_conflict'],
    );
  });
});

describe('what the published versions say together', () => {
  it('is of every set of bands the one of the highest version, in whatever order they are given', () => {
    const first = book([price('input_uncached', '0.000002'), price('output_text', '0.00001')]);
    const second = book([price('input_uncached', '0.000003', { known_from: LATER })], {
      version: 2,
      known_from: LATER,
    });
    const said = (versions: readonly PriceBook[]) =>
      activePrices(versions).map(({ meter, unit_price: usd }) => `${meter} ${usd}`);
    const both = ['input_uncached 0.000003', 'output_text 0.00001'];
    expect(said([first, second])).toEqual(both);
    expect(said([second, first])).toEqual(both);
    expect(said([first])).toEqual(['input_uncached 0.000002', 'output_text 0.00001']);
    expect(said([])).toEqual([]);
  });

  it('replaces all bands of a set together: a later version with one band leaves nothing of two', () => {
    const long = { context: { operator: '>' as const, input_tokens: 200_000 } };
    const bands = book([
      price('input_uncached', '0.000002'),
      price('input_uncached', '0.000004', { when: long }),
    ]);
    const flat = book([price('input_uncached', '0.000003')], { version: 2, known_from: LATER });
    expect(activePrices([bands]).map((one) => one.unit_price)).toEqual(['0.000002', '0.000004']);
    expect(activePrices([bands, flat]).map((one) => one.unit_price)).toEqual(['0.000003']);
  });

  it('tells sets apart by model, meter, tier, geography and first instant, and by nothing else', () => {
    const key = (rest: Parameters<typeof price>[2], meter = 'input_uncached') =>
      setKey(price(meter, '0.000002', rest));
    const plain = key({});
    expect(plain).toBe('["model-a","input_uncached",[],[],"2026-01-01T00:00:00.000Z"]');
    expect(key({ when: { tier: ['batch'], geo: ['us'] } })).toBe(
      '["model-a","input_uncached",["batch"],["us"],"2026-01-01T00:00:00.000Z"]',
    );
    expect(key({}, 'output_text')).not.toBe(plain);
    expect(key({ model: 'model-b' })).not.toBe(plain);
    expect(key({ valid_from: LATER })).not.toBe(plain);
    expect(key({ valid_to: LATER, known_from: LATER, retrieved_at: '2026-11-02' })).toBe(plain);
    expect(key({ when: { context: { operator: '>', input_tokens: 1 } } })).toBe(plain);
  });

  it('groups keep the order of what is in them, and of the first of each', () => {
    expect([...groupBy(['b1', 'a1', 'b2', 'a2', 'b3'], (text) => text.slice(0, 1))]).toEqual([
      ['b', ['b1', 'b2', 'b3']],
      ['a', ['a1', 'a2']],
    ]);
    expect([...groupBy([], String)]).toEqual([]);
  });
});
