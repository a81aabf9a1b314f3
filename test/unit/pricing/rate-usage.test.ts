import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { RatedUsageSchema } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

const half = plainPrices({ when: { tier: ['batch'] } }).map((p) => ({
  ...p,
  unit_price:
    ({ '0.000002': '0.000001', '0.0000002': '0.0000001' } as Record<string, string>)[
      p.unit_price
    ] ?? '0.000005',
}));
const cliff = price('input_uncached', '0.000004', {
  when: { context: { operator: '>', input_tokens: 200_000 } },
});
const second = plainPrices({ model: 'model-b' }).map((p) => ({ ...p, unit_price: '0.00000001' }));
const books = createPriceBooks([
  book([...plainPrices(), cliff, ...half, ...second, price('web_search_requests', '0.01')], {
    aliases: [{ alias: 'model-a-latest', model: 'model-a', source: 'https://example.test' }],
  }),
]);

const rate = (rest: Partial<UsageEvent> = {}) => {
  const rated = rateUsage(usageEvent(rest), books, { knownAt: KNOWN });
  expect(RatedUsageSchema.safeParse(rated).error).toBeUndefined();
  return rated;
};

describe('a tier whose list says nothing of long requests', () => {
  it('does not price them as short ones where the model costs otherwise at that length', () => {
    const at = (tokens: string) => rate({ tier: 'batch', classes: { input_uncached: tokens } });
    expect(at('200000')).toMatchObject({ outcome: 'rated', total_usd: '0.2' }); // 200,000 x 1 / 1e6
    expect(at('200001')).toMatchObject({ outcome: 'unrated', unrated_reason: 'unknown_price' });
  });
});

describe('a charge', () => {
  it('is quantity times price, one line a meter, in a fixed order', () => {
    const rated = rate({
      classes: {
        output_text: '100',
        output_reasoning: '50',
        cache_read: '3000',
        input_uncached: '1000',
      },
      units: { web_search_requests: '2' },
    });
    expect(rated.charges.map((c) => [c.meter, c.quantity, c.unit_price, c.amount_usd])).toEqual([
      ['input_uncached', '1000', '0.000002', '0.002'], // 1000 x 2 / 1e6
      ['cache_read', '3000', '0.0000002', '0.0006'], // 3000 x 0.2 / 1e6
      ['output_text', '100', '0.00001', '0.001'], // 100 x 10 / 1e6
      ['output_reasoning', '50', '0.00001', '0.0005'], // 50 x 10 / 1e6
      ['web_search_requests', '2', '0.01', '0.02'], // 2 x 10 / 1e3
    ]);
    expect(rated.total_usd).toBe('0.0241'); // 0.002 + 0.0006 + 0.001 + 0.0005 + 0.02
    expect(rated).toMatchObject({
      entry_id: `${rated.event_id}/1/charge`,
      revision: 1,
      kind: 'charge',
      outcome: 'rated',
      book: 'acme-ai@1',
      period: '2026-11',
      posting_period: '2026-11',
    });
  });

  it('is not written for a quantity of zero', () => {
    const rated = rate({ classes: { input_uncached: '0', cache_write_1h: '0', output_text: '1' } });
    expect(rated.charges.map((c) => c.meter)).toEqual(['output_text']);
    expect(rated.total_usd).toBe('0.00001');
  });

  it('is named after the model as stated, priced through the alias', () => {
    const rated = rate({ model: 'model-a-latest' });
    expect(rated.charges[0]?.model).toBe('model-a-latest');
    expect(rated.total_usd).toBe('0.003'); // 1000 x 2 / 1e6 + 100 x 10 / 1e6
  });

  it('is the same on a key the customer brought', () => {
    expect(rate({ byo_key: true }).total_usd).toBe('0.003');
  });
});

describe('what decides the price', () => {
  it('the tier of the reply, not the one requested', () => {
    expect(rate({ tier: 'standard', requested_tier: 'batch' })).toMatchObject({
      total_usd: '0.003',
    });
    expect(rate({ tier: 'batch', requested_tier: 'standard' }).total_usd).toBe('0.0015'); // half
  });

  it('model and tier of the request where the reply is silent, which is said', () => {
    const { model: _, tier: __, ...silent } = usageEvent({ requested_tier: 'batch' });
    const rated = rateUsage(silent, books, { knownAt: KNOWN });
    expect(rated).toMatchObject({
      model: 'model-a',
      tier: 'batch',
      assumed: ['model', 'tier'],
      total_usd: '0.0015',
    });
  });

  it('total input, cached included: the whole input is repriced beyond the cliff', () => {
    const classes = { input_uncached: '1000', cache_read: '199000', output_text: '100' };
    // at the edge: 1000 x 2 / 1e6 + 199000 x 0.2 / 1e6 + 100 x 10 / 1e6 = 0.002 + 0.0398 + 0.001
    expect(rate({ classes }).total_usd).toBe('0.0428');
    // one token more: 1000 x 4 / 1e6 + 199001 x 0.2 / 1e6 + 0.001 = 0.004 + 0.0398002 + 0.001
    expect(rate({ classes: { ...classes, cache_read: '199001' } }).total_usd).toBe('0.0448002');
  });

  it('the completion time of background work, for price and period', () => {
    const rated = rate({ provider_completed_at: '2026-12-01T00:00:00.000Z' });
    expect(rated.period).toBe('2026-12');
    expect(rate({ provider_completed_at: '2025-12-31T00:00:00.000Z' }).unrated_reason).toBe(
      'unknown_price',
    );
  });

  it('each part at its own model and its own context; the top level is then ignored', () => {
    const rated = rate({
      classes: { input_uncached: '999999' },
      parts: [
        { model: 'model-a', classes: { input_uncached: '150000' }, units: {} },
        { model: 'model-b', classes: { input_uncached: '150000', output_text: '10' }, units: {} },
      ],
    });
    expect(rated.charges.map((c) => [c.model, c.meter, c.amount_usd])).toEqual([
      ['model-a', 'input_uncached', '0.3'], // 150000 x 2 / 1e6: neither part is beyond the cliff
      ['model-b', 'input_uncached', '0.0015'], // 150000 x 0.01 / 1e6
      ['model-b', 'output_text', '0.0000001'], // 10 x 0.01 / 1e6
    ]);
    expect(rated.total_usd).toBe('0.3015001');
  });
});

describe('an event that cannot be priced', () => {
  it.each<[string, Partial<UsageEvent>, string, string]>([
    [
      'names an unknown model',
      { model: 'model-a-2026-01-01' },
      'unknown_model',
      'model-a-2026-01-01',
    ],
    [
      'is of a provider without a book',
      { provider: 'elsewhere' },
      'unknown_model',
      'no price book of elsewhere',
    ],
    [
      'has a meter without a price',
      { classes: { cache_write_12h: '5', input_uncached: '1' } },
      'unknown_price',
      'cache_write_12h',
    ],
    ['was served in a tier without a price', { tier: 'turbo' }, 'unknown_price', 'tier turbo'],
    ['was served in a geography without a price', { geo: 'moon' }, 'unknown_price', 'geo moon'],
    [
      'has one part of an unknown model',
      { parts: [{ model: 'other', classes: {}, units: {} }] },
      'unknown_model',
      'other',
    ],
    ['is pending', { ending: 'pending' }, 'pending', 'not stated'],
    ['ended unknown', { ending: 'unknown' }, 'unknown_usage', 'no usage'],
    ['states no quantity at all', { classes: {}, units: {} }, 'unknown_usage', 'no quantity'],
    [
      'needs more than 38 digits',
      { classes: { input_uncached: '99999999999999999999999999999999' } },
      'precision',
      '38 digits',
    ],
  ])('when it %s, is unrated as a whole and never zero', (_, rest, reason, detail) => {
    const rated = rate(rest);
    expect(rated).toMatchObject({ outcome: 'unrated', unrated_reason: reason, charges: [] });
    expect(rated.unrated_detail).toContain(detail);
    expect(rated.total_usd).toBeUndefined();
  });

  it('is rated once the book knows the price', () => {
    const later = '2026-12-01T00:00:00.000Z';
    const fuller = createPriceBooks([
      book(plainPrices()),
      book([price('cache_write_12h', '0.000003', { known_from: later })], {
        version: 2,
        known_from: later,
      }),
    ]);
    const event = usageEvent({ classes: { cache_write_12h: '1000' } });
    expect(rateUsage(event, fuller, { knownAt: KNOWN }).unrated_reason).toBe('unknown_price');
    // 1000 x 3 / 1e6
    expect(rateUsage(event, fuller, { knownAt: later })).toMatchObject({
      total_usd: '0.003',
      book: 'acme-ai@2',
    });
  });
});

describe('endings', () => {
  it('charge nothing for what was not billed, even of an unknown model', () => {
    const rated = rate({ ending: 'not_billed', model: 'nobody-knows', classes: {} });
    expect(rated).toMatchObject({ outcome: 'rated', total_usd: '0', charges: [] });
  });

  it.each(['reported', 'drained', 'partial', 'estimated'] as const)(
    'price %s usage alike',
    (ending) => {
      expect(rate({ ending }).total_usd).toBe('0.003');
    },
  );

  it('keep a stated zero apart from what is not stated', () => {
    expect(rate({ classes: { input_uncached: '0' } })).toMatchObject({
      outcome: 'rated',
      total_usd: '0',
    });
  });
});
