import { Writable } from 'node:stream';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import { startBudget } from '../../services/budget/main.ts';
import type { Clock } from '../../services/platform/clock.ts';
import { followControlState } from '../../services/platform/control-state.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { createReconciler } from '../../services/reconciler/main.ts';
import { startReconciliationAge } from '../../services/reconciler/reconciliation-age.ts';
import { ratedEntry as budgetEntry, budgetOf, ratedBytes } from '../unit/budget/rated-entries.ts';
import { openaiCsv } from '../unit/reconciler/statement-files.ts';
import { openTestLog, putHouseBudget, withAppend } from './house-rig.ts';
import { ratedEntry, ratedUsage, usageEvent } from './ledger-facts.ts';
import { openTestWarehouse, rig } from './ledger-rig.ts';

const warehouse = await openTestWarehouse();

const movable = (instant: string) => {
  let nowMs = Date.parse(instant);
  let monotonicMs = 0;
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => monotonicMs };
  const advance = (ms: number): void => {
    nowMs += ms;
    monotonicMs += ms;
  };
  return { clock, advance };
};

/** A logger whose errors can be read. */
const listening = () => {
  const errors: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      errors.push(JSON.parse(chunk.toString()).msg);
      done();
    },
  });
  return { errors, logger: pino({ level: 'error' }, stream) };
};

const metricOf = async (
  metrics: ReturnType<typeof createMetrics>,
  name: string,
): Promise<string | undefined> =>
  new RegExp(`^reckoner_${name}\\{.*\\} (.+)$`, 'm').exec(await metrics.render())?.[1];

test('case 40 · a budget that stops being counted raises an alarm within its half minute, and lowers it when it goes on', async () => {
  const { clock, advance } = movable('2026-11-21T12:00:00.000Z');
  const { errors, logger } = listening();
  const metrics = createMetrics('budget');
  const office = await openTestLog('office');
  // The disk under the signals hangs: nothing fails, nothing ends, and nothing is counted any more.
  const hanging = Promise.withResolvers<void>();
  let hangs = false;
  const log: EventLog = withAppend(office, (entries) => {
    const appended = office.append(entries);
    const isSignal = entries[0]?.topic === TOPICS.budgetSignals.name;
    if (!hangs || !isSignal) return appended;
    return { ...appended, stored: hanging.promise.then(() => appended.stored) };
  });
  const control = followControlState([office], office, clock);
  await putHouseBudget(office, budgetOf({ limit_usd: '10' }));
  const budget = await startBudget({
    rated: log,
    backOffice: log,
    control,
    warehouse,
    clock,
    logger,
    metrics,
  });
  onTestFinished(async () => {
    hanging.resolve();
    await budget.close();
    await control.close();
  });
  await budget.caughtUp;
  const spend = (sequence: number, usd: string) =>
    office.append([
      {
        topic: TOPICS.usageRated.name,
        key: 'acme',
        value: ratedBytes(budgetEntry({ sequence, usd })),
      },
    ]).stored;
  await expect.poll(() => budget.status()[0]?.version, { timeout: 5_000 }).toBe(1);
  expect(await metricOf(metrics, 'budget_stalled')).toBe('0');
  // A quiet hour is no alarm.
  advance(3_600_000);
  expect(await metricOf(metrics, 'budget_stalled')).toBe('0');

  hangs = true;
  await spend(1, '8');
  await spend(2, '1');
  await expect.poll(() => budget.lag(), { timeout: 5_000 }).toBeGreaterThan(0);
  expect(await metricOf(metrics, 'budget_stalled')).toBe('0');
  advance(29_999);
  expect(await metricOf(metrics, 'budget_stalled')).toBe('0');
  advance(1);
  expect(await metricOf(metrics, 'budget_stalled')).toBe('1');
  expect(Number(await metricOf(metrics, 'budget_lag_entries'))).toBeGreaterThan(0);
  expect(errors).toEqual([
    'Rated usage is not being counted against budgets: budgets show too little and do not block. Look for what holds the back office up, or restart it.',
  ]);

  hangs = false;
  hanging.resolve();
  await expect.poll(() => budget.lag(), { timeout: 5_000 }).toBe(0);
  expect(await metricOf(metrics, 'budget_stalled')).toBe('0');
  expect(budget.status()).toMatchObject([{ spent_usd: '9', settled_events: 2 }]);
});

const DAY_MS = 24 * 60 * 60 * 1000;

test('case 42 · the age of the last reconciliation counts from the first charge until there is one, and is overdue after 35 days', async () => {
  const { clock, advance } = movable('2026-11-21T20:00:00.000Z');
  const { errors, logger } = listening();
  const metrics = createMetrics('reconciler');
  const age = await startReconciliationAge({ warehouse, clock, logger, metrics });
  onTestFinished(() => age.close());
  // Nothing was charged yet: there is nothing to reconcile, and an age of zero would say that all is well.
  expect(await metricOf(metrics, 'reconciliation_age_seconds')).toBeUndefined();
  expect(await metricOf(metrics, 'reconciliation_overdue')).toBe('0');

  // Charges of 20:15 on 21 November, in the bucket of 20:00.
  const event = usageEvent({ tenant: 'never-reconciled', number: 1, space: 0x800 });
  await (await rig(warehouse, { backOffice: [ratedEntry(ratedUsage(event))] })).takeAll();
  advance(35 * DAY_MS);
  await age.check();
  // 35 x 86,400
  expect(await metricOf(metrics, 'reconciliation_age_seconds')).toBe('3024000');
  expect(await metricOf(metrics, 'reconciliation_overdue')).toBe('0');
  advance(1);
  expect(await metricOf(metrics, 'reconciliation_overdue')).toBe('1');
  await age.check();
  await age.check();
  expect(errors).toEqual([
    'The ledger has not been held against a statement of this provider for more than 35 days. Import its cost export and reconcile.',
  ]);

  // A restart knows as much: the age is in the books, not in the process.
  const again = createMetrics('reconciler');
  const restarted = await startReconciliationAge({ warehouse, clock, logger, metrics: again });
  onTestFinished(() => restarted.close());
  expect(await metricOf(again, 'reconciliation_overdue')).toBe('1');

  const reconciler = createReconciler({ warehouse, clock, logger });
  await reconciler.importStatement({
    provider: 'openai',
    bytes: new TextEncoder().encode(
      openaiCsv([{ day: '2026-11-21', item: 'gpt-5-mini-2025-08-07, output', amount: '0.0004' }]),
    ),
    fileName: 'openai.csv',
  });
  await reconciler.reconcile({ provider: 'openai', period: '2026-11', tolerance_usd: '1' });
  await age.check();
  expect(await metricOf(metrics, 'reconciliation_age_seconds')).toBe('0');
  expect(await metricOf(metrics, 'reconciliation_overdue')).toBe('0');
});
