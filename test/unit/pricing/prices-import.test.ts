import { describe, expect, it } from 'vitest';
import { importPriceBook } from '../../../services/cli/commands/prices-import.ts';

const OVERLAY = {
  provider: 'acme-ai',
  note: 'test',
  standard_tiers: ['standard'],
  standard_geos: [],
  cache_write_meter: 'cache_write_30m',
  exclude: [],
  names: [],
  aliases: [],
  add: [],
  multiply: [],
  set: [],
};
const importText = (models: string, overlay: object = {}) =>
  importPriceBook({
    source: `const E = [{ id: "other", models: [] }, { id: "acme-ai", models: [${models}] }];`,
    sourceName: 'test',
    overlay: { ...OVERLAY, ...overlay },
    version: 1,
    knownFrom: '2026-11-21T00:00:00.000Z',
    retrievedAt: '2026-11-21',
  });
const model = (prices: string, match = '{ equals: "a-1" }') =>
  `{ id: "a", match: ${match}, prices: ${prices} }`;
const priceList = (models: string, overlay: object = {}) =>
  importText(models, overlay).book.prices.map((p) => `${p.model} ${p.meter} ${p.unit_price}`);

describe('the import', () => {
  it('reads numbers from the text of the source, never through a float', () => {
    // As a double 0.1 + 0.2 would be 0.30000000000000004; 5e-3 per million is 5e-9 each.
    expect(
      priceList(model('{ input_mtok: 0.300000, output_mtok: 5e-3, cache_write_mtok: 3.125 }')),
    ).toEqual([
      'a-1 input_uncached 0.0000003',
      'a-1 output_text 0.000000005',
      'a-1 output_reasoning 0.000000005',
      'a-1 cache_write_30m 0.000003125',
    ]);
  });

  it('refuses what is no exact price of one unit', () => {
    expect(() => importText(model('{ audio_hours: 1 }'))).toThrow('no exact price of one unit'); // 1/3600
    expect(() => importText(model('{ input_mtok: 1, output_mtok: 0.0000001 }'))).toThrow(
      'no exact price',
    );
  });

  it('refuses a price key it has no meter for, and prices with both dates and hours', () => {
    expect(() => importText(model('{ input_gpixels: 1 }'))).toThrow('input_gpixels');
    const both =
      '[{ prices: {} }, { constraint: { start_date: "2026-01-01" }, prices: {} }, { constraint: { start_time: "01:00:00Z", end_time: "02:00:00Z" }, prices: {} }]';
    expect(() => importText(model(both))).toThrow('dates and hours');
  });

  it('takes prices by time of day as hours beside the price without hours', () => {
    const byTime =
      '[{ prices: { input_mtok: 1, output_mtok: 1 } }, { constraint: { start_time: "01:00:00Z", end_time: "02:00:00Z" }, prices: { input_mtok: 2, output_mtok: 2 } }]';
    const inputs = importText(model(byTime)).book.prices.filter(
      (p) => p.meter === 'input_uncached',
    );
    expect(inputs.map((p) => [p.unit_price, p.when?.time?.windows])).toEqual([
      ['0.000001', undefined],
      ['0.000002', [{ from: '01:00', to: '02:00' }]],
    ]);
  });

  it('leaves a price open where the source announces another for later', () => {
    const announced =
      '[{ prices: { input_mtok: 1, output_mtok: 1 } }, { constraint: { start_date: "2027-01-01" }, prices: { input_mtok: 2, output_mtok: 2 } }]';
    expect(
      importText(model(announced))
        .book.prices.filter((p) => p.meter === 'input_uncached')
        .map((p) => [p.valid_from.slice(0, 10), p.valid_to]),
    ).toEqual([
      ['2020-01-01', undefined],
      ['2027-01-01', undefined],
    ]);
  });

  it('takes names only where they are stated by equality, and says what it left out', () => {
    const { book, skipped } = importText(
      model('{ input_mtok: 1, output_mtok: 1 }', '{ starts_with: "a-" }'),
    );
    expect(book.prices).toEqual([]);
    expect(skipped).toEqual([{ model: 'a', reason: 'matched by pattern only' }]);
  });

  it('makes an alias of an undated name with one snapshot, a model of its own where there are two', () => {
    const prices = '{ input_mtok: 1, output_mtok: 1 }';
    const one = importText(
      model(prices, '{ or: [{ equals: "a.1" }, { equals: "a.1-2026-01-02" }, { equals: "a-1" }] }'),
    ).book;
    expect(one.aliases.map((a) => `${a.alias} = ${a.model}`)).toEqual([
      'a.1 = a.1-2026-01-02',
      'a-1 = a.1-2026-01-02',
    ]);
    const two = importText(
      model(
        prices,
        '{ or: [{ equals: "a" }, { equals: "a-2026-01-02" }, { equals: "a-2026-03-04" }] }',
      ),
    ).book;
    expect(two.aliases).toEqual([]);
    expect(new Set(two.prices.map((p) => p.model))).toEqual(
      new Set(['a', 'a-2026-01-02', 'a-2026-03-04']),
    );
  });

  it('keeps dates and long-context bands as the source states them', () => {
    const dated =
      '[{ prices: { input_mtok: { base: 2, tiers: [{ start: 2e5, price: 4 }] }, output_mtok: 8 } }, { constraint: { start_date: "2026-03-13", type: "start_date" }, prices: { input_mtok: 1, output_mtok: 8 } }]';
    const inputs = importText(model(dated)).book.prices.filter((p) => p.meter === 'input_uncached');
    expect(
      inputs.map((p) => [
        p.unit_price,
        p.when?.context?.input_tokens,
        p.valid_from.slice(0, 10),
        p.valid_to?.slice(0, 10),
      ]),
    ).toEqual([
      ['0.000002', undefined, '2020-01-01', '2026-03-13'],
      ['0.000004', 200_000, '2020-01-01', '2026-03-13'],
      ['0.000001', undefined, '2026-03-13', undefined],
    ]);
  });

  it('multiplies exactly for tiers, and takes listed prices as they are', () => {
    const provenance = { source: 'https://example.test', retrieved_at: '2026-11-21' };
    const lines = priceList(model('{ input_mtok: 0.15, output_mtok: 0.6 }'), {
      multiply: [
        {
          models: ['a'],
          tier: ['batch'],
          meters: ['input_uncached', 'output_text'],
          by: '0.55',
          ...provenance,
        },
      ],
      set: [
        {
          models: ['a'],
          tier: ['priority'],
          per_million: { input_uncached: '0.25', output_text: '1' },
          ...provenance,
        },
      ],
    });
    expect(lines.slice(3)).toEqual([
      'a-1 input_uncached 0.0000000825', // 0.15 x 0.55
      'a-1 output_text 0.00000033', // 0.6 x 0.55
      'a-1 input_uncached 0.00000025',
      'a-1 output_text 0.000001',
    ]);
  });
});
