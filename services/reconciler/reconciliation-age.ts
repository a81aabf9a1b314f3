import type { Instant } from '../../schemas/instant.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { Waiting } from './core/overdue.ts';
import { longestWaiting } from './core/overdue.ts';

/** A month, and the days a provider takes to state it. */
const OVERDUE_AFTER_MS = 35 * 24 * 60 * 60 * 1000;
const CHECK_EVERY_MS = 5 * 60 * 1000;

/** The watch over how long ago the books were last held against a statement. */
export interface ReconciliationAge extends RunningService {
  /** Looks now: at the start, every five minutes and after a reconciliation. Never rejects: what cannot be read now keeps its last answer. */
  check(): Promise<void>;
}

interface Deps {
  warehouse: Warehouse;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

const readWaiting = async (warehouse: Warehouse): Promise<Waiting | null> => {
  const charges = await warehouse.query<{ provider: string; first: Instant }>(
    "SELECT provider, toDateTime64(min(hour), 3, 'UTC') AS first FROM spend_hourly WHERE NOT byo_key GROUP BY provider",
  );
  const runs = await warehouse.query<{ provider: string; last: Instant }>(
    'SELECT provider, max(run_at) AS last FROM reconciliation GROUP BY provider',
  );
  return longestWaiting(
    new Map(charges.map(({ provider, first }) => [provider, first])),
    new Map(runs.map(({ provider, last }) => [provider, last])),
  );
};

/**
 * Keeps `reckoner_reconciliation_age_seconds` (of the provider waited for longest; absent while nothing was charged) and
 * `reckoner_reconciliation_overdue`, and says in the log, once, when it becomes overdue. It reconciles nothing itself.
 */
export const startReconciliationAge = async (deps: Deps): Promise<ReconciliationAge> => {
  const { warehouse, clock, logger, metrics } = deps;
  let waiting: Waiting | null = null;
  let told: string | undefined;
  const ageMs = (): number | null =>
    waiting === null ? null : Math.max(0, clock.nowMs() - Date.parse(waiting.since));
  const isOverdue = (): boolean => (ageMs() ?? 0) > OVERDUE_AFTER_MS;

  const check = async (): Promise<void> => {
    try {
      waiting = await readWaiting(warehouse);
    } catch (error) {
      logger.warn({ err: error }, 'The age of the last reconciliation could not be read.');
    }
    if (waiting === null || !isOverdue()) told = undefined;
    else if (told !== waiting.provider) {
      told = waiting.provider;
      logger.error(
        { provider: waiting.provider, since: waiting.since },
        'The ledger has not been held against a statement of this provider for more than 35 days. Import its cost export and reconcile.',
      );
    }
  };

  metrics.gauge(
    'reconciliation_age_seconds',
    'Since the last reconciliation, or the first charge where there was none, of the provider waited for longest',
    () => {
      const age = ageMs();
      return age === null ? null : age / 1000;
    },
  );
  metrics.gauge(
    'reconciliation_overdue',
    '1 when a provider with charges was not reconciled for more than 35 days',
    () => (isOverdue() ? 1 : 0),
  );
  await check();
  const timer = setInterval(() => void check(), CHECK_EVERY_MS);
  timer.unref();
  const ended = Promise.withResolvers<void>();
  return {
    name: 'reconciliation-age',
    ended: ended.promise,
    check,
    close: async () => {
      clearInterval(timer);
      ended.resolve();
    },
  };
};
