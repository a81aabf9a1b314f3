import type { PriceBooks } from '../../pricing/price-books.ts';
import { encodeEnvelope } from '../../schemas/envelope.ts';
import type { Period } from '../../schemas/instant.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import { consumeBatches, deadLetterCounter } from '../platform/consume-batches.ts';
import type { EventLog, LogEntry } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { postedAs, postingPeriods } from './core/posting-period.ts';
import type { RatedBatch } from './core/rate-batch.ts';
import { rateBatch } from './core/rate-batch.ts';
import type { StoredRatings } from './stored-ratings.ts';
import { readStoredRatings } from './stored-ratings.ts';
import type { Supersessions } from './supersessions.ts';
import { createSupersessions } from './supersessions.ts';

export interface RaterDependencies {
  /** Logs that hold usage events: one a proxy, or the cluster's. */
  usageEvents: readonly EventLog[];
  /** Where ratings and dead letters go. */
  backOffice: EventLog;
  /** Holds the ledger, where entries that a later fact supersedes are looked up. */
  warehouse: Warehouse;
  /** The prices in force; asked once a batch, so that a batch is rated by one set. */
  books: () => PriceBooks;
  /** Months nothing is posted into any more; what is late for them goes into the first open one. None when left out. */
  closedPeriods?: () => ReadonlySet<Period>;
  /** Resolves when the ledger has all that has been appended before. Needed wherever usage is rated again. */
  untilInLedger?: () => Promise<void>;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

export interface RunningRater extends RunningService {
  /** Resolves once every event written before the start has been rated. */
  readonly caughtUp: Promise<void>;
  /** Events not yet rated, or null while that cannot be known. */
  lag(): number | null;
  /** Does `work` while no entry is being taken the place of, so that two never reverse the same charge. */
  runAlone<T>(work: () => Promise<T>): Promise<T>;
}

const instruments = (metrics: Metrics, lag: () => number | null, waiting: () => number) => {
  metrics.gauge('rater_lag_events', 'Usage events written but not yet rated.', lag);
  metrics.gauge(
    'rater_supersessions_waiting',
    'Ratings of later facts that wait for the entry they replace. More than a moment: look why.',
    waiting,
  );
  return {
    rated: metrics.counter('rater_events_rated_total', 'Usage events rated.'),
    unrated: metrics.counter('rater_events_unrated_total', 'Usage events left unrated.', [
      'reason',
    ]),
    statedCosts: metrics.counter(
      'rater_stated_costs_total',
      'Events whose provider stated a cost itself, and whether it is what the books say.',
      ['provider', 'verdict'],
    ),
    statedTotals: metrics.counter(
      'rater_stated_totals_total',
      'Events by whether the token total the provider states is the sum of our classes.',
      ['provider', 'verdict'],
    ),
  };
};

/** What is appended of a batch: ratings, and those apart that first have to take the place of another. */
const entriesOf = (
  batch: RatedBatch,
  supersessions: Supersessions,
  at: { stored: StoredRatings; postingPeriodOf: (period: Period) => Period },
): LogEntry[] =>
  batch.envelopes.map(({ key, outer, rated }) =>
    rated.supersedes === undefined
      ? {
          topic: TOPICS.usageRated.name,
          key,
          value:
            at.stored.get(rated.entry_id) ??
            encodeEnvelope('ratedUsage', outer, postedAs(rated, at.postingPeriodOf)),
        }
      : supersessions.entryOf(rated),
  );

/** The group under which usage events are rated. */
export const RATER_GROUP = 'rater';
const BATCH_ENTRIES = 1_000;
const NOTHING_STORED: StoredRatings = new Map();

/**
 * Turns usage.events.v1 into usage.rated.v1. Ratings of a batch are durable before the batch is committed, so a crash
 * repeats them with the same identity and the same bytes, whatever the books are by then. Prices are as known when the newest loaded
 * book was published, never as of now: a replay tomorrow must rate alike. Books are swapped between batches only.
 */
export const startRater = async (deps: RaterDependencies): Promise<RunningRater> => {
  const closedPeriods = deps.closedPeriods ?? (() => new Set<Period>());
  const supersessions = createSupersessions({ ...deps, closedPeriods });
  await supersessions.start();
  let stored = await readStoredRatings(deps.backOffice, deps.usageEvents, {
    group: RATER_GROUP,
    batchEntries: BATCH_ENTRIES,
  });
  const consumption = consumeBatches({
    logs: deps.usageEvents,
    topic: TOPICS.usageEvents.name,
    kind: 'usageEvent',
    group: RATER_GROUP,
    maxEntries: BATCH_ENTRIES,
    deadLetters: deps.backOffice,
    onDeadLetters: deadLetterCounter(deps.metrics),
    clock: deps.clock,
    onRecords: async (records) => {
      const books = deps.books();
      const batch = rateBatch(
        records.map(({ envelope }) => envelope.data),
        books,
        books.newestKnownFrom,
      );
      const postingPeriodOf = postingPeriods(closedPeriods());
      const appended = deps.backOffice.append(
        entriesOf(batch, supersessions, { stored, postingPeriodOf }),
      );
      await appended.stored;
      await appended.durable;
      for (const { rated } of batch.envelopes) if (rated.supersedes) supersessions.hold(rated);
      counters.rated.inc(batch.rated);
      for (const witness of batch.witnesses) counters.statedCosts.inc({ ...witness });
      for (const total of batch.totals) counters.statedTotals.inc({ ...total });
      for (const [reason, count] of batch.unrated) {
        counters.unrated.inc({ reason }, count);
        deps.logger.warn({ reason, count }, 'usage events left unrated');
      }
    },
  });
  const counters = instruments(
    deps.metrics,
    () => consumption.lag(),
    () => supersessions.waiting(),
  );
  const forgetStored = (): void => {
    stored = NOTHING_STORED;
  };
  consumption.caughtUp.then(forgetStored, forgetStored);
  deps.logger.info({ known_at: deps.books().newestKnownFrom }, 'rater started');
  const ended = Promise.race([
    consumption.ended,
    supersessions.ended.then(() => consumption.ended),
  ]);
  ended.catch(() => undefined);
  return {
    name: 'rater',
    caughtUp: consumption.caughtUp,
    ended,
    lag: () => consumption.lag(),
    runAlone: (work) => supersessions.between(work),
    close: async () => {
      await consumption.close();
      await supersessions.close();
    },
  };
};
