import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { priceAgain } from '../../services/rater/core/price-again.ts';
import { rerate } from '../../services/rater/core/rerate.ts';
import { readLeanPage } from '../../services/rater/lean-page.ts';
import { planPages } from '../../services/rater/rerate-pages.ts';
import { readRatedEvents } from '../../services/rater/standing-entries.ts';
import { book, plainPrices, price } from '../unit/pricing/pricing-fixtures.ts';
import { uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { call, startRerateHouse } from './rerate-rig.ts';

const warehouse = await openTestWarehouse();
const LATER = '2026-12-01T00:00:00.000Z';
const first = book([
  ...plainPrices(),
  price('output_text', '0.00002', { when: { tier: ['batch'] } }),
  price('input_uncached', '0.000001', { when: { tier: ['batch'] } }),
  price('web_search_requests', '0.01'),
]);
const second = book(
  [
    price('output_text', '0.000011', { known_from: LATER }),
    price('input_uncached', '0.000001', { model: 'model-b', known_from: LATER }),
    price('output_text', '0.000004', { model: 'model-b', known_from: LATER }),
    price('input_uncached', '0.000001', { model: 'model-c', known_from: LATER }),
    price('output_text', '0.000004', { model: 'model-c', known_from: LATER }),
  ],
  {
    version: 2,
    known_from: LATER,
    pass_through: [
      {
        models: ['model-c'],
        valid_from: '2026-01-01T00:00:00.000Z',
        source: 'https://example.test/prices',
        retrieved_at: '2026-11-01',
      },
    ],
  },
);
const live = createPriceBooks([first]);
const books = createPriceBooks([first, second]);

const quantity = fc.constantFrom('0', '1', '0.50', '1000', '12345.678900');
const model = fc.constantFrom('model-a', 'model-b', 'model-c');
const classes = fc.dictionary(
  fc.constantFrom('input_uncached', 'cache_read', 'output_text'),
  quantity,
  { maxKeys: 3 },
);
/** All that pricing looks at, stated and left out. */
const shape = fc.record(
  {
    model,
    requested_model: model,
    tier: fc.constantFrom('', 'standard', 'batch', 'nobody-knows'),
    requested_tier: fc.constantFrom('batch', 'standard'),
    geo: fc.constantFrom('global', 'mars'),
    flavour: fc.constantFrom('openai.chat', 'bedrock.invoke'),
    ending: fc.constantFrom('reported', 'partial', 'pending', 'unknown', 'not_billed'),
    units: fc.dictionary(fc.constant('web_search_requests'), quantity, { maxKeys: 1 }),
    provider_completed_at: fc.constant('2026-11-22T03:00:00.000Z'),
    parts: fc.array(fc.record({ model, classes, units: fc.constant({}) }), { maxLength: 2 }),
    raw_usage: fc.constantFrom('{"cost":0.0125}', '{"cost":0}', '{"prompt_tokens":7}'),
    tags: fc.constantFrom({ parts: '[' }, { tier: '' }, {}),
    classes,
  },
  { requiredKeys: ['classes'] },
);

test('what the columns of archive and ledger say of a price is what the whole event and its whole entry say', {
  timeout: 60_000,
}, async () => {
  const shapes = fc.sample(shape, { numRuns: 400, seed: 11 }) as Partial<UsageEvent>[];
  const events = shapes.map((one, index) => {
    const {
      requested_model: _model,
      model: _answered,
      tier: _tier,
      ...plain
    } = call(0x7c00, index + 1, { tenant: `lean-${index % 3}` });
    return { ...plain, ...one } as UsageEvent;
  });
  const rig = await startRerateHouse(warehouse, live, new Map());
  await rig.publish(events);
  const replaced = events[7] as UsageEvent;
  await rig.publish([
    { ...replaced, event_id: uuid(0x7c00, 5000), sequence: 5000, supersedes: replaced.event_id },
  ]);
  await rig.house.settle();
  await expect
    .poll(
      async () =>
        (await warehouse.query(`SELECT 1 FROM ledger_entries WHERE kind = 'reversal'`)).length,
    )
    .toBe(1);
  const by = { books, knownAt: LATER };
  const reading = { slice: {}, stating: ['acme-ai'] };
  // An hour of a tenant has more events than a page.
  const { places, events: planned } = await planPages(warehouse, { slice: {}, pageEvents: 50 });
  expect(planned).toBe(401);
  expect(places.length).toBeGreaterThan(8);
  const causes = new Set<string>();
  let seen = 0;
  for (const place of places) {
    const page = await readLeanPage(warehouse, place, reading);
    seen += page.events.length + page.superseded;
    const ids = page.events.map(({ event_id: id }) => id);
    const whole = await readRatedEvents(warehouse, place, ids);
    expect(whole).toHaveLength(ids.length);
    const byId = new Map(whole.map((one) => [one.event.event_id, one]));
    for (const lean of page.events) {
      const full = byId.get(lean.event_id);
      if (!full || !lean.before) throw new Error('an event is not rated');
      const change = priceAgain(lean, lean.before, by);
      const result = rerate([full], books, { knownAt: LATER, postingPeriodOf: (period) => period });
      expect(change === null ? [] : [change.difference]).toEqual(result.differences);
      causes.add(change?.difference.cause ?? 'unchanged');
    }
  }
  expect(seen).toBe(401);
  expect([...causes].sort()).toEqual(['detail', 'newly_rated', 'price', 'unchanged']);
});
