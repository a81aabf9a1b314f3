import { describe, expect, onTestFinished, test } from 'vitest';
import { encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { readControlTotals } from '../../services/ledger/control-totals.ts';
import type { LogEntry } from '../../services/platform/event-log.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent, uuid } from './ledger-facts.ts';
import { openTestWarehouse, rig } from './ledger-rig.ts';

const warehouse = await openTestWarehouse();

const money = async (tenant: string): Promise<unknown> => {
  const [row] = await warehouse.query(`SELECT
    (SELECT sum(amount_usd) FROM charges WHERE tenant = '${tenant}') AS charges,
    (SELECT sum(amount_usd) FROM spend_hourly WHERE tenant = '${tenant}') AS hourly,
    (SELECT sum(amount_usd) FROM spend_daily WHERE tenant = '${tenant}') AS daily`);
  return row;
};

/** Everything the tables hold of a tenant, as text. */
const contents = async (tenant: string): Promise<string> =>
  JSON.stringify([
    await warehouse.query(
      `SELECT event_json FROM usage WHERE tenant = '${tenant}' ORDER BY event_id`,
    ),
    await warehouse.query(
      `SELECT * FROM charges WHERE tenant = '${tenant}' ORDER BY entry_id, meter`,
    ),
    await warehouse.query(`SELECT * FROM spend_hourly WHERE tenant = '${tenant}' ORDER BY ALL`),
  ]);

describe('taking facts', () => {
  test('the archive holds the exact bytes of an event beside its columns', async () => {
    const entry = usageEntry(
      usageEvent({ tenant: 'bytes', number: 1, space: 0x100, feature: 'search' }),
    );
    await (await rig(warehouse, { usage: [entry] })).takeAll();
    const [row] = await warehouse.query(
      "SELECT event_json, raw_usage, event_ts, feature, classes, http_status, supersedes FROM usage_archive WHERE tenant = 'bytes'",
    );
    expect(row).toEqual({
      event_json: Buffer.from(entry.value ?? []).toString(),
      raw_usage: usageEvent({ tenant: 'bytes', number: 1, space: 0x100 }).raw_usage,
      event_ts: '2026-11-21T20:15:00.123Z',
      feature: 'search',
      classes: { input_uncached: '1000', output_text: '200' },
      http_status: 200,
      supersedes: '',
    });
  });

  test('three calls at 0.00065 USD each are 0.00195 USD in charges, hourly and daily spend', async () => {
    const events = [1, 2, 3].map((number) => usageEvent({ tenant: 'sum', number, space: 0x110 }));
    const entries = events.map((event) => ratedEntry(ratedUsage(event)));
    await (await rig(warehouse, { usage: events.map(usageEntry), backOffice: entries })).takeAll();
    expect(await money('sum')).toEqual({ charges: '0.00195', hourly: '0.00195', daily: '0.00195' });
    expect(
      await warehouse.query(
        "SELECT hour, feature, meter, quantity, amount_usd, lines FROM spend_hourly WHERE tenant = 'sum' ORDER BY meter",
      ),
    ).toEqual([
      // 3 x 1000 x 0.00000025 and 3 x 200 x 0.000002
      {
        hour: '2026-11-21T20:00:00.000Z',
        feature: 'unattributed',
        meter: 'input_uncached',
        quantity: '3000',
        amount_usd: '0.00075',
        lines: '3',
      },
      {
        hour: '2026-11-21T20:00:00.000Z',
        feature: 'unattributed',
        meter: 'output_text',
        quantity: '600',
        amount_usd: '0.0012',
        lines: '3',
      },
    ]);
  });

  test('a replay of the same logs into the same store changes nothing', async () => {
    const events = Array.from({ length: 50 }, (_, index) =>
      usageEvent({
        tenant: 'replay',
        number: index + 1,
        space: 0x120,
        eventTs: `2026-${index % 2 ? '10' : '11'}-05T0${index % 10}:00:00.000Z`,
      }),
    );
    const facts = {
      usage: events.map(usageEntry),
      backOffice: events.map((event) => ratedEntry(ratedUsage(event))),
    };
    const first = await (await rig(warehouse, facts)).takeAll();
    expect(first).toMatchObject({ archived: 50, entries: 50, duplicates: 0, conflicts: 0 });
    const before = await contents('replay');
    const again = await (await rig(warehouse, facts)).takeAll();
    expect(again).toMatchObject({ archived: 0, entries: 0, duplicates: 100, conflicts: 0 });
    expect(await contents('replay')).toBe(before);
  });

  test('a replay after the tokens are forgotten changes nothing', async () => {
    const events = [1, 2].map((number) => usageEvent({ tenant: 'restored', number, space: 0x130 }));
    const facts = {
      usage: events.map(usageEntry),
      backOffice: events.map((event) => ratedEntry(ratedUsage(event))),
    };
    await (await rig(warehouse, facts)).takeAll();
    const before = await contents('restored');
    // What a restore or a table exchange does: the rows are there, the memory of tokens is not.
    for (const table of ['usage_archive', 'ledger_entries']) {
      await warehouse.command(`CREATE TABLE ${table}_copy AS ${table}`);
      await warehouse.command(`INSERT INTO ${table}_copy SELECT * FROM ${table}`);
      await warehouse.command(`EXCHANGE TABLES ${table} AND ${table}_copy`);
      await warehouse.command(`DROP TABLE ${table}_copy SYNC`);
    }
    expect(await (await rig(warehouse, facts)).takeAll()).toMatchObject({
      archived: 0,
      entries: 0,
      duplicates: 4,
    });
    expect(await contents('restored')).toBe(before);
  });
});

describe('corrections', () => {
  test('a reversal is a row of its own: charge, reversal and new charge survive FINAL and a merge', async () => {
    const event = usageEvent({ tenant: 'rerated', number: 1, space: 0x200 });
    const dearer = usageEvent({ tenant: 'rerated', number: 1, space: 0x200, outputTokens: '300' });
    const started = await rig(warehouse, { backOffice: [ratedEntry(ratedUsage(event))] });
    await started.takeAll();
    const next: LogEntry[] = [
      ratedEntry(ratedUsage(event, { kind: 'reversal' })),
      ratedEntry(ratedUsage(dearer, { revision: 2 })),
    ];
    await started.backOffice.append(next).stored;
    await started.takeAll();
    await warehouse.command('OPTIMIZE TABLE ledger_entries FINAL');
    expect(
      await warehouse.query(
        "SELECT kind, revision, total_usd FROM ledger_entries FINAL WHERE tenant = 'rerated' ORDER BY revision, kind",
      ),
    ).toEqual([
      { kind: 'charge', revision: 1, total_usd: '0.00065' },
      { kind: 'reversal', revision: 1, total_usd: '-0.00065' },
      { kind: 'charge', revision: 2, total_usd: '0.00085' },
    ]);
    // 0.00065 - 0.00065 + (1000 x 0.00000025 + 300 x 0.000002) = 0.00085
    expect(await money('rerated')).toEqual({
      charges: '0.00085',
      hourly: '0.00085',
      daily: '0.00085',
    });
  });

  test('a superseded fact is left out of usage, and stays in the archive', async () => {
    const pending = usageEvent({ tenant: 'superseded', number: 1, space: 0x210 });
    const closed = {
      ...usageEvent({ tenant: 'superseded', number: 2, space: 0x210 }),
      supersedes: pending.event_id,
    };
    await (await rig(warehouse, { usage: [usageEntry(pending), usageEntry(closed)] })).takeAll();
    expect(await warehouse.query("SELECT event_id FROM usage WHERE tenant = 'superseded'")).toEqual(
      [{ event_id: closed.event_id }],
    );
    expect(
      await warehouse.query("SELECT count() AS n FROM usage_archive WHERE tenant = 'superseded'"),
    ).toEqual([{ n: '2' }]);
  });

  test('an unrated event shows until a later revision prices it, and never costs zero', async () => {
    const event = usageEvent({ tenant: 'unpriced', number: 1, space: 0x220 });
    const started = await rig(warehouse, {
      backOffice: [ratedEntry(ratedUsage(event, { unrated: true }))],
    });
    await started.takeAll();
    const shown = () =>
      warehouse.query("SELECT event_id, unrated_reason FROM unrated WHERE tenant = 'unpriced'");
    expect(await shown()).toEqual([{ event_id: event.event_id, unrated_reason: 'unknown_model' }]);
    expect(
      await warehouse.query("SELECT total_usd FROM ledger_entries WHERE tenant = 'unpriced'"),
    ).toEqual([{ total_usd: null }]);
    await started.backOffice.append([
      ratedEntry(ratedUsage(event, { kind: 'reversal', unrated: true })),
      ratedEntry(ratedUsage(event, { revision: 2 })),
    ]).stored;
    await started.takeAll();
    expect(await shown()).toEqual([]);
    expect(await money('unpriced')).toMatchObject({ charges: '0.00065', hourly: '0.00065' });
  });
});

describe('rollups', () => {
  test('equal a GROUP BY of the charges, to the last digit', async () => {
    const events = Array.from({ length: 400 }, (_, index) =>
      usageEvent({
        tenant: `group-${index % 3}`,
        number: index + 1,
        space: 0x300,
        eventTs: new Date(Date.UTC(2026, 9, 31, 20) + index * 61_000).toISOString(),
        outputTokens: String(1 + index * 7),
        ...(index % 4 ? { feature: `feature-${index % 4}` } : {}),
        model: `model-${index % 2}`,
      }),
    );
    await (
      await rig(warehouse, { backOffice: events.map((event) => ratedEntry(ratedUsage(event))) })
    ).takeAll();
    const keys = 'period, tenant, feature, upstream, provider, model, tier, meter, byo_key';
    const grouped =
      await warehouse.query(`SELECT toDateTime64(toStartOfHour(event_ts), 3, 'UTC') AS hour, ${keys},
      sum(quantity) AS quantity, sum(amount_usd) AS amount_usd, count() AS lines
      FROM charges WHERE tenant LIKE 'group-%' GROUP BY hour, ${keys} ORDER BY ALL`);
    expect(grouped.length).toBeGreaterThan(80);
    expect(
      await warehouse.query(
        `SELECT hour, ${keys}, quantity, amount_usd, lines FROM spend_hourly WHERE tenant LIKE 'group-%' ORDER BY ALL`,
      ),
    ).toEqual(grouped);
  });

  test('a group that vanished from the ledger vanishes from the view', async () => {
    const vanishing = usageEvent({ tenant: 'vanish', number: 1, space: 0x310, feature: 'gone' });
    const staying = usageEvent({ tenant: 'vanish', number: 2, space: 0x310, feature: 'here' });
    const started = await rig(warehouse, { backOffice: [ratedEntry(ratedUsage(vanishing))] });
    await started.takeAll();
    const features = () =>
      warehouse.query("SELECT DISTINCT feature FROM spend_hourly WHERE tenant = 'vanish'");
    expect(await features()).toEqual([{ feature: 'gone' }]);
    await warehouse.command(
      "ALTER TABLE ledger_entries DELETE WHERE tenant = 'vanish' SETTINGS mutations_sync = 2",
    );
    await started.backOffice.append([ratedEntry(ratedUsage(staying))]).stored;
    await started.takeAll();
    expect(await features()).toEqual([{ feature: 'here' }]);
  });

  test('a pass that fails costs the ledger nothing and is repeated', async () => {
    const event = usageEvent({ tenant: 'failing', number: 1, space: 0x320 });
    let failures = 2;
    const failing = {
      ...warehouse,
      command: (sql: string) => {
        if (!sql.startsWith('INSERT INTO rollup_hourly') || failures === 0)
          return warehouse.command(sql);
        failures -= 1;
        return warehouse.command('SELECT throwIf(1)');
      },
    };
    const started = await rig(failing, { backOffice: [ratedEntry(ratedUsage(event))] });
    const ledger = await started.start();
    onTestFinished(() => ledger.close());
    await expect
      .poll(() => money('failing'), { timeout: 10_000 })
      .toMatchObject({ charges: '0.00065', hourly: '0.00065' });
    expect(failures).toBe(0);
  });

  test('a crash between ledger and rollup heals at the next start', async () => {
    const event = usageEvent({ tenant: 'healing', number: 1, space: 0x330 });
    const dying = {
      ...warehouse,
      command: (sql: string) =>
        sql.startsWith('INSERT INTO rollup_hourly')
          ? new Promise<void>(() => undefined)
          : warehouse.command(sql),
    };
    const started = await rig(dying, { backOffice: [ratedEntry(ratedUsage(event))] });
    const abandoned = await started.start();
    await expect.poll(() => abandoned.status().entries, { timeout: 10_000 }).toBe(1);
    expect(await money('healing')).toMatchObject({ charges: '0.00065', hourly: '0' });
    await (await rig(warehouse)).takeAll();
    expect(await money('healing')).toMatchObject({ charges: '0.00065', hourly: '0.00065' });
  });
});

test('every version of a control record and of a signal is kept, the same version once', async () => {
  const record = (name: string, time: string): LogEntry => ({
    topic: TOPICS.controlRecords.name,
    key: 'tenant/history',
    value: encodeEnvelope(
      'controlRecord',
      { id: 'tenant/history', source: '/test', subject: 'house', time },
      { kind: 'tenant', id: 'history', deleted: false, body: { id: 'history', name } },
    ),
  });
  const signal: LogEntry = {
    topic: TOPICS.budgetSignals.name,
    key: 'budget/history',
    value: encodeEnvelope(
      'budgetSignal',
      {
        id: 'budget/history/7',
        source: '/test',
        subject: 'history',
        time: '2026-11-21T20:15:00.123Z',
      },
      {
        scope: 'budget/history',
        budget_id: 'history',
        tenant: 'history',
        version: 7,
        state: 'warn',
        limit_usd: '10',
        spent_usd: '8',
        issued_at: '2026-11-21T20:15:00.123Z',
      },
    ),
  };
  const first = record('First', '2026-11-21T20:15:00.000Z');
  const second = record('Second', '2026-11-21T20:16:00.000Z');
  const started = await rig(warehouse, { backOffice: [first, signal] });
  await started.takeAll();
  await started.backOffice.append([second]).stored;
  await started.takeAll();
  await (await rig(warehouse, { backOffice: [second, signal] })).takeAll();
  expect(
    await warehouse.query(`SELECT topic, kind, version, JSONExtractString(data_json, 'body', 'name') AS name
      FROM control_history FINAL WHERE record_key LIKE '%/history' ORDER BY recorded_at, topic`),
  ).toEqual([
    { topic: 'control.records.v1', kind: 'tenant', version: '0', name: 'First' },
    { topic: 'budget.signals.v1', kind: 'signal', version: '7', name: '' },
    { topic: 'control.records.v1', kind: 'tenant', version: '0', name: 'Second' },
  ]);
});

test('control totals tell a missing sequence, a missing entry and an equal sum', async () => {
  const before = await readControlTotals(warehouse);
  const events = [1, 2, 4].map((number) =>
    usageEvent({ tenant: 'totals', number, space: 0x400, boot: uuid(0x400, 99) }),
  );
  await (
    await rig(warehouse, {
      usage: events.map(usageEntry),
      backOffice: events.slice(0, 2).map((event) => ratedEntry(ratedUsage(event))),
    })
  ).takeAll();
  const after = await readControlTotals(warehouse);
  expect(BigInt(after.events) - BigInt(before.events)).toBe(3n);
  expect(BigInt(after.rated) - BigInt(before.rated)).toBe(2n);
  expect(BigInt(after.events_without_entry) - BigInt(before.events_without_entry)).toBe(1n);
  expect(after.difference_usd).toBe('0');
  expect(after.sequences.find((run) => run.proxy_id === 'proxy-totals')).toEqual({
    proxy_id: 'proxy-totals',
    boot_id: uuid(0x400, 99),
    first: '1',
    last: '4',
    events: '3',
    missing: '1',
    repeated: '0',
  });
});
