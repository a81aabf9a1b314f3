import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import { ReckonerError } from '../../services/platform/errors.ts';
import type { LogEntry } from '../../services/platform/event-log.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import { budgetOf } from '../unit/budget/rated-entries.ts';
import {
  deadLettersOf,
  newDirectory,
  openTestLog,
  putHouseBudget,
  spendOf,
  startTestHouse,
  withAppend,
} from './house-rig.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent, uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { startTestProxy } from './proxy-harness.ts';

const warehouse = await openTestWarehouse();

const CHILD = fileURLToPath(new URL('./lost-spend-child.ts', import.meta.url));

const runChild = async (directory: string, events: number, point: string) => {
  const child = spawn(process.execPath, [CHILD, directory, String(events), point], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const [code, signal] = await once(child, 'close');
  return { code, signal, output };
};

test('case 33 · a consumer killed between taking a batch and committing it gets it again, and it counts once', async () => {
  const directory = newDirectory();
  // Taken from the log, not yet inserted: forgotten with the process, unless the log gives it again.
  expect(await runChild(directory, 10, 'before-insert')).toMatchObject({ signal: 'SIGKILL' });
  // Inserted, not yet committed: given again together with what came meanwhile, so in another batch than before.
  expect(await runChild(directory, 15, 'after-insert')).toMatchObject({ signal: 'SIGKILL' });
  const last = await runChild(directory, 20, 'never');
  expect(last.code).toBe(0);
  // 20 x 0.00065; counted without FINAL, so that the engine has nothing to hide.
  expect(JSON.parse(last.output)).toEqual({
    taken: 5,
    held: { archive: '20', entries: '20', charges: '0.013', hourly: '0.013' },
  });
});

test('case 34 · ratings that were drained into memory and then could not be made durable are not lost', async () => {
  const tenant = 'drained';
  const office = await openTestLog('office');
  const proxy = await openTestLog('proxy');
  const events = [1, 2, 3].map((number) => usageEvent({ tenant, number, space: 0x700 }));
  await proxy.append(events.map(usageEntry)).stored;
  const failing = withAppend(office, (entries) => {
    const { stored } = office.append(entries);
    const durable = stored.then(() => Promise.reject(new Error('the flush failed')));
    durable.catch(() => undefined);
    return { stored, durable };
  });
  const broken = await startTestHouse({ warehouse, office: failing, usageEvents: [proxy] });
  await expect(Promise.race([broken.rater.caughtUp, broken.rater.ended])).rejects.toThrow(
    'the flush failed',
  );
  await broken.close();
  expect([...(await proxy.committed('rater', TOPICS.usageEvents.name))]).toEqual([]);
  const house = await startTestHouse({ warehouse, office, usageEvents: [proxy] });
  await house.settle();
  // 3 x 0.00065
  expect(await spendOf(warehouse, tenant)).toEqual({
    events: '3',
    charges: '0.00195',
    hourly: '0.00195',
    daily: '0.00195',
  });
});

test('case 38 · seventy writers of one tenant at once: no lock between them, every event once', {
  timeout: 60_000,
}, async () => {
  const tenant = 'seventy';
  const WRITERS = 70;
  const EACH = 3;
  const directory = newDirectory();
  const office = await openTestLog('office', directory);
  const writers = await Promise.all(
    Array.from({ length: WRITERS }, (_, index) => openTestLog(`writer-${index}`, directory)),
  );
  await putHouseBudget(office, budgetOf({ id: tenant, tenant, limit_usd: '100', window: 'total' }));
  const house = await startTestHouse({ warehouse, office, usageEvents: writers });
  const entryOf = (writer: number, index: number): LogEntry =>
    usageEntry(
      usageEvent({
        tenant,
        number: index + 1,
        space: 0x1000 + writer * 4,
        boot: uuid(0x1000 + writer * 4, 0xb007),
      }),
    );
  await Promise.all(
    writers.map(async (log, writer) => {
      for (let index = 0; index < EACH; index += 1) {
        // Each tells its neighbour's event too, at the same time as the neighbour does.
        const neighbour = entryOf((writer + 1) % WRITERS, index);
        await log.append([entryOf(writer, index), neighbour]).stored;
      }
    }),
  );
  await house.settle();
  // 70 x 3 = 210 events at 0.00065 = 0.1365; counted without FINAL, so that the engine has nothing to hide.
  expect(await spendOf(warehouse, tenant)).toEqual({
    events: '210',
    charges: '0.1365',
    hourly: '0.1365',
    daily: '0.1365',
  });
  expect(
    await warehouse.query(`SELECT count() AS rows FROM usage_archive WHERE tenant = '${tenant}'`),
  ).toEqual([{ rows: '210' }]);
  expect(house.budget.status()).toMatchObject([{ spent_usd: '0.1365', settled_events: 210 }]);
  expect(house.ledger.status()).toMatchObject({ conflicts: 0, invalid: 0 });
});

test('case 39 · numbers beyond 2^31 and 2^32, 10 B tokens a call, sums beyond 2^53 micro-dollars: exact everywhere', async () => {
  const tenant = 'large';
  const office = await openTestLog('office');
  const proxy = await openTestLog('proxy');
  await putHouseBudget(
    office,
    budgetOf({ id: tenant, tenant, limit_usd: '20000000000', window: 'total' }),
  );
  const facts = [
    { sequence: 2 ** 31 + 1, input_uncached: '10000000000', output_text: '1' },
    { sequence: 2 ** 32 + 2, input_uncached: '4', output_text: '5000000000000000' },
    { sequence: 2 ** 33 + 3, input_uncached: '0', output_text: '1' },
  ];
  const events = facts.map(({ sequence, ...classes }, index) => ({
    ...usageEvent({ tenant, number: index + 1, space: 0x720 }),
    sequence,
    classes,
  }));
  await proxy.append(events.map(usageEntry)).stored;
  const house = await startTestHouse({ warehouse, office, usageEvents: [proxy] });
  await house.settle();
  // 10,000,000,000 x 0.00000025 + 1 x 0.000002 = 2500.000002; 4 x 0.00000025 + 5,000,000,000,000,000 x 0.000002 =
  // 10,000,000,000.000001, which is 10,000,000,000,000,001 micro-dollars and beyond 2^53 = 9,007,199,254,740,992; 0.000002.
  const sum = '10000002500.000005';
  expect(await spendOf(warehouse, tenant)).toEqual({
    events: '3',
    charges: sum,
    hourly: sum,
    daily: sum,
  });
  expect(
    await warehouse.query(
      `SELECT meter, quantity FROM spend_daily WHERE tenant = '${tenant}' ORDER BY meter`,
    ),
  ).toEqual([
    { meter: 'input_uncached', quantity: '10000000004' },
    { meter: 'output_text', quantity: '5000000000000002' },
  ]);
  expect(house.budget.status()).toMatchObject([{ spent_usd: sum, settled_events: 3 }]);
  expect(
    await warehouse.query(
      `SELECT sequence FROM usage WHERE tenant = '${tenant}' ORDER BY sequence`,
    ),
  ).toEqual([{ sequence: '2147483649' }, { sequence: '4294967298' }, { sequence: '8589934595' }]);
});

describe('what the warehouse does not take', () => {
  const refusal = new ReckonerError('WAREHOUSE_FAILED', 'The warehouse refused the insert.');

  test('case 43 · an insert that fails for good is not committed, and is taken after a restart', async () => {
    const tenant = 'refused';
    const office = await openTestLog('office');
    const event = usageEvent({ tenant, number: 1, space: 0x730 });
    const proxy = await openTestLog('proxy');
    await proxy.append([usageEntry(event)]).stored;
    const refusing: Warehouse = {
      ...warehouse,
      insert: (block) =>
        block.table === 'ledger_entries' ? Promise.reject(refusal) : warehouse.insert(block),
    };
    const broken = await startTestHouse({ warehouse: refusing, office, usageEvents: [proxy] });
    await broken.rater.caughtUp;
    await expect(
      Promise.race([
        broken.ledger.ended,
        expect.poll(() => broken.ledger.status().lag.ledger).toBe(0),
      ]),
    ).rejects.toMatchObject({ code: 'WAREHOUSE_FAILED' });
    await broken.close();
    expect([...(await office.committed('ledger', TOPICS.usageRated.name))]).toEqual([]);
    const house = await startTestHouse({ warehouse, office, usageEvents: [proxy] });
    await house.settle();
    expect(await spendOf(warehouse, tenant)).toMatchObject({ events: '1', charges: '0.00065' });
  });

  test('case 44 · what can never be taken is in the dead letters with its bytes and counted by reason; the rest goes on', async () => {
    const tenant = 'unacceptable';
    const office = await openTestLog('office');
    const proxy = await openTestLog('proxy');
    const [good, twin] = [1, 2].map((number) => usageEvent({ tenant, number, space: 0x740 }));
    const wrong = {
      ...ratedUsage(usageEvent({ tenant, number: 3, space: 0x740 })),
      total_usd: '1',
    };
    const unreadable = {
      topic: TOPICS.usageEvents.name,
      key: tenant,
      value: Buffer.from('{"half":'),
    };
    const conflict = usageEntry({ ...twin!, model: 'another' });
    const invalid = ratedEntry(wrong);
    await proxy.append([unreadable, usageEntry(good!), usageEntry(twin!), conflict]).stored;
    await office.append([invalid]).stored;
    const house = await startTestHouse({ warehouse, office, usageEvents: [proxy] });
    await house.settle();
    const letters = await deadLettersOf(office);
    // The rater and the archive both read usage events, and each tells what it cannot read. The rating of the conflicting event is
    // in conflict itself.
    expect(letters.map(({ topic, reason }) => `${topic} ${reason}`).sort()).toEqual([
      'usage.events.v1 conflict',
      'usage.events.v1 unreadable',
      'usage.events.v1 unreadable',
      'usage.rated.v1 conflict',
      'usage.rated.v1 invalid',
    ]);
    const kept = new Set(letters.map(({ bytes }) => bytes));
    for (const { value } of [unreadable, conflict, invalid]) {
      expect(kept).toContain(Buffer.from(value ?? []).toString('base64'));
    }
    const metrics = await house.metrics.render();
    const counted = [...metrics.matchAll(/^reckoner_dead_letters_total\{(.*)\} (\d+)$/gm)].map(
      ([, labels, count]) => `${labels?.replace(/,?service="house"/, '')} ${count}`,
    );
    expect(counted.sort()).toEqual([
      'topic="usage.events.v1",reason="conflict" 1',
      'topic="usage.events.v1",reason="unreadable" 2',
      'topic="usage.rated.v1",reason="conflict" 1',
      'topic="usage.rated.v1",reason="invalid" 1',
    ]);
    expect(await spendOf(warehouse, tenant)).toMatchObject({ events: '2' });
    expect(house.ledger.lag()).toBe(0);
  });

  test('case 44 · an opened record of a proxy that cannot be read is kept and counted, once', async () => {
    const office = await openTestLog('office');
    const localLog = await openTestLog('proxy-1');
    const value = Buffer.from('{"half":');
    await localLog.append([{ topic: TOPICS.attempts.name, key: 'torn', value }]).stored;
    const counted = async (): Promise<string | undefined> => {
      const { metrics, proxy } = await startTestProxy({ office, localLog });
      await proxy.close();
      return /^reckoner_dead_letters_total\{(.*)\} 1$/m.exec(await metrics.render())?.[1];
    };
    expect(await counted()).toContain('topic="attempts.opened.v1",reason="unreadable"');
    // The next start finds it told and closed.
    expect(await counted()).toBeUndefined();
    const letters = await deadLettersOf(localLog);
    expect(letters.map(({ bytes }) => bytes)).toEqual([value.toString('base64')]);
  });
});
