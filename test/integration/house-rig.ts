import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { Budget } from '../../schemas/budget.ts';
import type { DataOf } from '../../schemas/envelope.ts';
import { decodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { BudgetService } from '../../services/budget/main.ts';
import { startBudget } from '../../services/budget/main.ts';
import type { RunningLedger } from '../../services/ledger/main.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { followControlState } from '../../services/platform/control-state.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import type { Metrics } from '../../services/platform/metrics.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { untilCommitted } from '../../services/platform/until-committed.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import type { RunningRater } from '../../services/rater/main.ts';
import { startRater } from '../../services/rater/main.ts';
import { book, price } from '../unit/pricing/pricing-fixtures.ts';
import { putRecord, readAll, until } from './proxy-harness.ts';

/** The prices of `ledger-facts.ts`: 0.00000025 USD an input token, 0.000002 an output token. */
const models = ['gpt-5-mini-2025-08-07', 'gpt-4o-2024-08-06'];
export const BOOKS = createPriceBooks([
  book(
    models.flatMap((model) => [
      price('input_uncached', '0.00000025', { model }),
      price('output_text', '0.000002', { model }),
    ]),
    { provider: 'openai', standard_tiers: ['default', 'standard'] },
  ),
]);

/** A log on disk in a directory of the test's own. */
export const openTestLog = async (name: string, directory = newDirectory()): Promise<EventLog> => {
  const log = await openLmdbEventLog({ directory: join(directory, name), name });
  onTestFinished(() => log.close());
  return log;
};

export const newDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-house-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

/** A log that appends in another way and is the same otherwise. */
export const withAppend = (log: EventLog, append: EventLog['append']): EventLog =>
  new Proxy(log, {
    get: (target, property) => {
      if (property === 'append') return append;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

export const putHouseBudget = (log: EventLog, budget: Budget): Promise<void> =>
  putRecord(log, { kind: 'budget', body: budget });

/** A back office over real logs and a real warehouse, in this process. */
export interface TestHouse {
  readonly rater: RunningRater;
  readonly budget: BudgetService;
  readonly ledger: RunningLedger;
  readonly metrics: Metrics;
  /** Resolves once all that is in the logs now is rated, counted, in the ledger and in the rollups. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export const startTestHouse = async (logs: {
  warehouse: Warehouse;
  office: EventLog;
  usageEvents: readonly EventLog[];
  books?: PriceBooks | (() => PriceBooks);
  closedPeriods?: () => ReadonlySet<string>;
}): Promise<TestHouse> => {
  const { warehouse, office, usageEvents, books = BOOKS, closedPeriods = () => new Set() } = logs;
  const metrics = createMetrics('house');
  const logger = createLogger('house', 'silent');
  const clock = systemClock;
  const control = followControlState([office], office, clock);
  const shared = { warehouse, clock, logger, metrics };
  const rater = await startRater({
    ...shared,
    usageEvents,
    backOffice: office,
    books: typeof books === 'function' ? books : () => books,
    closedPeriods,
    untilInLedger: () =>
      untilCommitted(office, { group: 'ledger', topic: TOPICS.usageRated.name }, 10_000),
  });
  const budget = await startBudget({ ...shared, rated: office, backOffice: office, control });
  const ledger = await startLedger({ ...shared, usageEvents, rated: office, backOffice: office });
  const services = [ledger, budget, rater, control];
  for (const { ended } of services) ended.catch(() => undefined);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      for (const service of services) await service.close();
    })();
    return closed;
  };
  onTestFinished(close);
  return {
    rater,
    budget,
    ledger,
    metrics,
    settle: async () => {
      const failed = Promise.race(services.map(({ ended }) => ended)).then(() => {
        throw new Error('a service ended');
      });
      failed.catch(() => undefined);
      const settled = until(
        // In this order: what the rater has not written yet is in nobody's lag.
        () => rater.lag() === 0 && budget.lag() === 0 && ledger.lag() === 0,
      );
      await Promise.race([settled, failed]);
      await ledger.flushRollups();
    },
    close,
  };
};

/** What a tenant's spend is, each figure read at its own place. */
export const spendOf = async (warehouse: Warehouse, tenant: string): Promise<unknown> => {
  const [row] = await warehouse.query(`SELECT
    (SELECT count() FROM usage WHERE tenant = '${tenant}') AS events,
    (SELECT sum(amount_usd) FROM charges WHERE tenant = '${tenant}') AS charges,
    (SELECT sum(amount_usd) FROM spend_hourly WHERE tenant = '${tenant}') AS hourly,
    (SELECT sum(amount_usd) FROM spend_daily WHERE tenant = '${tenant}') AS daily`);
  return row;
};

/** The dead letters of a log. */
export const deadLettersOf = async (log: EventLog): Promise<DataOf<'deadLetter'>[]> =>
  (await readAll(log, TOPICS.deadLetters.name)).map(({ value }) => {
    const decoded = decodeEnvelope('deadLetter', value ?? new Uint8Array());
    if (!decoded.ok) throw new Error(decoded.detail);
    return decoded.value.data;
  });
