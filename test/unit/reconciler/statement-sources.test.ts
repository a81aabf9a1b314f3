import { describe, expect, it, onTestFinished } from 'vitest';
import { hasCode } from '../../../services/platform/errors.ts';
import {
  modelOfDisplayName,
  readAnthropicCosts,
} from '../../../services/reconciler/sources/anthropic-cost-csv.ts';
import { readItemsCsv } from '../../../services/reconciler/sources/items-csv.ts';
import {
  meaningOfLineItem,
  readOpenaiCosts,
} from '../../../services/reconciler/sources/openai-costs-csv.ts';
import { readPrintedDecimal } from '../../../services/reconciler/sources/printed-decimal.ts';
import { anthropicCsv, openaiCsv } from './statement-files.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const failure = (read: () => unknown): string => {
  try {
    read();
  } catch (error) {
    if (hasCode(error, 'STATEMENT_UNREADABLE')) return (error as Error).message;
    throw error;
  }
  return 'was read';
};

it.each(['2026-11-01T00:00:00', '2026-11-01 00:00:00'])(
  'a time without a zone is UTC wherever it is read: %s',
  (time) => {
    const before = process.env['TZ'];
    onTestFinished(() => {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    });
    const header = 'start_time_iso,amount_value,amount_currency,line_item';
    for (const zone of ['Asia/Tokyo', 'America/New_York', 'UTC']) {
      process.env['TZ'] = zone;
      const [parsed] = readOpenaiCosts(bytes(`${header}\n${time},1,usd,"o3, input"`), 'f.csv');
      expect(parsed?.line).toMatchObject({
        period: '2026-11',
        day_start: '2026-11-01T00:00:00.000Z',
      });
    }
  },
);

describe('line items of OpenAI', () => {
  it.each([
    ['gpt-5-mini-2025-08-07, input', 'gpt-5-mini-2025-08-07', 'input_uncached', null],
    ['gpt-5-mini-2025-08-07, cached input', 'gpt-5-mini-2025-08-07', 'cache_read', null],
    ['gpt-5-mini-2025-08-07, output', 'gpt-5-mini-2025-08-07', 'output_text', null],
    ['gpt-5.6, cache writes', 'gpt-5.6', 'cache_write_30m', null],
    ['gpt-4o-2024-08-06, input_tokens', 'gpt-4o-2024-08-06', 'input_uncached', null],
    ['priority | gpt-5, output, long context', 'gpt-5', 'output_text', 'priority'],
    ['flex | gpt-5, cached input', 'gpt-5', 'cache_read', 'flex'],
    ['batch | gpt-5, input', 'gpt-5', 'input_uncached', 'batch'],
    ['gpt-image-1, text, cached input', 'gpt-image-1', 'cache_read', null],
    ['gpt-image-1, image, input', 'gpt-image-1', 'input_uncached.image', null],
    ['gpt-realtime, audio, output', 'gpt-realtime', 'output_text.audio', null],
    ['web search tool calls', null, 'web_search_requests', null],
    ['gpt-5, web search tool calls', null, 'web_search_requests', null],
    ['code interpreter sessions', null, 'code_interpreter_sessions', null],
  ])('%s', (text, model, meter, tier) => {
    expect(meaningOfLineItem(text)).toEqual({ model, meter, tier });
  });

  it.each([
    '',
    'gpt-5',
    'gpt-5, training',
    'gpt-5, input, output',
    'monthly commitment',
    ', input',
  ])('does not guess at "%s"', (text) => {
    expect(meaningOfLineItem(text)).toEqual({ model: null, meter: null, tier: null });
  });
});

describe('the costs export of OpenAI', () => {
  it('keeps every line with an amount, mapped or not, and every digit', () => {
    const file = openaiCsv([
      { day: '2026-11-03', item: 'gpt-4o-mini-2024-07-18, input', amount: '0.34090000000000001' },
      { day: '2026-11-03', item: 'something new', amount: '2' },
      { day: '2026-11-04', item: '', amount: '' },
      { day: '2026-11-05', item: '', amount: '0.5' },
    ]);
    expect(readOpenaiCosts(bytes(file), 'costs.csv')).toEqual([
      {
        amountPlaces: 17,
        line: {
          provider: 'openai',
          line_number: 2,
          period: '2026-11',
          day_start: '2026-11-03T00:00:00.000Z',
          model: 'gpt-4o-mini-2024-07-18',
          meter: 'input_uncached',
          tier: null,
          quantity: null,
          amount_usd: '0.34090000000000001',
          description: 'gpt-4o-mini-2024-07-18, input',
        },
      },
      {
        amountPlaces: 0,
        line: expect.objectContaining({
          line_number: 3,
          model: null,
          meter: null,
          amount_usd: '2',
          description: 'something new',
        }),
      },
      {
        amountPlaces: 1,
        line: expect.objectContaining({ line_number: 5, meter: null, amount_usd: '0.5' }),
      },
    ]);
  });

  it('reads tab separated files, with a byte order mark and other line ends, alike', () => {
    const rows = [{ day: '2026-11-03', item: 'gpt-5, output', amount: '1.25' }];
    const comma = readOpenaiCosts(bytes(openaiCsv(rows)), 'a.csv');
    const tabs = `\uFEFF${openaiCsv(rows, '\t').replaceAll('\n', '\r\n')}`;
    expect(readOpenaiCosts(bytes(tabs), 'b.tsv')).toEqual(comma);
  });

  it('names found and expected columns, and what to do', () => {
    const message = failure(() => readOpenaiCosts(bytes('date,cost\n2026-11-03,1\n'), 'x.csv'));
    expect(message).toBe(
      'x.csv cannot be read as an OpenAI costs export: expected columns start_time_iso, amount_value, amount_currency, line_item; found date, cost; missing start_time_iso, amount_value, amount_currency, line_item. Export costs (not usage) as CSV from the usage page of the OpenAI dashboard, grouped by line item, and import that file.',
    );
  });

  it.each([
    ['an empty file', bytes('')],
    ['a header alone', bytes(openaiCsv([]))],
    ['bytes that are no text', new Uint8Array([0xff, 0xfe, 0x00, 0x01])],
    ['a web page', bytes('<!doctype html><html>\n"unclosed')],
    [
      'a line in euros',
      bytes(
        openaiCsv([{ day: '2026-11-03', item: 'gpt-5, input', amount: '1' }]).replace(
          ',usd,',
          ',eur,',
        ),
      ),
    ],
    [
      'a line without an amount',
      bytes(openaiCsv([{ day: '2026-11-03', item: 'gpt-5, input', amount: '' }])),
    ],
    [
      'a line without a time',
      bytes(openaiCsv([{ day: 'sometime', item: 'gpt-5, input', amount: '1' }])),
    ],
  ])('refuses %s', (_, file) => {
    expect(failure(() => readOpenaiCosts(file, 'costs.csv'))).toMatch(/^costs.csv cannot be read/);
  });
});

describe('the cost export of Anthropic', () => {
  it('finds the model behind a display name', () => {
    expect(modelOfDisplayName('Claude Haiku 4.5')).toBe('claude-haiku-4-5');
    expect(modelOfDisplayName('Claude 3.5 Sonnet 2024-10-22')).toBe('claude-3-5-sonnet-20241022');
    expect(modelOfDisplayName('claude-sonnet-4-5-20250929')).toBe('claude-sonnet-4-5-20250929');
  });

  it('maps token types, tools and batch, in USD as printed', () => {
    const file = anthropicCsv([
      { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'input_no_cache', cost: '0.19' },
      { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'input_cache_write_1h', cost: '0.10' },
      {
        day: '2026-11-03',
        model: 'Claude Haiku 4.5',
        type: 'output',
        cost: '1.5e-05',
        usage: 'batch',
      },
      { day: '2026-11-03', model: '', type: '', cost: '0.02', costType: 'web_search' },
      { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'brand_new', cost: '7' },
    ]);
    const lines = readAnthropicCosts(bytes(file), 'cost.csv').map(({ line }) => line);
    expect(
      lines.map(({ model, meter, tier, amount_usd }) => [model, meter, tier, amount_usd]),
    ).toEqual([
      ['claude-haiku-4-5', 'input_uncached', null, '0.19'],
      ['claude-haiku-4-5', 'cache_write_1h', null, '0.1'],
      ['claude-haiku-4-5', 'output_text', 'batch', '0.000015'],
      [null, 'web_search_requests', null, '0.02'],
      [null, null, null, '7'],
    ]);
    expect(lines[4]?.description).toBe('Claude Haiku 4.5, message, ≤ 200k, brand_new, token');
  });
});

describe('the record per call', () => {
  const header = 'provider,provider_request_id,model,meter,quantity,amount_usd\n';

  it('reads a row per call and meter', () => {
    const text = `${header}openai,req_1,gpt-5,output_text,12.0,0.000120\n`;
    expect(readItemsCsv(bytes(text), 'items.csv')).toEqual([
      {
        provider: 'openai',
        provider_request_id: 'req_1',
        model: 'gpt-5',
        meter: 'output_text',
        quantity: '12',
        amount_usd: '0.00012',
      },
    ]);
  });

  it('names line and column of what is wrong', () => {
    const text = `${header}openai,req_1,gpt-5,words,twelve,0.1\n`;
    expect(failure(() => readItemsCsv(bytes(text), 'items.csv'))).toContain(
      'line 2 is wrong in meter, quantity',
    );
  });
});

describe('decimals of a file', () => {
  it.each([
    ['0.10', '0.1', 2],
    ['1e-7', '0.0000001', 7],
    ['1.2345E-05', '0.000012345', 9],
    ['-3', '-3', 0],
    ['.5', '0.5', 1],
    ['12E2', '1200', 0],
    // 0.1 + 0.2 in floats, printed with 17 digits: kept as printed
    ['0.30000000000000004', '0.30000000000000004', 17],
    // 19 places: half to even at the 18th
    ['0.0000000000000000015', '0.000000000000000002', 18],
    ['0.0000000000000000025', '0.000000000000000002', 18],
  ])('reads %s', (text, value, places) => {
    expect(readPrintedDecimal(text)).toEqual({ value, places });
  });

  it.each(['', 'NaN', '1,000', '$1', '1e999', '0x10', '--1', '1'.repeat(21)])(
    'refuses %s',
    (text) => {
      expect(readPrintedDecimal(text)).toBeNull();
    },
  );
});
