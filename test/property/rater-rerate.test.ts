import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addAmounts, negateAmount } from '../../pricing/money.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import { type RatedUsage, RatedUsageSchema } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { addDifferences, type RatedEvent, rerate } from '../../services/rater/core/rerate.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from '../unit/pricing/pricing-fixtures.ts';

const LATER = '2026-12-01T00:00:00.000Z';
const corrected = book(
  [
    price('input_uncached', '0.000003', { known_from: LATER }),
    price('cache_write_5m', '0.0000025', { known_from: LATER }),
  ],
  { version: 2, known_from: LATER },
);
const first = createPriceBooks([book(plainPrices())]);
const both = createPriceBooks([book(plainPrices()), corrected]);
const samePeriod = (period: string): string => period;
const options = { knownAt: LATER, postingPeriodOf: samePeriod };

const quantity = fc.nat({ max: 1_000_000 }).map(String);
const event: fc.Arbitrary<UsageEvent> = fc
  .record({
    tenant: fc.constantFrom('acme', 'globex', 'initech'),
    model: fc.constantFrom('model-a', 'nobody-knows'),
    classes: fc.oneof(
      fc.record({ input_uncached: quantity, output_text: quantity }),
      fc.record({ cache_write_5m: quantity, output_text: quantity }),
      fc.record({ cache_read: quantity }),
    ),
    id: fc.uuid({ version: 7 }),
  })
  .map(({ tenant, model, classes, id }) =>
    usageEvent({ event_id: id, model, classes, dimensions: { tenant } }),
  );
const events = fc.uniqueArray(event, { maxLength: 30, selector: ({ event_id }) => event_id });

const asRated = (list: readonly UsageEvent[], entries: readonly RatedUsage[] = []): RatedEvent[] =>
  list.map((one) => ({
    event: one,
    entries: [
      rateUsage(one, first, { knownAt: KNOWN }),
      ...entries.filter(({ event_id }) => event_id === one.event_id),
    ],
  }));
const sum = (entries: readonly RatedUsage[]): string =>
  addAmounts(entries.map(({ total_usd: total }) => total ?? '0'));

describe('re-rating', () => {
  it('to the same book changes nothing', () => {
    fc.assert(
      fc.property(events, (list) => {
        const result = rerate(asRated(list), first, { ...options, knownAt: KNOWN });
        expect(result).toEqual({ entries: [], differences: [], unchanged: list.length });
      }),
    );
  });

  it('old + reversal + new = new, line by line and in total', () => {
    fc.assert(
      fc.property(events, (list) => {
        const old = list.map((one) => rateUsage(one, first, { knownAt: KNOWN }));
        const fresh = list.map((one) => rateUsage(one, both, { knownAt: LATER }));
        const { entries } = rerate(asRated(list), both, options);
        expect(sum([...old, ...entries])).toBe(sum(fresh));
        for (const entry of entries)
          expect(RatedUsageSchema.safeParse(entry).error).toBeUndefined();
      }),
    );
  });

  it('states the exact difference: the sum over tenants and causes is new minus old', () => {
    fc.assert(
      fc.property(events, (list) => {
        const old = list.map((one) => rateUsage(one, first, { knownAt: KNOWN }));
        const fresh = list.map((one) => rateUsage(one, both, { knownAt: LATER }));
        const { differences, entries, unchanged } = rerate(asRated(list), both, options);
        expect(addAmounts(differences.map((row) => row.difference_usd))).toBe(
          addAmounts([sum(fresh), negateAmount(sum(old))]),
        );
        expect(sum(entries)).toBe(addAmounts(differences.map((row) => row.difference_usd)));
        expect(differences.reduce((count, row) => count + row.events, unchanged)).toBe(list.length);
      }),
    );
  });

  it('is idempotent: once applied it finds nothing more, and broken off it makes the same entries again', () => {
    fc.assert(
      fc.property(events, fc.nat({ max: 60 }), (list, kept) => {
        const { entries } = rerate(asRated(list), both, options);
        expect(rerate(asRated(list, entries), both, options).entries).toEqual([]);
        const partly = entries.slice(0, kept);
        const again = rerate(asRated(list, partly), both, options).entries;
        const all = new Map([...partly, ...again].map((entry) => [entry.entry_id, entry]));
        expect([...all.values()].map(({ entry_id }) => entry_id).sort()).toEqual(
          entries.map(({ entry_id }) => entry_id).sort(),
        );
        for (const entry of entries) expect(all.get(entry.entry_id)).toEqual(entry);
      }),
    );
  });

  it('pages add up to the whole, however it is cut', () => {
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 7 }), (list, size) => {
        const rated = asRated(list);
        const pages = Array.from({ length: Math.ceil(list.length / size) }, (_, page) =>
          rerate(rated.slice(page * size, (page + 1) * size), both, options),
        );
        const whole = rerate(rated, both, options);
        expect(addDifferences(pages.flatMap(({ differences }) => differences))).toEqual(
          whole.differences,
        );
        expect(pages.flatMap(({ entries }) => entries)).toEqual(whole.entries);
      }),
    );
  });

  it('does not take another spelling of a number for a change', () => {
    fc.assert(
      fc.property(events, (list) => {
        const spelt = asRated(list).map(({ event: one, entries }) => ({
          event: one,
          entries: entries.map((entry) => ({
            ...entry,
            charges: entry.charges.map((line) => ({
              ...line,
              quantity: `${line.quantity}.000`,
              unit_price: `${line.unit_price}0`,
            })),
          })),
        }));
        const result = rerate(spelt, first, { ...options, knownAt: KNOWN });
        expect(result.unchanged).toBe(list.length);
      }),
    );
  });

  it('does not depend on the order of the events', () => {
    fc.assert(
      fc.property(events, (list) => {
        const forward = rerate(asRated(list), both, options);
        const backward = rerate(asRated([...list].reverse()), both, options);
        expect(backward.differences).toEqual(forward.differences);
        expect(new Set(backward.entries.map((e) => JSON.stringify(e)))).toEqual(
          new Set(forward.entries.map((e) => JSON.stringify(e))),
        );
      }),
    );
  });
});
