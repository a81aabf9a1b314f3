import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { ContractBook } from '../../schemas/price-book.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { migrate } from '../../services/platform/migrate.ts';
import type { LoadedPriceBooks } from '../../services/platform/price-books.ts';
import { loadHousePrices } from '../../services/platform/price-books.ts';
import { recordPrices } from '../../services/platform/price-history.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import { book, KNOWN, plainPrices } from '../unit/pricing/pricing-fixtures.ts';

let warehouse: Warehouse;
const directory = mkdtempSync(join(tmpdir(), 'reckoner-price-history-'));
beforeAll(async () => {
  warehouse = await openWarehouse({ kind: 'chdb', directory });
  await migrate(warehouse);
}, 120_000);
afterAll(async () => {
  await warehouse?.close();
  rmSync(directory, { recursive: true, force: true });
});

const lines: string[] = [];
const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
const deps = () => ({ warehouse, clock: systemClock, logger });
/** As people and analysts read it. */
const ask = async (sql: string): Promise<unknown[][]> =>
  (await warehouse.queryReadOnly(sql, { maxRows: 1_000, timeoutMs: 5_000 })).rows;

const provenance = { source: 'order form', retrieved_at: '2026-10-01' };
const contract: ContractBook = {
  ...{ contract: 'acme-2026', provider: 'acme-ai', version: 1, known_from: KNOWN },
  accounts: ['main', 'spare'],
  prices: [
    {
      ...{ id: 'fixed', models: ['model-a'], meters: ['input_uncached', 'cache_read'] },
      ...{ unit_price: '0.000001', valid_from: '2026-01-01T00:00:00.000Z', ...provenance },
    },
    { id: 'rest', factor: '0.85', valid_from: '2026-01-01T00:00:00.000Z', ...provenance },
  ],
  approved: [{ by: 'ben', at: KNOWN }],
};
const loadedOf = (prices = plainPrices()): LoadedPriceBooks => ({
  books: createPriceBooks(
    [book(prices, { prepared_by: 'ann', approved: [{ by: 'ben', at: KNOWN }] })],
    [contract],
  ),
  contracts: [contract],
  mark: '',
  parts: new Map(),
});

test('the view holds every price of every loaded version, exactly, and recording again adds nothing', {
  timeout: 120_000,
}, async () => {
  const shipped = loadHousePrices({});
  for (const run of [1, 2]) {
    await recordPrices(deps(), shipped);
    const expected = new Map<string, number>();
    for (const { provider, version, prices } of shipped.books.books) {
      expected.set(`${provider}@${version}`, prices.length);
    }
    const found = await ask(
      "SELECT provider || '@' || toString(version) AS book, toUInt32(count()) FROM prices WHERE contract = '' GROUP BY book ORDER BY book",
    );
    expect(new Map(found as [string, number][]), `run ${run}`).toEqual(
      new Map([...expected].filter(([, lines]) => lines > 0)),
    );
  }
  const sum = shipped.books.books.flatMap(({ prices }) => prices.map((p) => p.unit_price));
  // Every price is a whole count of 10^-12 USD.
  const scaled = (text: string): bigint => {
    const [whole = '0', fraction = ''] = text.split('.');
    return BigInt(whole + fraction.padEnd(12, '0'));
  };
  const exact = sum.reduce((total, text) => total + scaled(text), 0n);
  expect(
    await ask(
      "SELECT toString(toInt128(sum(unit_price) * 1000000000000)) FROM prices WHERE contract = ''",
    ),
  ).toEqual([[exact.toString()]]);
});

test('contracts are there account by account, with who approved them', {
  timeout: 60_000,
}, async () => {
  await recordPrices(deps(), loadedOf());
  expect(
    await ask(
      "SELECT account, price_id, model, meter, toString(unit_price), toString(factor), approved_by FROM prices WHERE contract = 'acme-2026' ORDER BY account, price_id, meter",
    ),
  ).toEqual(
    ['main', 'spare'].flatMap((account) => [
      [account, 'fixed', 'model-a', 'cache_read', '0.000001', null, ['ben']],
      [account, 'fixed', 'model-a', 'input_uncached', '0.000001', null, ['ben']],
      [account, 'rest', '', '', null, '0.85', ['ben']],
    ]),
  );
  expect(
    await ask(
      "SELECT DISTINCT version, known_from, prepared_by, approved_at, source FROM prices WHERE provider = 'acme-ai' AND contract = ''",
    ),
  ).toHaveLength(1);
});

test('every column says what it is', { timeout: 60_000 }, async () => {
  const described = await warehouse.query<{ name: string; comment: string }>(
    'DESCRIBE TABLE prices',
  );
  expect(described.filter(({ comment }) => comment === '')).toEqual([]);
  expect(described.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'tiers',
      'geos',
      'unit_price',
      'valid_from',
      'valid_to',
      'known_from',
      'retrieved_at',
    ]),
  );
});

test('a version that was edited since it was loaded first is said, and the history stays', {
  timeout: 60_000,
}, async () => {
  await recordPrices(deps(), loadedOf());
  lines.length = 0;
  const before = await ask(
    "SELECT count(), sum(unit_price) FROM prices WHERE provider = 'acme-ai'",
  );
  await recordPrices(
    deps(),
    loadedOf(plainPrices().map((p) => ({ ...p, unit_price: '0.000009' }))),
  );
  expect(
    await ask("SELECT count(), sum(unit_price) FROM prices WHERE provider = 'acme-ai'"),
  ).toEqual(before);
  expect(
    lines.filter((line) => line.includes('not what it was when it was first loaded')),
  ).toHaveLength(1);
});
