import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAmounts, negateAmount } from '../../pricing/money.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import type { Clock } from '../../services/platform/clock.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { migrate } from '../../services/platform/migrate.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import type { Reconciler } from '../../services/reconciler/main.ts';
import { createReconciler } from '../../services/reconciler/main.ts';
import { readItemsCsv } from '../../services/reconciler/sources/items-csv.ts';
import { anthropicCsv, openaiCsv } from '../unit/reconciler/statement-files.ts';
import type { Row } from './reconciler-rig.ts';
import { ENTRY_COLUMNS, entryOf, USAGE_COLUMNS, usageOf } from './reconciler-rig.ts';

const directory = mkdtempSync(join(tmpdir(), 'reckoner-reconciler-'));
let warehouse: Warehouse;
let reconciler: Reconciler;
let nowMs = Date.parse('2026-12-02T08:00:00.000Z');
const clock: Clock = { nowMs: () => nowMs, monotonicMs: systemClock.monotonicMs };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let blocks = 0;
const record = async (...rows: Row[]): Promise<void> => {
  blocks += 1;
  await warehouse.insert({
    table: 'ledger_entries',
    columns: ENTRY_COLUMNS,
    rows: rows.map(entryOf),
    token: `test/entries/${blocks}`,
  });
  await warehouse.insert({
    table: 'usage_archive',
    columns: USAGE_COLUMNS,
    rows: rows.filter((row) => (row.revision ?? 1) === 1 && row.kind !== 'reversal').map(usageOf),
    token: `test/usage/${blocks}`,
  });
};

beforeAll(async () => {
  warehouse = await openWarehouse({ kind: 'chdb', directory });
  await migrate(warehouse);
  reconciler = createReconciler({ warehouse, clock, logger: pino({ level: 'silent' }) });
});
afterAll(async () => {
  await warehouse.close();
  rmSync(directory, { recursive: true, force: true });
});

// 900 x 0.00000015 = 0.000135; 300 x 0.000000075 = 0.0000225; 200 x 0.0000006 = 0.00012; 11 x 0.0000006 = 0.0000066
const CALL: Row['charges'] = {
  input_uncached: ['900', '0.00000015', '0.000135'],
  cache_read: ['300', '0.000000075', '0.0000225'],
  output_text: ['200', '0.0000006', '0.00012'],
  output_reasoning: ['11', '0.0000006', '0.0000066'],
};
const ITEM_HEADER = 'provider,provider_request_id,model,meter,quantity,amount_usd';
const itemRows = (request: string, model = 'gpt-4o-mini-2024-07-18'): string[] =>
  Object.entries(CALL ?? {}).map(([meter, [quantity, , amount]]) =>
    ['openai', request, model, meter, quantity, amount].join(','),
  );

describe('a statement', () => {
  it('is imported once: the same bytes again are no second bill', async () => {
    const file = openaiCsv([
      { day: '2026-07-03', item: 'gpt-4o-mini-2024-07-18, input', amount: '0.123456789012345678' },
      { day: '2026-07-04', item: 'gpt-4o-mini-2024-07-18, output', amount: '0.1' },
      { day: '2026-07-04', item: 'not known', amount: '3' },
    ]);
    const request = { provider: 'openai', bytes: bytes(file), fileName: 'july.csv' } as const;
    const first = await reconciler.importStatement(request);
    // 0.123456789012345678 + 0.1 + 3
    expect(first).toMatchObject({ lines: 3, unmapped: 1, total_usd: '3.223456789012345678' });
    expect(await reconciler.importStatement(request)).toEqual(first);
    expect(
      await warehouse.query(
        "SELECT line_number, day_start, model, meter, quantity, amount_usd, description FROM statement_lines WHERE period = '2026-07' ORDER BY line_number",
      ),
    ).toEqual([
      {
        line_number: 2,
        day_start: '2026-07-03T00:00:00.000Z',
        model: 'gpt-4o-mini-2024-07-18',
        meter: 'input_uncached',
        quantity: null,
        amount_usd: '0.123456789012345678',
        description: 'gpt-4o-mini-2024-07-18, input',
      },
      expect.objectContaining({ line_number: 3, meter: 'output_text', amount_usd: '0.1' }),
      expect.objectContaining({ line_number: 4, model: null, meter: null, amount_usd: '3' }),
    ]);
  });

  it('must be there before a month can be compared', async () => {
    await expect(
      reconciler.reconcile({ provider: 'openai', period: '2025-01', tolerance_usd: '0' }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('a request that makes no sense is refused', async () => {
    await expect(
      reconciler.reconcile({ provider: "x'; DROP", period: '2025-01', tolerance_usd: '0' }),
    ).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('a month compared', () => {
  const lines = [
    // two calls: 2 x 0.000135, 2 x 0.0000225, 2 x (0.00012 + 0.0000066)
    { day: '2026-11-03', item: 'gpt-4o-mini-2024-07-18, input', amount: '0.00027' },
    { day: '2026-11-03', item: 'gpt-4o-mini-2024-07-18, cached input', amount: '0.000045' },
    { day: '2026-11-03', item: 'gpt-4o-mini-2024-07-18, output', amount: '0.0002532' },
  ];

  it('agrees to the last digit: reversals taken off, own keys of customers left out', async () => {
    await record(
      { provider: 'openai', id: 'e1', request: 'req_1', charges: CALL },
      { provider: 'openai', id: 'e2', request: 'req_2', charges: { output_text: ['1', '5', '5'] } },
      {
        provider: 'openai',
        id: 'e2',
        request: 'req_2',
        kind: 'reversal',
        charges: { output_text: ['-1', '5', '-5'] },
      },
      { provider: 'openai', id: 'e2', request: 'req_2', revision: 2, charges: CALL },
      { provider: 'openai', id: 'e3', request: 'req_3', byoKey: true, charges: CALL },
    );
    await reconciler.importStatement({
      provider: 'openai',
      bytes: bytes(openaiCsv(lines)),
      fileName: 'november.csv',
    });
    const items = readItemsCsv(
      bytes([ITEM_HEADER, ...itemRows('req_1'), ...itemRows('req_2')].join('\n')),
      'items.csv',
    );
    const report = await reconciler.reconcile({
      provider: 'openai',
      period: '2026-11',
      tolerance_usd: '0',
      items,
    });
    expect(report).toMatchObject({
      ledger_usd: '0.0005682',
      statement_usd: '0.0005682',
      delta_usd: '0',
      within_tolerance: true,
      causes: [],
      attempts: { matched: 2, faults: 0, differences: [] },
    });
    expect(report.cells.map((cell) => [cell.meter, cell.ledger_usd])).toEqual([
      ['cache_read', '0.000045'],
      ['input_uncached', '0.00027'],
      ['output', '0.0002532'],
    ]);
    const kept = await warehouse.query(
      `SELECT model, meter, ledger_quantity, statement_quantity, ledger_usd, delta_usd, causes FROM reconciliation WHERE run_id = '${report.run_id}' ORDER BY meter`,
    );
    expect(kept).toEqual([
      {
        model: 'gpt-4o-mini-2024-07-18',
        meter: 'cache_read',
        ledger_quantity: '600',
        statement_quantity: null,
        ledger_usd: '0.000045',
        delta_usd: '0',
        causes: '[]',
      },
      expect.objectContaining({ meter: 'input_uncached' }),
      expect.objectContaining({ meter: 'output', ledger_quantity: '422' }),
    ]);
  });

  it('names a dropped event, a doubled one, a lost cent; excuses a crash and an unknown ending', async () => {
    await record(
      { provider: 'openai', id: 'f1', request: 'req_f1', day: '2026-10-03', charges: CALL },
      { provider: 'openai', id: 'f1-again', request: 'req_f1', day: '2026-10-03', charges: CALL },
      { provider: 'openai', id: 'f2', request: 'req_f2', day: '2026-10-03', ending: 'unknown' },
      {
        provider: 'openai',
        id: 'f3',
        day: '2026-10-03',
        ending: 'estimated',
        error: 'crash',
        charges: { output_text: ['100', '0.0000006', '0.00006'] },
      },
    );
    const items = readItemsCsv(
      bytes(
        [
          ITEM_HEADER,
          ...['req_f1', 'req_f2', 'req_f3'].flatMap((id) => itemRows(id)),
          'openai,req_dropped,gpt-4o-mini-2024-07-18,output_text,1000000,0.6',
        ].join('\n'),
      ),
      'items.csv',
    );
    // input 3 x 0.000135 and a cent too much; cached 3 x 0.0000225; output 3 x 0.0001266 + 0.6
    await reconciler.importStatement({
      provider: 'openai',
      bytes: bytes(
        openaiCsv([
          { day: '2026-10-03', item: 'gpt-4o-mini-2024-07-18, input', amount: '0.010405' },
          { day: '2026-10-03', item: 'gpt-4o-mini-2024-07-18, cached input', amount: '0.0000675' },
          { day: '2026-10-03', item: 'gpt-4o-mini-2024-07-18, output', amount: '0.6003798' },
        ]),
      ),
      fileName: 'october.csv',
    });
    const report = await reconciler.reconcile({
      provider: 'openai',
      period: '2026-10',
      tolerance_usd: '0',
      items,
    });
    expect(
      report.attempts?.differences.map(({ kind, flagged, provider_request_id, attempt_id }) => [
        kind,
        flagged,
        provider_request_id,
        attempt_id,
      ]),
    ).toEqual([
      ['missing_event', false, 'req_dropped', undefined],
      ['charged_twice', false, 'req_f1', 'attempt-f1-again'],
      ['quantity', true, 'req_f2', 'attempt-f2'],
      ['quantity', true, 'req_f3', 'attempt-f3'],
    ]);
    expect(report.attempts?.faults).toBe(2);
    expect(report.cells.find((cell) => cell.meter === 'input_uncached')?.causes).toContainEqual({
      class: 'unexplained',
      explained: false,
      amount_usd: '0.01',
      count: 0,
      text: 'the statement and the provider record per call differ',
      evidence: 'Nothing in the two records proves a cause.',
    });
    expect(addAmounts([report.explained_usd, report.unexplained_usd])).toBe(report.delta_usd);
    expect(addAmounts([report.statement_usd, negateAmount(report.ledger_usd)])).toBe(
      report.delta_usd,
    );
  });

  it('compares Anthropic by display name, in cents, and calls what cents hide rounding', async () => {
    // 14000 x 0.000001 = 0.014, printed as 0.01; 2000 x 0.000005 = 0.01
    await record({
      provider: 'anthropic',
      id: 'a1',
      request: 'req_a1',
      model: 'claude-haiku-4-5-20251001',
      charges: {
        input_uncached: ['14000', '0.000001', '0.014'],
        output_text: ['2000', '0.000005', '0.01'],
      },
    });
    await reconciler.importStatement({
      provider: 'anthropic',
      bytes: bytes(
        anthropicCsv([
          { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'input_no_cache', cost: '0.01' },
          { day: '2026-11-03', model: 'Claude Haiku 4.5', type: 'output', cost: '0.01' },
        ]),
      ),
      fileName: 'anthropic.csv',
    });
    const report = await reconciler.reconcile({
      provider: 'anthropic',
      period: '2026-11',
      tolerance_usd: '0',
    });
    expect(report).toMatchObject({
      delta_usd: '-0.004',
      explained_usd: '-0.004',
      unexplained_usd: '0',
      within_tolerance: true,
    });
    expect(report.causes).toMatchObject([{ class: 'rounding', amount_usd: '-0.004', count: 1 }]);
  });

  it('calls on own keys of customers that no book prices explain nothing of our bill', async () => {
    await record({ provider: 'openai', id: 'b1', model: 'gpt-x', byoKey: true, day: '2026-05-03' });
    await reconciler.importStatement({
      provider: 'openai',
      bytes: bytes(openaiCsv([{ day: '2026-05-03', item: 'gpt-x, output', amount: '9' }])),
      fileName: 'may.csv',
    });
    const request = { provider: 'openai', period: '2026-05', tolerance_usd: '0' };
    const report = await reconciler.reconcile(request);
    expect(report.causes.filter((cause) => cause.class === 'volume')).toEqual([]);
  });

  it('takes a grown export of the same month in place of the first', async () => {
    nowMs += 86_400_000;
    await reconciler.importStatement({
      provider: 'openai',
      bytes: bytes(openaiCsv([...lines, { day: '2026-11-04', item: 'o3, output', amount: '0.5' }])),
      fileName: 'november-later.csv',
    });
    const report = await reconciler.reconcile({
      provider: 'openai',
      period: '2026-11',
      tolerance_usd: '0',
    });
    expect(report).toMatchObject({ delta_usd: '0.5', explained_usd: '0.5', unexplained_usd: '0' });
    expect(report.statements.map((s) => s.file_name)).toEqual(['november-later.csv']);
    expect(report.causes).toMatchObject([{ class: 'scope', amount_usd: '0.5' }]);
  });

  it('case 95 · reads tiers, prices and hours from the ledger: days of Tokyo, batch billed as standard, a credit', async () => {
    // A call: 1,000 x 0.000002 = 0.002; of batch half of it.
    const input = (price: string, amount: string): NonNullable<Row['charges']> => ({
      input_uncached: ['1000', price, amount],
    });
    const at = (day: string, time: string, rest: Partial<Row> = {}): Row => ({
      provider: 'openai',
      id: `z-${day}-${time}`,
      model: 'gpt-zone',
      charges: input('0.000002', '0.002'),
      day,
      time,
      ...rest,
    });
    await record(
      // In Tokyo this is 1 March, and the one before the 11th.
      at('2026-02-28', '15:15'),
      at('2026-03-10', '15:30'),
      at('2026-03-20', '12:00', { tier: 'batch', charges: input('0.000001', '0.001') }),
      at('2026-03-20', '13:00', { model: 'gpt-tier', charges: input('0.000002', '0.002') }),
      at('2026-03-20', '14:00', {
        model: 'gpt-tier',
        tier: 'batch',
        charges: input('0.000001', '0.001'),
      }),
      at('2026-03-21', '18:00'),
    );
    const printed = (day: string, item: string, amount: string) => ({ day, item, amount });
    await reconciler.importStatement({
      provider: 'openai',
      bytes: bytes(
        openaiCsv([
          printed('2026-03-01', 'gpt-zone, input', '0.002000000000'),
          printed('2026-03-11', 'gpt-zone, input', '0.002000000000'),
          printed('2026-03-22', 'gpt-zone, input', '0.002000000000'),
          printed('2026-03-20', 'batch | gpt-zone, input', '0.001000000000'),
          // 400 tokens of batch are billed as standard.
          printed('2026-03-20', 'gpt-tier, input', '0.002800000000'),
          printed('2026-03-20', 'batch | gpt-tier, input', '0.000600000000'),
          printed('2026-03-31', 'Goodwill credit', '-1.5'),
        ]),
      ),
      fileName: 'march.csv',
    });
    const request = { provider: 'openai', period: '2026-03', tolerance_usd: '0' };
    const report = await reconciler.reconcile(request);
    expect(
      report.causes.map(({ class: name, amount_usd, explained }) => [name, amount_usd, explained]),
    ).toEqual([
      ['credit', '-1.5', true],
      // 28 February 15:15 is March in Tokyo.
      ['time_zone', '0.002', true],
      ['tier', '0.0004', false],
    ]);
    expect(report.cells.find((cell) => cell.model === 'gpt-zone')?.causes).toMatchObject([
      { class: 'time_zone', evidence: expect.stringContaining('Asia/Tokyo') },
    ]);
  });
});
