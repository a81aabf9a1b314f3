import { join } from 'node:path';
import { TOPICS } from '../../schemas/topics.ts';
import { createBiller } from '../biller/main.ts';
import { startBudget } from '../budget/main.ts';
import { applyRecords } from '../console/apply-records.ts';
import { startConsole } from '../console/main.ts';
import type { ConsoleReconciler } from '../console/ports.ts';
import { readControlTotals } from '../ledger/control-totals.ts';
import { LEDGER_GROUP, startLedger } from '../ledger/main.ts';
import { readOpenItems } from '../ledger/open-items.ts';
import { openWarehouse } from '../platform/clickhouse-warehouse.ts';
import { systemClock } from '../platform/clock.ts';
import type { LoadedConfig } from '../platform/config.ts';
import { houseSecret } from '../platform/config.ts';
import { closedPeriodsOf, followControlState } from '../platform/control-state.ts';
import { ReckonerError } from '../platform/errors.ts';
import { followPriceBooks } from '../platform/follow-price-books.ts';
import type { Logger } from '../platform/logger.ts';
import { createLogger } from '../platform/logger.ts';
import { createMetrics } from '../platform/metrics.ts';
import { migrate } from '../platform/migrate.ts';
import { startPriceHistory } from '../platform/price-history.ts';
import { startPriceWatch } from '../platform/price-watch.ts';
import { untilCommitted } from '../platform/until-committed.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { startRater } from '../rater/main.ts';
import type { Reconciler } from '../reconciler/main.ts';
import { createReconciler } from '../reconciler/main.ts';
import type { ReconciliationAge } from '../reconciler/reconciliation-age.ts';
import { startReconciliationAge } from '../reconciler/reconciliation-age.ts';
import { readItemsCsv } from '../reconciler/sources/items-csv.ts';
import { startAcknowledging } from './acknowledge-logs.ts';
import { createHouseReporter } from './house-reporter.ts';
import { createHouseRerater } from './house-rerater.ts';
import type { OpenLogs } from './open-logs.ts';
import { openBackOfficeLogs } from './open-logs.ts';
import { announceReady, runUntilStopped } from './run-process.ts';

const CLOSE_TIMEOUT_MS = 30_000;
/** How long later facts wait for the ledger at a time: longer than it needs for what re-rating appends at once, shorter than closing may take. */
const LEDGER_WAIT_MS = 10_000;
const IN_LEDGER = { group: LEDGER_GROUP, topic: TOPICS.usageRated.name };

const openStore = (loaded: LoadedConfig): Promise<Warehouse> => {
  const store = loaded.config.process.warehouse;
  if (store.kind === 'chdb') {
    return openWarehouse({ kind: 'chdb', directory: join(loaded.dataDir, 'warehouse') });
  }
  return openWarehouse({
    kind: 'clickhouse',
    url: store.url,
    username: store.username,
    ...(store.password ? { password: loaded.resolveSecret(store.password) } : {}),
  });
};

/** The token that opens console and admin API: configured, or made at first start. */
export const bootstrapToken = (loaded: LoadedConfig): string => {
  const reference = loaded.config.process.back_office.bootstrap_token;
  return reference
    ? loaded.resolveSecret(reference)
    : houseSecret(loaded.dataDir, 'bootstrap-token');
};

const startPipeline = async (
  { logs, warehouse, logger }: { logs: OpenLogs; warehouse: Warehouse; logger: Logger },
  loaded: LoadedConfig,
) => {
  const clock = systemClock;
  const metrics = createMetrics('back-office');
  const pepper = houseSecret(loaded.dataDir, 'pepper');
  const control = followControlState([logs.house], logs.house, clock);
  await control.caughtUp;
  await applyRecords({
    records: loaded.config.records,
    control,
    backOffice: logs.house,
    pepper,
    resolveSecret: loaded.resolveSecret,
    clock,
  });
  const shared = { warehouse, clock, logger, metrics };
  const { usageEvents, house } = logs;
  const prices = followPriceBooks({ folders: loaded.priceFolders, logger, metrics });
  const rater = await startRater({
    usageEvents,
    backOffice: house,
    warehouse,
    books: prices.current,
    closedPeriods: () => closedPeriodsOf(control.state),
    untilInLedger: () => untilCommitted(house, IN_LEDGER, LEDGER_WAIT_MS),
    clock,
    logger,
    metrics,
  });
  const budget = await startBudget({ ...shared, rated: house, backOffice: house, control });
  const ledger = await startLedger({ ...shared, usageEvents, rated: house, backOffice: house });
  const reconciliationAge = await startReconciliationAge(shared);
  const priceWatch = startPriceWatch({
    prices,
    staleAfterDays: loaded.config.process.prices.stale_after_days,
    clock,
    logger,
    metrics,
  });
  const priceHistory = startPriceHistory({ ...shared, prices });
  const services = [prices, control, ledger, budget, rater, reconciliationAge];
  return {
    ...{ prices, priceWatch, control, rater, budget, ledger, reconciliationAge, metrics, pepper },
    shared,
    services: [...services, priceWatch, priceHistory],
  };
};

const worstLag = (...lags: (number | null)[]): number | null =>
  lags.some((lag) => lag === null) ? null : lags.reduce<number>((sum, lag) => sum + (lag ?? 0), 0);

/** The reconciler as the console asks for it: text in, checked here. */
const consoleReconciler = (reconciler: Reconciler, age: ReconciliationAge): ConsoleReconciler => ({
  importStatement: ({ provider, csv, fileName }) => {
    if (provider !== 'openai' && provider !== 'anthropic') {
      throw new ReckonerError(
        'REQUEST_INVALID',
        `Statements of ${provider} cannot be read yet. Expected provider openai or anthropic.`,
      );
    }
    return reconciler.importStatement({ provider, bytes: Buffer.from(csv), fileName });
  },
  reconcile: async ({ itemsCsv, ...request }) => {
    const report = await reconciler.reconcile({
      ...request,
      ...(itemsCsv === undefined
        ? {}
        : { items: readItemsCsv(Buffer.from(itemsCsv), 'items.csv') }),
    });
    await age.check();
    return report;
  },
});

const startDesk = (
  pipeline: Awaited<ReturnType<typeof startPipeline>>,
  { logs, warehouse }: { logs: OpenLogs; warehouse: Warehouse },
  loaded: LoadedConfig,
) => {
  const { control, shared, rater, budget, ledger } = pipeline;
  const stripe = loaded.config.process.stripe;
  const biller = createBiller({
    ...shared,
    control,
    ...(stripe
      ? {
          stripe: {
            apiKey: loaded.resolveSecret(stripe.api_key),
            ...(stripe.base_url ? { baseUrl: stripe.base_url } : {}),
            ...(stripe.account ? { account: stripe.account } : {}),
          },
        }
      : {}),
  });
  const reconciler = createReconciler({
    warehouse,
    books: pipeline.prices.current,
    clock: shared.clock,
    logger: shared.logger,
  });
  const { host, port } = loaded.config.process.back_office;
  return startConsole({
    ...shared,
    config: { host, port },
    token: bootstrapToken(loaded),
    control,
    backOffice: logs.house,
    budgets: () => budget.status(),
    freshness: async () => ({
      asOf: shared.clock.nowMs(),
      lagEvents: worstLag(rater.lag(), budget.lag(), ledger.lag()),
      controlTotals: await readControlTotals(warehouse),
    }),
    biller,
    reconciler: consoleReconciler(reconciler, pipeline.reconciliationAge),
    rerater: createHouseRerater({
      ...pipeline,
      ...shared,
      house: logs.house,
      priceFolders: loaded.priceFolders,
    }),
    reporter: createHouseReporter({
      ...shared,
      usageEvents: logs.usageEvents,
      prices: () => {
        const { books, contracts } = pipeline.prices.loaded();
        return { books: books.books, contracts };
      },
    }),
    periods: {
      openItems: (period) => readOpenItems(warehouse, period),
      runAlone: (work) => rater.runAlone(work),
    },
    prices: pipeline.priceWatch.books,
    pepper: pipeline.pepper,
    resolveSecret: loaded.resolveSecret,
  });
};

/**
 * `reckoner serve back-office`: rater, ledger, budget, reconciler, biller and console in one process, since chDB is
 * opened by one. `wrapLogs` lets the demo put a saboteur between the logs and their readers.
 */
export const runBackOfficeProcess = async (
  loaded: LoadedConfig,
  wrapLogs: (logs: OpenLogs) => OpenLogs = (logs) => logs,
): Promise<number> => {
  const config = loaded.config.process;
  const logger = createLogger('back-office', config.log_level);
  houseSecret(loaded.dataDir, 'pepper');
  const logs = wrapLogs(await openBackOfficeLogs({ config, dataDir: loaded.dataDir, logger }));
  const warehouse = await openStore(loaded);
  await migrate(warehouse);
  const pipeline = await startPipeline({ logs, warehouse, logger }, loaded);
  const desk = await startDesk(pipeline, { logs, warehouse }, loaded);
  logger.info({ url: desk.url }, 'back office ready');
  announceReady({ name: 'back-office', url: desk.url });
  const acknowledging = startAcknowledging(logs.acknowledged, logger);
  return runUntilStopped(
    {
      services: [...pipeline.services, desk, acknowledging],
      resources: [warehouse, logs],
      logger,
    },
    CLOSE_TIMEOUT_MS,
  );
};
