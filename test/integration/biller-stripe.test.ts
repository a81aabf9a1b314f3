import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createBiller } from '../../services/biller/main.ts';
import type { Clock } from '../../services/platform/clock.ts';
import { sqlString } from '../../services/platform/warehouse.ts';
import { startSandbox } from '../../services/sandbox/main.ts';
import { openControl, openTestWarehouse, writeLedger } from './console-house.ts';

const HOUR_MS = 3_600_000;
const NOW = Date.parse('2026-11-21T14:20:30.000Z');
const RECORDS = {
  tenants: [{ id: 'acme' }, { id: 'globex' }, { id: 'initech' }],
  mappings: [
    {
      id: 'acme-stripe',
      destination: 'stripe',
      tenant: 'acme',
      customer: 'cus_acme',
      event_name: 'llm_cost_micros',
    },
    {
      id: 'globex-stripe',
      destination: 'stripe',
      tenant: 'globex',
      customer: 'cus_globex',
      event_name: 'llm_cost_micros',
    },
    {
      id: 'acme-chargebee',
      destination: 'chargebee',
      tenant: 'acme',
      subscription: 'sub_acme',
      item_price: 'llm-USD-monthly',
    },
  ],
};
const LINES = [
  { tenant: 'acme', at: '2026-11-20T09:59:59.999Z', amount: '1.0000004' },
  { tenant: 'acme', at: '2026-11-20T10:00:00.000Z', amount: '2.0000004' },
  { tenant: 'acme', at: '2026-11-21T14:00:00.000Z', amount: '3.0000004' },
  { tenant: 'globex', at: '2026-11-21T13:00:00.000Z', amount: '0.25' },
  { tenant: 'globex', at: '2026-11-21T13:30:00.000Z', amount: '9', byoKey: true },
  { tenant: 'initech', at: '2026-11-21T13:00:00.000Z', amount: '7.5' },
];
const PERIOD = { period: '2026-11' };

let store: Awaited<ReturnType<typeof openTestWarehouse>>;
beforeAll(async () => {
  store = await openTestWarehouse();
  await writeLedger(store.warehouse, LINES);
});
afterAll(() => store.drop());

/** Stands between biller and sandbox. While `isLosing`, calls reach the sandbox and their answers are cut off. */
const openBadLine = async (target: string) => {
  const line = { isLosing: false, url: '', posts: 0 };
  const server = createServer((incoming, outgoing) => {
    const onward = request(
      new URL(incoming.url ?? '/', target),
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        if (incoming.method === 'POST') line.posts += 1;
        if (line.isLosing && incoming.method === 'POST') {
          answer.resume().on('end', () => outgoing.destroy());
          return;
        }
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  line.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return line;
};

const openShop = async () => {
  const time = { nowMs: NOW };
  const clock: Clock = { nowMs: () => time.nowMs, monotonicMs: () => performance.now() };
  const sandbox = await startSandbox({ now: () => time.nowMs });
  onTestFinished(() => sandbox.close());
  const line = await openBadLine(sandbox.stripeUrl);
  const house = { ...(await openControl(RECORDS, clock)), warehouse: store.warehouse };
  // An account per test: what is pushed to one says nothing about another.
  const account = expect.getState().currentTestName ?? '';
  const pushes = () =>
    store.warehouse.query(
      `SELECT state, count() AS n FROM billing_pushes WHERE account = ${sqlString(account)} GROUP BY state`,
    );
  const waits: number[] = [];
  const biller = createBiller({
    ...house,
    clock,
    stripe: { apiKey: 'sk_test_sandbox', baseUrl: line.url, account },
    // Time passes by waiting, so that totals which come late do come.
    wait: async (ms) => {
      waits.push(ms);
      time.nowMs += ms;
    },
  });
  const turn = (knobs: object) =>
    fetch(`${sandbox.url}/sandbox/stripe`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(knobs),
    });
  const state = async () =>
    (await (await fetch(`${sandbox.url}/sandbox/stripe`)).json()) as {
      accepted: number;
      duplicates: number;
    };
  return { ...house, biller, clock, time, turn, state, waits, line, pushes };
};

test('a plan shows every hour, the unmapped money, and leaves out what the tenant pays the provider itself', async () => {
  const { biller } = await openShop();
  const plan = await biller.plan(PERIOD);
  // acme: cumulative 1.0000004, 3.0000008, 6.0000012 -> 1000000, 3000001, 6000001; the differences are pushed
  expect(plan.pushes.map((push) => [push.tenant, push.window_start, push.value])).toEqual([
    ['acme', '2026-11-20T09:00:00.000Z', '1000000'],
    ['acme', '2026-11-20T10:00:00.000Z', '2000001'],
    ['acme', '2026-11-21T14:00:00.000Z', '3000000'],
    ['globex', '2026-11-21T13:00:00.000Z', '250000'],
  ]);
  expect(plan.total).toBe('6250001');
  expect(plan.unmapped).toEqual([{ tenant: 'initech', amount_usd: '7.5' }]);
});

test('a push without yes writes and sends nothing', async () => {
  const { biller, pushes, state } = await openShop();
  const run = await biller.push({ ...PERIOD, yes: false });
  expect(run.dry_run).toBe(true);
  expect(run.plan.total).toBe('6250001');
  expect(await pushes()).toEqual([]);
  expect((await state()).accepted).toBe(0);
});

test('what is pushed is read back equal, and a second run sends nothing', async () => {
  const { biller, pushes, state } = await openShop();
  const first = await biller.push({ ...PERIOD, yes: true });
  expect(first.sent).toEqual({ pushes: 4, value: '6250001', duplicates: 0 });
  expect(await biller.verify(PERIOD)).toMatchObject({
    planned: '6250001',
    sent: '6250001',
    read_back: '6250001',
    equal: true,
  });
  const second = await biller.push({ ...PERIOD, yes: true });
  expect(second.plan.pushes).toEqual([]);
  expect(second.sent.pushes).toBe(0);
  expect((await state()).accepted).toBe(4);
  expect(await pushes()).toEqual([{ state: 'verified', n: '4' }]);
});

test('a late event in an hour that was pushed sends its difference under the next revision', async () => {
  const { biller, warehouse, pushes } = await openShop();
  const october = { period: '2026-10' };
  const at = '2026-10-25T13:10:00.000Z';
  await writeLedger(warehouse, [{ tenant: 'globex', at, amount: '0.25' }]);
  await biller.push({ ...october, yes: true });
  // 0.25 + 0.000001 = 0.250001 USD
  await writeLedger(warehouse, [{ tenant: 'globex', at, amount: '0.000001' }]);
  const run = await biller.push({ ...october, yes: true });
  expect(run.plan.pushes).toMatchObject([{ tenant: 'globex', revision: 2, value: '1' }]);
  expect(await biller.verify(october)).toMatchObject({ read_back: '250001', equal: true });
  expect(await pushes()).toEqual([{ state: 'verified', n: '2' }]);
});

test('an answer lost after Stripe took the event is not billed twice', async () => {
  const { biller, turn, state } = await openShop();
  // Stripe's client repeats a cut call once under one idempotency key; after two lost answers the repeat is ours.
  await turn({ lose_next_answers: 6 });
  const run = await biller.push({ ...PERIOD, yes: true });
  expect(run.sent.value).toBe('6250001');
  expect(run.sent.duplicates).toBeGreaterThan(0);
  expect((await state()).accepted).toBe(4);
  expect(await biller.verify(PERIOD)).toMatchObject({ read_back: '6250001', equal: true });
});

test('an outage leaves outcomes unknown; the next run repeats the identifiers and every event counts once', async () => {
  const { biller, line, state } = await openShop();
  line.isLosing = true;
  const broken = await biller.push({ ...PERIOD, yes: true });
  expect(broken.stopped).toContain('did not answer clearly');
  expect(broken.unknown.pushes).toBeGreaterThan(0);
  line.isLosing = false;
  const repaired = await biller.push({ ...PERIOD, yes: true });
  expect(repaired.stopped).toBeNull();
  expect((await state()).accepted).toBe(4);
  expect(await biller.verify(PERIOD)).toMatchObject({ read_back: '6250001', equal: true });
});

test('an outcome unknown for longer than 20 hours is looked up, not repeated', async () => {
  const { biller, line, state, time } = await openShop();
  line.isLosing = true;
  const broken = await biller.push({ ...PERIOD, yes: true });
  // One call each for the two customers; the third chunk member was not called once the first had no clear answer.
  expect(broken.unknown).toEqual({ pushes: 2, value: '1250000' });
  line.isLosing = false;
  const before = await state();
  expect(before.accepted).toBe(2);
  // Past 24 hours the sandbox, like Stripe, has forgotten the identifiers: a blind repeat would count twice.
  time.nowMs += 30 * HOUR_MS;
  const run = await biller.push({ ...PERIOD, yes: true });
  expect(run.stopped).toBeNull();
  expect((await state()).duplicates).toBe(before.duplicates);
  expect((await state()).accepted).toBe(4);
  expect(await biller.verify(PERIOD)).toMatchObject({ read_back: '6250001', equal: true });
});

test('429 is waited out as long as it asks, within bounds', async () => {
  const { biller, turn, waits } = await openShop();
  await turn({ rate_limit_next: 3 });
  const run = await biller.push({ ...PERIOD, yes: true });
  expect(run.sent.value).toBe('6250001');
  expect(waits.length).toBeGreaterThan(0);
  expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
});

test('only one push runs at a time', async () => {
  const { biller } = await openShop();
  const [first, second] = await Promise.allSettled([
    biller.push({ ...PERIOD, yes: true }),
    biller.push({ ...PERIOD, yes: true }),
  ]);
  expect(first.status).toBe('fulfilled');
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'PUSH_FAILED' } });
});

test('a meter that does not exist stops the push before anything is written', async () => {
  const { biller, pushes, apply } = await openShop();
  await apply({
    mappings: [
      {
        id: 'globex-stripe',
        destination: 'stripe',
        tenant: 'globex',
        customer: 'cus_globex',
        event_name: 'nothing_here',
      },
    ],
  });
  await expect(biller.push({ ...PERIOD, yes: true })).rejects.toThrow(/event_name nothing_here/);
  expect(await pushes()).toEqual([]);
});

test('the Chargebee plan has one line a day, in whole micro-USD, with the date in seconds', async () => {
  const { biller } = await openShop();
  const plan = await biller.planChargebee(PERIOD);
  // 20 November 3.0000008 -> 3000001; with 21 November 6.0000012 -> 6000001, so 3000000
  expect(plan.lines.map((line) => [line.day, line.subscription, line.usage])).toEqual([
    [
      '2026-11-20',
      'sub_acme',
      {
        item_price_id: 'llm-USD-monthly',
        quantity: '3000001',
        usage_date: Date.parse('2026-11-20T12:00:00Z') / 1000,
      },
    ],
    [
      '2026-11-21',
      'sub_acme',
      {
        item_price_id: 'llm-USD-monthly',
        quantity: '3000000',
        usage_date: Date.parse('2026-11-21T12:00:00Z') / 1000,
      },
    ],
  ]);
});
