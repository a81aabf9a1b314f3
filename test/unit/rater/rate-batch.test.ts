import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../schemas/envelope.ts';
import { rateBatch } from '../../../services/rater/core/rate-batch.ts';
import { book, KNOWN, plainPrices, usageEvent } from '../pricing/pricing-fixtures.ts';

const books = createPriceBooks([book(plainPrices())]);

describe('a batch', () => {
  it('gives one entry an event, in order, priced or not', () => {
    const batch = rateBatch(
      [
        usageEvent(),
        usageEvent({ model: 'nobody' }),
        usageEvent({ ending: 'pending' }),
        usageEvent({ model: 'other' }),
      ],
      books,
      KNOWN,
    );
    expect(batch.envelopes.map(({ rated }) => rated.unrated_reason ?? rated.total_usd)).toEqual([
      '0.003', // 1000 x 2 / 1e6 + 100 x 10 / 1e6
      'unknown_model',
      'pending',
      'unknown_model',
    ]);
    expect(batch.rated).toBe(1);
    expect(batch.unrated).toEqual(
      new Map([
        ['unknown_model', 2],
        ['pending', 1],
      ]),
    );
  });

  it('is keyed by tenant and identified by the entry, so that a replay is recognised', () => {
    const [first] = rateBatch([usageEvent()], books, KNOWN).envelopes;
    const [again] = rateBatch([usageEvent()], books, KNOWN).envelopes;
    expect(first?.key).toBe('acme');
    expect(first?.outer).toEqual({
      id: '0193a5b2-7c1d-7003-8a4f-1b2c3d4e5f60/1/charge',
      source: '/rater',
      subject: 'acme',
      time: '2026-11-21T12:00:00.000Z',
    });
    if (!first || !again) throw new Error('no envelope');
    const bytes = encodeEnvelope('ratedUsage', first.outer, first.rated);
    expect(encodeEnvelope('ratedUsage', again.outer, again.rated)).toEqual(bytes);
    expect(decodeEnvelope('ratedUsage', bytes).ok).toBe(true);
  });
});
