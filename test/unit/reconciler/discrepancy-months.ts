import type { CauseName } from '../../../services/reconciler/core/causes.ts';
import type { Month, OwnCall } from './discrepancy-rig.ts';
import { CLAUDE, MODEL, SMALL } from './discrepancy-rig.ts';
import { anthropicCsv, openaiCsv } from './statement-files.ts';

const ITEM_HEADER = 'provider,provider_request_id,model,meter,quantity,amount_usd';
const itemsCsv = (...rows: readonly string[]): string =>
  [ITEM_HEADER, ...rows.map((row) => `openai,${row}`), ''].join('\n');

/** 1,000 in and 100 out: 0.002 + 0.001. */
const call = (at: string, rest: Partial<OwnCall> = {}): OwnCall => ({
  at,
  use: { input_uncached: '1000', output_text: '100' },
  ...rest,
});
const NOON = '2026-11-03T12:00:00.000Z';
/** With so many digits that rounding hides nothing, as providers print them. */
const line = (day: string, item: string, amount: string) => ({
  day,
  item,
  amount: amount.padEnd(amount.indexOf('.') + 13, '0'),
});
const usage = (day: string, input: string, output: string) => [
  line(day, `${MODEL}, input`, input),
  line(day, `${MODEL}, output`, output),
];
/** What an honest provider prints for that one call. */
const honest = usage('2026-11-03', '0.002', '0.001');

/** A month for each cause: the smallest statement that shows it. */
export const MONTHS: Readonly<Record<CauseName, Month>> = {
  scope: {
    provider: 'openai',
    statement: openaiCsv([...honest, line('2026-11-03', 'o3, output', '0.4')]),
    calls: [call(NOON)],
    causes: [['scope', '0.4', 'accepted']],
  },

  // Days in Los Angeles begin at 07:00 UTC on the first, at 08:00 after that. Of October is what was called at 05:00 on the first (-0.003), of
  // November what was called at 02:00 on 1 December (2 x 0.003).
  time_zone: {
    provider: 'openai',
    statement: openaiCsv([
      ...usage('2026-11-03', '0.002', '0.001'),
      ...usage('2026-11-10', '0.006', '0.003'),
      ...usage('2026-11-30', '0.004', '0.002'),
    ]),
    calls: [
      call('2026-11-01T05:00:00.000Z'),
      call('2026-11-04T07:45:00.000Z'),
      call('2026-11-10T08:00:00.000Z'),
      call('2026-11-11T07:00:00.000Z'),
      call('2026-11-11T07:30:00.000Z'),
      call('2026-12-01T02:00:00.000Z'),
      call('2026-12-01T07:45:00.000Z'),
    ],
    causes: [['time_zone', '0.003', 'accepted']],
  },

  // The second call was cut: its 100 tokens of output are our count. They bill 130.
  volume: {
    provider: 'openai',
    statement: openaiCsv(usage('2026-11-03', '0.004', '0.0023')),
    calls: [call(NOON, { id: 'r1' }), call(NOON, { id: 'r2', ending: 'estimated' })],
    items: itemsCsv(
      `r1,${MODEL},input_uncached,1000,0.002`,
      `r1,${MODEL},output_text,100,0.001`,
      `r2,${MODEL},input_uncached,1000,0.002`,
      `r2,${MODEL},output_text,130,0.0013`,
    ),
    causes: [['volume', '0.0003', 'accepted']],
  },

  // 12 searches in one day, of which the book says 10 are free: 10 x 0.01 less. And 0.25 given back in words.
  credit: {
    provider: 'openai',
    statement: openaiCsv([
      ...honest,
      line('2026-11-03', 'web search tool calls', '0.02'),
      line('2026-11-30', 'Promotional credit', '-0.25'),
    ]),
    calls: [call(NOON), { at: NOON, use: { web_search_requests: '12' } }],
    causes: [
      ['credit', '-0.25', 'accepted'],
      ['credit', '-0.1', 'accepted'],
    ],
  },

  tax: {
    provider: 'openai',
    statement: openaiCsv([...honest, line('2026-11-30', 'Sales tax 9%', '0.00027')]),
    calls: [call(NOON)],
    causes: [['tax', '0.00027', 'accepted']],
  },

  // Printed to the cent: 14,000 x 0.000002 = 0.028 as 0.03, 2,000 x 0.00001 = 0.02.
  rounding: {
    provider: 'anthropic',
    statement: anthropicCsv([
      { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'input_no_cache', cost: '0.03' },
      { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'output', cost: '0.02' },
    ]),
    calls: [call(NOON, { model: CLAUDE, use: { input_uncached: '14000', output_text: '2000' } })],
    causes: [['rounding', '0.002', 'accepted']],
  },

  // 700 of 1,000 batch tokens in and 60 of 100 out are billed as standard: 700 x 0.000001 + 60 x 0.000005 more.
  tier: {
    provider: 'openai',
    statement: openaiCsv([
      ...usage('2026-11-03', '0.0034', '0.0016'),
      line('2026-11-03', `batch | ${MODEL}, input`, '0.0003'),
      line('2026-11-03', `batch | ${MODEL}, output`, '0.0002'),
    ]),
    calls: [call(NOON), call(NOON, { tier: 'batch' })],
    causes: [['tier', '0.001', 'to decide']],
  },

  // 300 tokens that we have as cached are billed as uncached: 300 x (0.000002 - 0.0000002).
  cache: {
    provider: 'openai',
    statement: openaiCsv([
      ...usage('2026-11-03', '0.0026', '0.001'),
      line('2026-11-03', `${MODEL}, cached input`, '0.0001'),
    ]),
    calls: [call(NOON, { use: { input_uncached: '1000', cache_read: '800', output_text: '100' } })],
    causes: [['cache', '0.00054', 'to decide']],
  },

  // They bill r9, which no event is of (0.02 + 0.01), and not r2 (0.002 + 0.001).
  missing_calls: {
    provider: 'openai',
    statement: openaiCsv([
      ...usage('2026-11-03', '0.002', '0.001'),
      ...usage('2026-11-04', '0.02', '0.01'),
    ]),
    calls: [call(NOON, { id: 'r1' }), call(NOON, { id: 'r2' })],
    items: itemsCsv(
      `r1,${MODEL},input_uncached,1000,0.002`,
      `r1,${MODEL},output_text,100,0.001`,
      `r9,${MODEL},input_uncached,10000,0.02`,
      `r9,${MODEL},output_text,1000,0.01`,
    ),
    causes: [
      ['missing_calls', '-0.003', 'to decide'],
      ['missing_calls', '0.03', 'to decide'],
    ],
  },

  // The same 100 tokens at 0.000012 instead of 0.00001.
  price: {
    provider: 'openai',
    statement: openaiCsv(usage('2026-11-03', '0.002', '0.0012')),
    calls: [call(NOON, { id: 'r1' })],
    items: itemsCsv(`r1,${MODEL},input_uncached,1000,0.002`, `r1,${MODEL},output_text,100,0.0012`),
    causes: [['price', '0.0002', 'to decide']],
  },

  // Seven more tokens than the output we charge: nothing tells why.
  unexplained: {
    provider: 'openai',
    statement: openaiCsv(usage('2026-11-03', '0.002', '0.00107')),
    calls: [call(NOON)],
    causes: [['unexplained', '0.00007', 'to decide']],
  },
};

/**
 * All that sums can prove, in one month: days of Los Angeles (-0.003 + 0.003 + 0.003), batch billed as standard (700 x 0.000001 + 60 x 0.000005), 300
 * cached tokens billed as uncached (300 x 0.0000018), a credit, free searches (10 x 0.01), tax, and a model that never passed the proxy.
 */
export const COMBINED: Month = {
  provider: 'openai',
  statement: openaiCsv([
    ...usage('2026-11-03', '0.002', '0.001'),
    ...usage('2026-11-10', '0.006', '0.003'),
    // 700 x 0.000002, 60 x 0.00001.
    ...usage('2026-11-20', '0.0014', '0.0006'),
    // (1,000 + 300) x 0.000002, 500 x 0.0000002.
    line('2026-11-20', `${SMALL}, input`, '0.0026'),
    line('2026-11-20', `${SMALL}, cached input`, '0.0001'),
    line('2026-11-20', `${SMALL}, output`, '0.001'),
    line('2026-11-20', `batch | ${MODEL}, input`, '0.0003'),
    line('2026-11-20', `batch | ${MODEL}, output`, '0.0002'),
    ...usage('2026-11-30', '0.004', '0.002'),
    line('2026-11-20', 'web search tool calls', '0.02'),
    line('2026-11-20', 'o3, output', '0.4'),
    line('2026-11-30', 'Promotional credit', '-0.25'),
    line('2026-11-30', 'VAT 19 %', '0.04'),
  ]),
  calls: [
    ...MONTHS.time_zone.calls,
    { at: '2026-11-20T18:00:00.000Z', use: { web_search_requests: '12' } },
    call('2026-11-20T18:00:00.000Z', { tier: 'batch' }),
    call('2026-11-20T18:00:00.000Z', {
      model: SMALL,
      use: { input_uncached: '1000', cache_read: '800', output_text: '100' },
    }),
  ],
  causes: [
    ['credit', '-0.25', 'accepted'],
    ['credit', '-0.1', 'accepted'],
    ['scope', '0.4', 'accepted'],
    ['tax', '0.04', 'accepted'],
    ['time_zone', '0.003', 'accepted'],
    ['cache', '0.00054', 'to decide'],
    ['tier', '0.001', 'to decide'],
  ],
};
