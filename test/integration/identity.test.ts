import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import { budgetOf } from '../unit/budget/rated-entries.ts';
import { openTestLog, putHouseBudget, spendOf, startTestHouse } from './house-rig.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent, uuid } from './ledger-facts.ts';
import { openTestWarehouse, rig } from './ledger-rig.ts';
import {
  call,
  putKey,
  putUpstream,
  readAll,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const warehouse = await openTestWarehouse();

const CHAT = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] });

/** Calls through a real proxy to an upstream that answers so, then the whole house; the ids the archive holds, and the money. */
const callThrough = async (
  tenant: string,
  replies: readonly { id: string | null; header?: string; prompt: number; output: number }[],
) => {
  const office = await openTestLog('office');
  const localLog = await openTestLog('proxy-1');
  let calls = 0;
  const upstream = await startUpstream((_req, res) => {
    const reply = replies[calls++];
    res.writeHead(200, {
      'content-type': 'application/json',
      ...(reply?.header === undefined ? {} : { 'x-request-id': reply.header }),
    });
    res.end(
      JSON.stringify({
        id: reply?.id,
        model: 'gpt-4o-2024-08-06',
        service_tier: 'default',
        choices: [
          { index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' },
        ],
        usage: { prompt_tokens: reply?.prompt, completion_tokens: reply?.output },
      }),
    );
  });
  await putUpstream(office, { base_url: upstream.url });
  await putKey(office, { tenant });
  const { url } = await startTestProxy({ office, localLog });
  for (const _ of replies) {
    expect((await call(`${url}/openai/v1/chat/completions`, CHAT)).status).toBe(200);
  }
  const house = await startTestHouse({ warehouse, office, usageEvents: [localLog] });
  await house.settle();
  const rows = await warehouse.query<{ event_id: string; theirs: string }>(
    `SELECT event_id, provider_request_id AS theirs FROM usage WHERE tenant = '${tenant}' ORDER BY event_ts`,
  );
  return { rows, spend: await spendOf(warehouse, tenant) };
};

describe('identity is ours', () => {
  test('case 25 · an upstream that numbers its replies from one again after a restart: three replies, three events, three charges', async () => {
    const { rows, spend } = await callThrough('repeating-ids', [
      { id: 'chatcmpl-1', header: 'req-1', prompt: 1000, output: 200 },
      { id: 'chatcmpl-1', header: 'req-1', prompt: 2000, output: 200 },
      { id: 'chatcmpl-1', header: 'req-1', prompt: 1000, output: 200 },
    ]);
    expect(rows.map(({ theirs }) => theirs)).toEqual(['req-1', 'req-1', 'req-1']);
    expect(new Set(rows.map(({ event_id }) => event_id)).size).toBe(3);
    // (1000 + 2000 + 1000) x 0.00000025 + 3 x 200 x 0.000002 = 0.001 + 0.0012
    expect(spend).toEqual({ events: '3', charges: '0.0022', hourly: '0.0022', daily: '0.0022' });
  });

  test.each([
    ['null in the body, no header', 'no-id', null, undefined],
    ['null in the header too', 'null-id', null, 'null'],
    ['None in both', 'none-id', 'None', 'None'],
  ])(
    'case 26 · an upstream whose reply has no id (%s): nothing is filed under a shared one',
    async (_name, tenant, id, header) => {
      const reply = { id, prompt: 1000, output: 200, ...(header === undefined ? {} : { header }) };
      const { rows, spend } = await callThrough(tenant, [reply, reply]);
      expect(rows.map(({ theirs }) => theirs)).toEqual(['', '']);
      expect(new Set(rows.map(({ event_id }) => event_id)).size).toBe(2);
      // 2 x (1000 x 0.00000025 + 200 x 0.000002) = 2 x 0.00065
      expect(spend).toEqual({ events: '2', charges: '0.0013', hourly: '0.0013', daily: '0.0013' });
    },
  );

  test('case 30 · two emitters of the same calls, a sidecar and a plugin: every event counts once, in the ledger and in the budget', async () => {
    const tenant = 'two-emitters';
    const office = await openTestLog('office');
    const sidecar = await openTestLog('sidecar');
    const plugin = await openTestLog('plugin');
    await putHouseBudget(office, budgetOf({ id: tenant, tenant, limit_usd: '1', window: 'total' }));
    const entries = [1, 2, 3, 4].map((number) =>
      usageEntry(usageEvent({ tenant, number, space: 0x600 })),
    );
    await sidecar.append(entries.slice(0, 3)).stored;
    const house = await startTestHouse({ warehouse, office, usageEvents: [sidecar, plugin] });
    await house.settle();
    await plugin.append(entries).stored;
    await house.settle();
    // 4 x 0.00065
    expect(await spendOf(warehouse, tenant)).toEqual({
      events: '4',
      charges: '0.0026',
      hourly: '0.0026',
      daily: '0.0026',
    });
    expect(house.budget.status()).toMatchObject([{ spent_usd: '0.0026', settled_events: 4 }]);
    // Three repeated events in the archive, three repeated entries in the ledger; none is a conflict.
    expect(house.ledger.status()).toMatchObject({ duplicates: 6, conflicts: 0 });
  });
});

test('case 31 · what was held for a call and what the call then cost are not both spent: no false block at half of the budget', async () => {
  const tenant = 'held-and-settled';
  const office = await openTestLog('office');
  const proxy = await openTestLog('proxy');
  await putHouseBudget(office, budgetOf({ id: tenant, tenant, limit_usd: '1', window: 'total' }));
  const reservation_id = uuid(0x650, 99);
  // Held: an estimate of 250,000 output tokens x 0.000002 + 1000 x 0.00000025 = 0.50025 USD.
  const held: UsageEvent = {
    ...usageEvent({ tenant, number: 1, space: 0x650, outputTokens: '250000' }),
    ending: 'estimated',
    reservation_id,
  };
  // Settled: 249,875 x 0.000002 + 1000 x 0.00000025 = 0.5 USD, exactly half of the budget.
  const settled: UsageEvent = {
    ...usageEvent({ tenant, number: 2, space: 0x650, outputTokens: '249875' }),
    attempt_id: held.attempt_id,
    request_id: held.request_id,
    supersedes: held.event_id,
    reservation_id,
  };
  await proxy.append([usageEntry(held)]).stored;
  const house = await startTestHouse({ warehouse, office, usageEvents: [proxy] });
  await house.settle();
  expect(house.budget.status()).toMatchObject([{ spent_usd: '0.50025' }]);
  const states: string[] = [];
  const spent = () => {
    const [row] = house.budget.status();
    if (row && states.at(-1) !== row.state) states.push(row.state);
    return row?.spent_usd;
  };
  await proxy.append([usageEntry(settled)]).stored;
  await expect.poll(spent, { timeout: 20_000, interval: 5 }).not.toBe('0.50025');
  expect(spent()).toBe('0.5');
  await house.settle();
  expect(states).not.toContain('block');
  expect(house.budget.status()).toMatchObject([
    { spent_usd: '0.5', settled_events: 1, state: 'clear' },
  ]);
  expect(await spendOf(warehouse, tenant)).toEqual({
    events: '1',
    charges: '0.5',
    hourly: '0.5',
    daily: '0.5',
  });
  const signals = (await readAll(office, TOPICS.budgetSignals.name)).map(({ value }) => {
    const decoded = decodeEnvelope('budgetSignal', value ?? new Uint8Array());
    return decoded.ok ? decoded.value.data.state : decoded.detail;
  });
  expect(signals).not.toContain('block');
});

describe('a flush that fails half-way', () => {
  /** One statement of a rollup pass takes 200 buckets, so 1,000 hours are five statements: the keys of the incident. */
  const HOURS = 1_000;
  const START = Date.UTC(2026, 8, 1);

  test('case 32 · the third of five statements of a flush fails and is sent again: the first two are not added twice, and what arrives meanwhile is not cleared', async () => {
    const tenant = 'half-flushed';
    // The two last ones fall into the first hours again.
    const events = Array.from({ length: HOURS + 2 }, (_, index) =>
      usageEvent({
        tenant,
        number: index + 1,
        space: 0x620,
        eventTs: new Date(START + (index % HOURS) * 3_600_000).toISOString(),
      }),
    );
    const entries = events.map((event) => ratedEntry(ratedUsage(event)));
    /** While a pass is under way another charge reaches the ledger, in a bucket that the pass has written already. */
    const arrive = async (number: number): Promise<void> => {
      await started.backOffice.append(entries.slice(HOURS + number - 1, HOURS + number)).stored;
      await expect.poll(() => ledger.status().entries, { timeout: 20_000 }).toBe(HOURS + number);
    };
    let statements = 0;
    const failing: Warehouse = {
      ...warehouse,
      command: async (sql) => {
        if (!sql.startsWith('INSERT INTO rollup_hourly')) return warehouse.command(sql);
        statements += 1;
        if (statements === 2) await arrive(1);
        if (statements === 3) return warehouse.command('SELECT throwIf(1)');
        // The second pass: 4 to 8.
        if (statements === 5) await arrive(2);
        return warehouse.command(sql);
      },
    };
    // Nothing is tidied up behind the reader's back: what was written twice lies there twice.
    await warehouse.command('SYSTEM STOP MERGES rollup_hourly');
    onTestFinished(() => warehouse.command('SYSTEM START MERGES rollup_hourly'));
    const started = await rig(failing, { backOffice: entries.slice(0, HOURS) });
    const ledger = await started.start();
    try {
      // The pass of the statement that fails rejects here; the one after it has all.
      await ledger.caughtUp.catch(() => undefined);
      await expect.poll(() => ledger.status().rollups.dirtyBuckets, { timeout: 20_000 }).toBe(0);
      await ledger.flushRollups();
    } finally {
      await ledger.close();
    }
    expect(ledger.status().rollups.failures).toBe(1);
    expect(statements).toBeGreaterThanOrEqual(9);
    // 1,002 x 0.00065
    const sum = '0.6513';
    expect(
      await warehouse.query(`SELECT (SELECT sum(amount_usd) FROM charges WHERE tenant = '${tenant}') AS charges,
        (SELECT sum(amount_usd) FROM spend_hourly WHERE tenant = '${tenant}') AS hourly,
        (SELECT sum(amount_usd) FROM spend_daily WHERE tenant = '${tenant}') AS daily`),
    ).toEqual([{ charges: sum, hourly: sum, daily: sum }]);
  });
});

test('case 42 · a correction that is sent twice corrects once', async () => {
  const tenant = 'corrected-twice';
  const event = usageEvent({ tenant, number: 1, space: 0x640 });
  const dearer = usageEvent({ tenant, number: 1, space: 0x640, outputTokens: '300' });
  const correction = [
    ratedEntry(ratedUsage(event, { kind: 'reversal' })),
    ratedEntry(ratedUsage(dearer, { revision: 2 })),
  ];
  const started = await rig(warehouse, {
    usage: [usageEntry(event)],
    backOffice: [ratedEntry(ratedUsage(event)), ...correction],
  });
  await started.takeAll();
  await started.backOffice.append(correction).stored;
  expect(await started.takeAll()).toMatchObject({ entries: 0, duplicates: 2, conflicts: 0 });
  expect(
    await warehouse.query(
      `SELECT count() AS entries FROM ledger_entries WHERE tenant = '${tenant}'`,
    ),
  ).toEqual([{ entries: '3' }]);
  // 0.00065 - 0.00065 + (1000 x 0.00000025 + 300 x 0.000002) = 0.00085
  expect(await spendOf(warehouse, tenant)).toEqual({
    events: '1',
    charges: '0.00085',
    hourly: '0.00085',
    daily: '0.00085',
  });
  expect([...(await started.backOffice.committed('ledger', TOPICS.usageRated.name))]).not.toEqual(
    [],
  );
});
