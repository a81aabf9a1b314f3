import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { ENDINGS } from '../../schemas/words.ts';
import { rateBatch } from '../../services/rater/core/rate-batch.ts';
import { book, KNOWN, plainPrices, usageEvent } from '../unit/pricing/pricing-fixtures.ts';

const books = createPriceBooks([book(plainPrices())]);

const events = fc.array(
  fc
    .record({
      event_id: fc.uuid({ version: 7 }),
      ending: fc.constantFrom(...ENDINGS),
      model: fc.constantFrom('model-a', 'model-z'),
      classes: fc.dictionary(
        fc.constantFrom('input_uncached', 'cache_read', 'cache_write_1h'),
        fc.nat({ max: 1000 }).map(String),
      ),
    })
    .map((rest) => usageEvent(rest)),
  { maxLength: 40 },
);

describe('a batch of any events', () => {
  it('leaves none out: events = rated + unrated', () => {
    fc.assert(
      fc.property(events, (batch) => {
        const result = rateBatch(batch, books, KNOWN);
        const unrated = [...result.unrated.values()].reduce((sum, count) => sum + count, 0);
        expect(result.rated + unrated).toBe(batch.length);
        expect(result.envelopes.map(({ rated }) => rated.event_id)).toEqual(
          batch.map((e) => e.event_id),
        );
      }),
    );
  });

  it('rates each event alike however the log is cut, repeated or reordered', () => {
    fc.assert(
      fc.property(events, fc.nat(), (batch, at) => {
        const cut = batch.length === 0 ? 0 : at % batch.length;
        const byId = (list: ReturnType<typeof rateBatch>['envelopes']) =>
          new Map(list.map(({ outer, rated }) => [outer.id, JSON.stringify(rated)]));
        const whole = byId(rateBatch(batch, books, KNOWN).envelopes);
        const pieces = [batch.slice(cut), batch.slice(0, cut), batch].flatMap(
          (piece) => rateBatch(piece, books, KNOWN).envelopes,
        );
        expect(byId(pieces)).toEqual(whole);
      }),
    );
  });
});
