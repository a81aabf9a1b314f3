import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPeriods, readSpend, readTotals } from '../../services/console/figures.ts';
import { openConsole } from '../unit/console/console-fakes.ts';
import { openTestWarehouse, writeLedger, writeRollup } from './console-house.ts';

const LINES = [
  { tenant: 'acme', at: '2026-11-03T10:00:00.000Z', amount: '0.1', feature: 'chat' },
  { tenant: 'acme', at: '2026-11-03T11:00:00.000Z', amount: '0.2', feature: 'agent' },
  { tenant: 'globex', at: '2026-11-04T10:00:00.000Z', amount: '0.000000000000000001' },
  { tenant: 'globex', at: '2026-10-04T10:00:00.000Z', amount: '7' },
];

let store: Awaited<ReturnType<typeof openTestWarehouse>>;
beforeAll(async () => {
  store = await openTestWarehouse();
  await writeLedger(store.warehouse, LINES);
  await writeRollup(store.warehouse, LINES);
});
afterAll(() => store.drop());

test('spend is grouped exactly, greatest first, and the total is over all groups', async () => {
  const spend = await readSpend(store.warehouse, { by: ['tenant'], period: '2026-11' });
  // 0.1 + 0.2 = 0.3 where floats say 0.30000000000000004
  expect(spend).toEqual({
    rows: [
      { tenant: 'acme', amount_usd: '0.3' },
      { tenant: 'globex', amount_usd: '0.000000000000000001' },
    ],
    truncated: false,
    total_usd: '0.300000000000000001',
  });
});

test('days are in order, several groups combine, filters narrow, and an absent feature reads unattributed', async () => {
  const { warehouse } = store;
  const days = await readSpend(warehouse, { by: ['day'] });
  expect(days.rows.map((row) => row.day)).toEqual(['2026-10-04', '2026-11-03', '2026-11-04']);
  const acme = await readSpend(warehouse, { by: ['feature', 'model'], tenant: 'acme' });
  expect(acme.rows).toEqual([
    { feature: 'agent', model: 'gpt-4o-mini', amount_usd: '0.2' },
    { feature: 'chat', model: 'gpt-4o-mini', amount_usd: '0.1' },
  ]);
  const none = await readSpend(warehouse, { by: ['feature'], feature: 'unattributed' });
  expect(none.rows).toEqual([{ feature: 'unattributed', amount_usd: '7.000000000000000001' }]);
  expect(await readSpend(warehouse, { by: ['tenant'], tenant: 'nobody' })).toMatchObject({
    rows: [],
    total_usd: '0',
  });
});

test('totals read ledger and rollup each at its own place', async () => {
  const totals = await readTotals(store.warehouse, '2026-11');
  expect(totals).toEqual({
    events: 0,
    unrated: 0,
    flagged: 0,
    ledger_usd: '0.300000000000000001',
    rollup_usd: '0.300000000000000001',
  });
  expect((await readTotals(store.warehouse, undefined)).ledger_usd).toBe('7.300000000000000001');
  expect(await readPeriods(store.warehouse)).toEqual(['2026-11', '2026-10']);
});

test('SQL reads within bounds and cannot write', async () => {
  const { call } = await openConsole({ warehouse: store.warehouse });
  const read = await call('POST', '/api/v1/sql', {
    body: { sql: "SELECT sum(amount_usd) AS usd FROM charges WHERE tenant = 'acme'" },
  });
  expect(await read.json()).toMatchObject({ columns: [{ name: 'usd' }], rows: [['0.3']] });
  const write = await call('POST', '/api/v1/sql', { body: { sql: 'DROP VIEW charges' } });
  expect(write.status).toBe(400);
});
