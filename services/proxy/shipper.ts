import type { TopicName } from '../../schemas/topics.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog, LogBatch, LogEntry, Subscription } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';

export interface ShipperDeps {
  /** The proxy's own log, opened as its writer in this process: the place shipped is kept in it, and it is trimmed. */
  local: EventLog;
  kafka: EventLog;
  logger: Logger;
  metrics: Metrics;
  clock: Clock;
}

/** The group whose offsets say how much of the local log Kafka has. */
export const SHIPPER_GROUP = 'shipper';
const SHIPPED: readonly TopicName[] = [TOPICS.usageEvents.name, TOPICS.deadLetters.name];
const MAX_ENTRIES = 1_000;
const TRIM_INTERVAL_MS = 1_000;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
/** A refusal does not go away by itself; asked again seldom, in case somebody changes the cluster's settings. */
const REFUSED_BACKOFF_MS = 30_000;
/** How long closing waits for the broker's answer to what is in flight. Without it the same entries go out again later. */
const CLOSE_GRACE_MS = 2_000;

const CLOSING = new ReckonerError(
  'LOG_CLOSED',
  'The shipper was closed before the broker answered.',
);

/** Ends waits early when the shipper closes. */
const createStop = () => {
  const controller = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener('abort', () => reject(CLOSING), { once: true });
  });
  aborted.catch(() => undefined);
  return {
    stop: (): void => controller.abort(),
    /** What the promise gives, or a rejection with CLOSING when the shipper closes first. */
    orClosing: <Value>(promise: Promise<Value>): Promise<Value> => Promise.race([promise, aborted]),
  };
};

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

const createMeters = (metrics: Metrics, clock: Clock, lag: () => number | null) => {
  const sinceMs = new Map<TopicName, number>();
  metrics.gauge(
    'shipper_lag_entries',
    'Entries of the local log not yet acknowledged by Kafka.',
    lag,
  );
  metrics.gauge('shipper_waiting_seconds', 'How long a batch has waited for Kafka.', () => {
    const nowMs = clock.monotonicMs();
    return Math.max(0, ...[...sinceMs.values()].map((ms) => nowMs - ms)) / 1_000;
  });
  return {
    shipped: metrics.counter('shipper_entries_total', 'Entries Kafka has acknowledged.', ['topic']),
    retries: metrics.counter('shipper_retries_total', 'Batches sent again after a failure.'),
    begin: (topic: TopicName): void => void sinceMs.set(topic, clock.monotonicMs()),
    end: (topic: TopicName): void => void sinceMs.delete(topic),
  };
};

/** Sends one batch until Kafka has all of it. Nothing is skipped: an entry Kafka refuses holds what comes after it, and shows. */
const shipBatch = async (
  deps: ShipperDeps,
  batch: LogBatch,
  orClosing: ReturnType<typeof createStop>['orClosing'],
  onRetry: () => void,
): Promise<void> => {
  const entries: LogEntry[] = batch.entries.map(({ topic, key, value }) => ({ topic, key, value }));
  let backoffMs = FIRST_BACKOFF_MS;
  for (;;) {
    try {
      await orClosing(deps.kafka.append(entries).stored);
      return;
    } catch (error) {
      if (error === CLOSING) throw error;
      const code = error instanceof ReckonerError ? error.code : 'unknown';
      const refused = code === 'LOG_APPEND_FAILED';
      const waitMs = refused ? REFUSED_BACKOFF_MS : backoffMs;
      const fields = { code, topic: batch.topic, entries: entries.length, wait_ms: waitMs };
      if (refused) deps.logger.error(fields, 'Kafka refuses events; they stay in the local log');
      else deps.logger.warn(fields, 'Kafka did not take events; they stay in the local log');
      onRetry();
      await orClosing(pause(waitMs));
      backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
    }
  }
};

/** Forgets locally what is committed, and so acknowledged. Behind the commit, never before it: a crash in between only keeps more. */
const createTrimmer = (local: EventLog, logger: Logger) => {
  const trimmedTo = new Map<string, number>();
  let running: Promise<void> = Promise.resolve();
  const trim = async (): Promise<void> => {
    for (const topic of SHIPPED) {
      for (const [partition, offset] of await local.committed(SHIPPER_GROUP, topic)) {
        const place = `${topic}/${partition}`;
        if (offset <= (trimmedTo.get(place) ?? 0)) continue;
        await local.trim({ topic, partition, offset });
        trimmedTo.set(place, offset);
      }
    }
  };
  return (): Promise<void> => {
    running = running.then(trim).catch((error: unknown) => {
      const code = error instanceof ReckonerError ? error.code : 'unknown';
      logger.warn({ code }, 'the local log was not trimmed; it will be with the next turn');
    });
    return running;
  };
};

/**
 * Copies the proxy's events and dead letters to Kafka: in order per partition, same keys and bytes, each batch committed locally
 * after the broker's ack and trimmed after that. While Kafka is away events wait in the local log. A crash between ack
 * and commit sends a batch twice; consumers take an event once, by its id.
 * `ended` rejects only when the local log itself cannot be read.
 */
export const startShipper = async (deps: ShipperDeps): Promise<RunningService> => {
  const { local, logger, metrics, clock } = deps;
  const subscriptions: Subscription[] = [];
  const { stop, orClosing } = createStop();
  const meters = createMeters(metrics, clock, () => {
    const lags = subscriptions.map((subscription) => subscription.lag());
    return lags.reduce<number | null>(
      (sum, lag) => (sum === null || lag === null ? null : sum + lag),
      0,
    );
  });
  for (const topic of SHIPPED) {
    const subscription = local.subscribe({
      topic,
      group: SHIPPER_GROUP,
      maxEntries: MAX_ENTRIES,
      onBatch: async (batch) => {
        meters.begin(topic);
        try {
          await shipBatch(deps, batch, orClosing, () => meters.retries.inc());
          meters.shipped.inc({ topic }, batch.entries.length);
        } finally {
          meters.end(topic);
        }
      },
    });
    subscriptions.push(subscription);
  }
  const trim = createTrimmer(local, logger);
  const timer = setInterval(() => void trim(), TRIM_INTERVAL_MS);
  const ended = Promise.all(subscriptions.map((subscription) => subscription.ended)).then(
    () => undefined,
    (error: unknown) => {
      if (error !== CLOSING) throw error;
    },
  );
  return {
    name: 'shipper',
    ended,
    close: async () => {
      const grace = setTimeout(stop, CLOSE_GRACE_MS);
      await Promise.all(subscriptions.map((subscription) => subscription.close()));
      clearTimeout(grace);
      clearInterval(timer);
      await trim();
    },
  };
};
