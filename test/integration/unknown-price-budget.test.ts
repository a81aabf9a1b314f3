import { expect, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { book, price } from '../unit/pricing/pricing-fixtures.ts';
import { putHouseBudget } from './house-rig.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { ask, COST } from './proxy-cost-rig.ts';
import { putKey, putUpstream, startTestProxy, startUpstream, until } from './proxy-harness.ts';
import { startRerateHouse } from './rerate-rig.ts';

const warehouse = await openTestWarehouse();
const LATER = '2026-11-15T00:00:00.000Z';
const modelPrices = (model: string, input: string, output: string, knownFrom?: string) => {
  const rest = { model, ...(knownFrom === undefined ? {} : { known_from: knownFrom }) };
  return [price('input_uncached', input, rest), price('output_text', output, rest)];
};
/** 10 USD a million tokens in, 40 out: the dearest the provider has. */
const known = book(modelPrices('gpt-dear', '0.00001', '0.00004'), { provider: 'openai' });
/** And, from the second version on, gpt-new for 1 and 2. */
const next = book(modelPrices('gpt-new', '0.000001', '0.000002', LATER), {
  provider: 'openai',
  version: 2,
  known_from: LATER,
});

test('case 82 · a hard budget counts a model nobody has priced at the dearest price, blocks by it, and follows the price when it arrives', {
  timeout: 60_000,
}, async () => {
  const before = createPriceBooks([known]);
  const after = createPriceBooks([known, next]);
  let books = before;
  const rig = await startRerateHouse(warehouse, before, new Map([['after', after]]));
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end('{"model":"gpt-new","usage":{"prompt_tokens":9,"completion_tokens":1}}');
  });
  await putUpstream(rig.office, { base_url: provider.url, unknown_price: 'ceiling' });
  await putHouseBudget(rig.office, {
    id: 'acme-month',
    tenant: 'acme',
    limit_usd: '0.0001',
    window: 'month',
    warn_at_percent: 80,
  });
  await putKey(rig.office, { budgets: ['acme-month'] });
  const proxy = await startTestProxy({
    office: rig.office,
    localLog: rig.proxy,
    books: () => books,
  });
  const call = () =>
    ask(proxy.url, '{"model":"gpt-new","messages":[]}', {
      path: '/openai/v1/chat/completions',
    });
  const first = await until(async () => {
    const heard = await call();
    return heard.status === 200 ? heard : undefined;
  });
  expect(first.headers[COST]).toBeUndefined();
  // 9 x 0.00001 + 1 x 0.00004 = 0.00013, beyond the limit of 0.0001.
  await until(async () => ((await call()).status === 402 ? true : undefined));
  await rig.house.settle();
  const status = rig.house.budget.status()[0];
  expect(status).toMatchObject({ state: 'block', settled_events: 0 });
  expect(status?.ceiling_usd).toBe(status?.spent_usd);
  const unrated = await warehouse.query<Record<string, string>>(
    `SELECT upstream, unrated_reason, ceiling_usd FROM unrated WHERE tenant = 'acme'`,
  );
  expect(unrated[0]).toMatchObject({
    upstream: 'openai',
    unrated_reason: 'unknown_model',
    ceiling_usd: '0.00013',
  });
  expect(await rig.house.metrics.render()).toMatch(
    /rater_events_unrated_total\{[^}]*reason="unknown_model"[^}]*\} [1-9]/,
  );

  await rig.rerate({ books: 'after', slice: { tenant: 'acme' }, apply: true });
  books = after;
  await rig.house.settle();
  // 9 x 0.000001 + 1 x 0.000002 = 0.000011 a call, and nothing at a ceiling any more.
  const spent = (11n * BigInt(unrated.length)).toString().padStart(6, '0');
  expect(rig.house.budget.status()[0]).toMatchObject({
    spent_usd: `0.${spent}`,
    ceiling_usd: '0',
    settled_events: unrated.length,
  });
  expect(await warehouse.query(`SELECT * FROM unrated WHERE tenant = 'acme'`)).toEqual([]);
  const id = first.headers['x-reckoner-request-id'];
  expect(
    await warehouse.query(
      `SELECT sum(amount_usd) AS usd FROM charges WHERE request_id = '${String(id)}'`,
    ),
  ).toEqual([{ usd: '0.000011' }]);
  const served = await until(async () => {
    const heard = await call();
    return heard.status === 200 ? heard : undefined;
  });
  expect(served.headers[COST]).toBe('0.000011');
});
