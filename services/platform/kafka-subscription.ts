import { ReckonerError } from './errors.ts';
import type { OffsetRange, SubscribeOptions, Subscription } from './event-log.ts';
import { KafkaDelivery } from './kafka-delivery.ts';
import type { Logger } from './logger.ts';

/** What a subscription asks of the cluster, and how it reads. */
export interface SubscriptionSource {
  log: string;
  logger: Logger;
  ranges(): Promise<readonly OffsetRange[]>;
  /** Empty for a reader without a group. */
  committed(): Promise<ReadonlyMap<number, number>>;
  /** Begins to feed the delivery; returns how to stop. */
  start(delivery: KafkaDelivery): Promise<() => Promise<void>>;
}

const POLL_MS = 2_000;
/** Ends older than this are no knowledge: the lag is then unknown. */
const FRESH_MS = 10_000;
/** Entries wait and none has moved for this long, though the cluster answers: a silent consumer is worse than a stopped one. */
const STUCK_MS = 90_000;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2_000;

/**
 * Where each partition begins. A group that has committed anything has begun every partition, at 0 where nothing is named: an
 * expired offset is then told from a beginning.
 */
const startsOf = (
  ranges: readonly OffsetRange[],
  committed: ReadonlyMap<number, number>,
): Map<number, number> =>
  new Map(
    ranges.map(({ partition, start }) => {
      const unnamed = committed.size > 0 ? 0 : start;
      return [partition, committed.get(partition) ?? unnamed];
    }),
  );

class KafkaSubscription implements Subscription {
  readonly caughtUp: Promise<void>;
  readonly ended: Promise<void>;
  readonly #source: SubscriptionSource;
  readonly #options: SubscribeOptions;
  readonly #closed: Promise<void>;
  #delivery: KafkaDelivery | null = null;
  #knownMs = Number.NEGATIVE_INFINITY;
  #closing = false;
  #reportClosed: () => void = () => undefined;
  #reportCaughtUp: () => void = () => undefined;

  constructor(source: SubscriptionSource, options: SubscribeOptions) {
    this.#source = source;
    this.#options = options;
    this.caughtUp = new Promise((resolve) => {
      this.#reportCaughtUp = resolve;
    });
    this.#closed = new Promise((resolve) => {
      this.#reportClosed = resolve;
    });
    this.ended = this.#run();
    this.ended.catch(() => undefined);
  }

  lag(): number | null {
    const fresh = performance.now() - this.#knownMs < FRESH_MS;
    return fresh ? (this.#delivery?.behind() ?? null) : null;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#reportClosed();
    await this.ended.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const delivery = await this.#open();
    if (delivery === null) return;
    this.#delivery = delivery;
    void delivery.caughtUp.then(() => this.#reportCaughtUp());
    // A beginning that is no longer kept fails before anything is fetched.
    if (delivery.stopped) return delivery.failed;
    const stopReading = await this.#source.start(delivery);
    const poll = setInterval(() => void this.#poll(delivery), POLL_MS);
    try {
      await Promise.race([this.#closed, delivery.failed]);
    } finally {
      clearInterval(poll);
      await delivery.stop();
      await stopReading().catch(() => undefined);
    }
  }

  /** Waits for the cluster as long as it takes: an outage at the start is no reason to lose the subscription. */
  async #open(): Promise<KafkaDelivery | null> {
    for (let backoffMs = FIRST_BACKOFF_MS; !this.#closing; ) {
      try {
        const [ranges, committed] = await Promise.all([
          this.#source.ranges(),
          this.#source.committed(),
        ]);
        this.#knownMs = performance.now();
        const starts = startsOf(ranges, committed);
        return new KafkaDelivery({
          log: this.#source.log,
          subscribe: this.#options,
          starts,
          ranges,
        });
      } catch (error) {
        const code = error instanceof ReckonerError ? error.code : 'unknown';
        this.#source.logger.warn({ code, topic: this.#options.topic }, 'subscription waits');
        const pause = new Promise((resolve) => setTimeout(resolve, backoffMs));
        await Promise.race([pause, this.#closed]);
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      }
    }
    return null;
  }

  async #poll(delivery: KafkaDelivery): Promise<void> {
    try {
      const [ranges, committed] = await Promise.all([
        this.#source.ranges(),
        this.#source.committed(),
      ]);
      delivery.observe(ranges, committed);
      this.#knownMs = performance.now();
    } catch {
      // The lag becomes unknown by itself; the reader reports the outage.
      return;
    }
    const stuck = (delivery.behind() ?? 1) > 0 && delivery.idleMs() > STUCK_MS;
    if (!stuck) return;
    delivery.fail(
      new ReckonerError(
        'LOG_UNREACHABLE',
        `Entries of ${this.#options.topic} wait in ${this.#source.log}, which answers, but none has come for ${STUCK_MS} ms. Restart this process; it goes on from what is committed.`,
        { retryable: true },
      ),
    );
  }
}

/** One reader of one topic on a cluster: finds its beginning, reads, watches that it goes on. */
export const subscribeOnKafka = (
  source: SubscriptionSource,
  options: SubscribeOptions,
): Subscription => new KafkaSubscription(source, options);
