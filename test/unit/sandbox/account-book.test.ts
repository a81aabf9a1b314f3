import { parse } from 'csv-parse/sync';
import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AccountBook, type Attempt, type Ended } from '../../../services/sandbox/account-book.ts';
import { type Counts, NO_COUNTS } from '../../../services/sandbox/directive.ts';
import { METERS, PRICE_LIST } from '../../../services/sandbox/price-list.ts';
import {
  anthropicStatement,
  HONEST,
  itemsCsv,
  openaiStatement,
} from '../../../services/sandbox/statements.ts';

const NOON_MS = Date.UTC(2026, 10, 21, 12);
const DAY_MS = 86_400_000;

const attempt = (model: string, counts: Partial<Counts> | null, rest: Partial<Attempt> = {}) => ({
  provider: model.startsWith('claude') ? ('anthropic' as const) : ('openai' as const),
  requestId: 'req_1',
  atMs: NOON_MS,
  model,
  status: 200,
  ended: 'complete' as Ended,
  counts: counts === null ? null : { ...NO_COUNTS, ...counts },
  ...rest,
});

const bookOf = (attempts: readonly Attempt[], maxItems?: number): AccountBook => {
  const book = new AccountBook(maxItems);
  for (const entry of attempts) {
    book.open();
    book.close(entry);
  }
  return book;
};

const rowsOf = (csv: string): Record<string, string>[] => parse(csv, { columns: true });
const itemRows = (book: AccountBook) => rowsOf([...itemsCsv(book)].join(''));
const Exact = Decimal.clone({ precision: 60 });
const sum = (texts: (string | undefined)[]): string =>
  texts.reduce((total, text) => total.plus(text ?? ''), new Exact(0)).toFixed();

describe('the bill', () => {
  it('shows an OpenAI call to the last digit', () => {
    const { items, total_usd } = bookOf([
      attempt('gpt-4o-mini-2024-07-18', {
        input_uncached: 900,
        cache_read: 300,
        output_text: 211,
      }),
    ]).bill();
    // 900 x 0.15/M = 0.000135; 300 x 0.075/M = 0.0000225; 211 x 0.60/M = 0.0001266; together 0.0002841
    expect(items[0]?.amounts).toEqual({
      input_uncached: '0.000135',
      cache_read: '0.0000225',
      output_text: '0.0001266',
    });
    expect(items[0]?.total_usd).toBe('0.0002841');
    expect(total_usd).toBe('0.0002841');
  });

  it('shows a Claude call with both kinds of cache writes', () => {
    const { items } = bookOf([
      attempt('claude-sonnet-4-5-20250929', {
        input_uncached: 100,
        cache_read: 2000,
        cache_write_5m: 400,
        cache_write_1h: 50,
        output_text: 30,
        output_reasoning: 10,
      }),
    ]).bill();
    // 100 x 3/M = 0.0003; 2000 x 0.30/M = 0.0006; 400 x 3.75/M = 0.0015; 50 x 6/M = 0.0003;
    // 30 x 15/M = 0.00045; 10 x 15/M = 0.00015; together 0.0033
    expect(items[0]?.total_usd).toBe('0.0033');
  });

  it('counts a refused attempt and charges nothing for it', () => {
    const bill = bookOf([
      attempt('gpt-4o', null, { status: 429, ended: 'refused' }),
      attempt('gpt-4o-2024-08-06', { input_uncached: 4 }),
    ]).bill();
    // 4 x 2.50/M = 0.00001
    expect(bill).toMatchObject({ attempts: 2, billed_attempts: 1, total_usd: '0.00001' });
    expect(bill.items[0]).toMatchObject({ billed: false, quantities: {}, total_usd: '0' });
  });

  it('keeps its totals when it no longer keeps every item', () => {
    const one = attempt('gpt-4o-2024-08-06', { input_uncached: 4 });
    const bill = bookOf(
      Array.from({ length: 25 }, () => one),
      10,
    ).bill();
    // 25 x 4 x 2.50/M = 0.00025
    expect(bill).toMatchObject({ attempts: 25, total_usd: '0.00025' });
    expect(bill.items.length + bill.items_dropped).toBe(25);
    expect(bill.items.length).toBeLessThanOrEqual(10);
  });
});

describe('the statements', () => {
  it('are OpenAI’s cost export: a row a day, model and kind, reasoning inside output', () => {
    const csv = openaiStatement(
      bookOf([
        attempt('o4-mini-2025-04-16', {
          input_uncached: 10,
          output_text: 3,
          output_reasoning: 7,
        }),
        attempt('o4-mini-2025-04-16', { cache_read: 4 }, { atMs: NOON_MS + DAY_MS }),
      ]),
      HONEST,
    );
    // 10 x 1.10/M = 0.000011; (3 + 7) x 4.40/M = 0.000044; 4 x 0.275/M = 0.0000011
    expect(csv).toBe(
      'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id,organization_name\n' +
        '1795219200,1795305600,2026-11-21T00:00:00+00:00,2026-11-22T00:00:00+00:00,0.000011,usd,"o4-mini-2025-04-16, input",proj_sandbox,org-sandbox,Sandbox\n' +
        '1795219200,1795305600,2026-11-21T00:00:00+00:00,2026-11-22T00:00:00+00:00,0.000044,usd,"o4-mini-2025-04-16, output",proj_sandbox,org-sandbox,Sandbox\n' +
        '1795305600,1795392000,2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,0.0000011,usd,"o4-mini-2025-04-16, cached input",proj_sandbox,org-sandbox,Sandbox\n',
    );
  });

  it('are Anthropic’s cost export: display names and token types', () => {
    const rows = rowsOf(
      anthropicStatement(
        bookOf([attempt('claude-opus-4-5-20251101', { cache_write_1h: 3, output_text: 2 })]),
        HONEST,
      ),
    );
    // 3 x 10/M = 0.00003; 2 x 25/M = 0.00005
    expect(rows.map((row) => [row['model'], row['token_type'], row['cost_usd']])).toEqual([
      ['Claude Opus 4.5', 'input_cache_write_1h', '0.00003'],
      ['Claude Opus 4.5', 'output', '0.00005'],
    ]);
  });

  it('are a cent too high in one line after the sabotage', () => {
    const book = bookOf([attempt('gpt-4o-2024-08-06', { input_uncached: 4, output_text: 1 })]);
    const rows = rowsOf(openaiStatement(book, { ...HONEST, openai: '0.01' }));
    // 4 x 2.50/M = 0.00001, and the cent; 1 x 10/M = 0.00001 untouched
    expect(rows.map((row) => row['amount_value'])).toEqual(['0.01001', '0.00001']);
  });

  it('add up to the items and to the bill exactly, whatever was sold', () => {
    const anyAttempt = fc
      .record({
        entry: fc.constantFrom(...PRICE_LIST),
        quantities: fc.array(fc.nat(3_000_000), { minLength: 6, maxLength: 6 }),
        atMs: fc.integer({ min: NOON_MS, max: NOON_MS + 3 * DAY_MS }),
        billed: fc.boolean(),
      })
      .map(({ entry, quantities, atMs, billed }) => {
        const counts = Object.fromEntries(
          METERS.map((meter, at) => [
            meter,
            entry.usdPerMillion[meter] === undefined ? 0 : (quantities[at] ?? 0),
          ]),
        );
        const { provider, model } = entry;
        return attempt(model, billed ? counts : null, { atMs, provider });
      });
    fc.assert(
      fc.property(fc.array(anyAttempt, { maxLength: 40 }), (attempts) => {
        const book = bookOf(attempts);
        const totals = book.totals().total_usd_by_provider;
        const items = itemRows(book);
        const itemSum = (provider: string) =>
          sum(items.filter((row) => row['provider'] === provider).map((row) => row['amount_usd']));
        const openai = rowsOf(openaiStatement(book, HONEST)).map((row) => row['amount_value']);
        const anthropic = rowsOf(anthropicStatement(book, HONEST)).map((row) => row['cost_usd']);
        expect([sum(openai), itemSum('openai')]).toEqual([totals.openai, totals.openai]);
        expect([sum(anthropic), itemSum('anthropic')]).toEqual([
          totals.anthropic,
          totals.anthropic,
        ]);
      }),
      { numRuns: 100 },
    );
  });
});
