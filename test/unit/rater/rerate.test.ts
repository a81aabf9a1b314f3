import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { rerate } from '../../../services/rater/core/rerate.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from '../pricing/pricing-fixtures.ts';

const LATER = '2026-12-01T00:00:00.000Z';
const correction = book([price('input_uncached', '0.000003', { known_from: LATER })], {
  version: 2,
  known_from: LATER,
});
const first = createPriceBooks([book(plainPrices())]);
const both = createPriceBooks([book(plainPrices()), correction]);
const event = usageEvent();
const old = rateUsage(event, first, { knownAt: KNOWN });
const open = { knownAt: LATER, postingPeriodOf: (period: string) => period };

describe('row 51 · a retroactive version of a book', () => {
  it('row 51 · rates with the version that was known, and re-rating gives the exact difference', () => {
    expect(old.total_usd).toBe('0.003'); // 1000 x 2 + 100 x 10 micro-dollars
    expect(rateUsage(event, both, { knownAt: KNOWN })).toEqual(old);
    const result = rerate([{ event, entries: [old] }], both, open);
    expect(result.differences).toEqual([
      {
        tenant: 'acme',
        cause: 'price',
        events: 1,
        before_usd: '0.003',
        after_usd: '0.004', // 1000 x 3 + 100 x 10
        difference_usd: '0.001',
      },
    ]);
    expect(
      result.entries.map(({ entry_id, total_usd, book: name }) => [entry_id, total_usd, name]),
    ).toEqual([
      [`${event.event_id}/1/reversal`, '-0.003', 'acme-ai@1'],
      [`${event.event_id}/2/charge`, '0.004', 'acme-ai@2'],
    ]);
    expect(result.entries[0]?.charges.map((c) => [c.quantity, c.unit_price, c.amount_usd])).toEqual(
      [
        ['-1000', '0.000002', '-0.002'],
        ['-100', '0.00001', '-0.001'],
      ],
    );
  });

  it('posts into the open period and names both', () => {
    const closed = { ...open, postingPeriodOf: () => '2026-12' };
    const { entries } = rerate([{ event, entries: [old] }], both, closed);
    expect(entries.map(({ period, posting_period: posted }) => [period, posted])).toEqual([
      ['2026-11', '2026-12'],
      ['2026-11', '2026-12'],
    ]);
  });

  it('continues from the newest revision, whatever order the entries come in', () => {
    const once = rerate([{ event, entries: [old] }], both, open).entries;
    const back = rerate([{ event, entries: [...once].reverse().concat(old) }], first, {
      ...open,
      knownAt: KNOWN,
    });
    expect(back.entries.map(({ entry_id }) => entry_id)).toEqual([
      `${event.event_id}/2/reversal`,
      `${event.event_id}/3/charge`,
    ]);
    expect(back.differences[0]?.difference_usd).toBe('-0.001');
  });

  it('says apart what becomes rated and what becomes unrated', () => {
    const unknown = usageEvent({ classes: { cache_write_5m: '1000' } });
    const unrated = rateUsage(unknown, first, { knownAt: KNOWN });
    const priced = createPriceBooks([
      book(plainPrices()),
      book([price('cache_write_5m', '0.0000025', { known_from: LATER })], {
        version: 2,
        known_from: LATER,
      }),
    ]);
    const result = rerate([{ event: unknown, entries: [unrated] }], priced, open);
    expect(result.differences).toMatchObject([{ cause: 'newly_rated', difference_usd: '0.0025' }]); // 1000 x 2.5
    const reversed = rerate([{ event: unknown, entries: result.entries }], first, {
      ...open,
      knownAt: KNOWN,
    });
    expect(reversed.differences).toMatchObject([
      { cause: 'newly_unrated', difference_usd: '-0.0025' },
    ]);
  });

  it('rates an event that has no entry yet as the first revision', () => {
    expect(rerate([{ event, entries: [] }], first, { ...open, knownAt: KNOWN })).toEqual({
      entries: [old],
      differences: [],
      unchanged: 0,
    });
  });
});
