import { setTimeout as sleep } from 'node:timers/promises';
import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted, PARTITIONS } from '../../schemas/topics.ts';
import { ReckonerError } from './errors.ts';
import type {
  Appended,
  EventLog,
  LogEntry,
  OffsetRange,
  Position,
  StoredEntry,
  SubscribeOptions,
  Subscription,
} from './event-log.ts';
import type { ProduceSession } from './kafka-appender.ts';
import { KafkaAppender } from './kafka-appender.ts';
import type { KafkaDelivery } from './kafka-delivery.ts';
import type { ClusterDoor } from './kafka-direct-reader.ts';
import { followDirectly, rangesDirectly, readDirectly } from './kafka-direct-reader.ts';
import type { GroupMember } from './kafka-group-reader.ts';
import { gatherBatches } from './kafka-group-reader.ts';
import { subscribeOnKafka } from './kafka-subscription.ts';
import { logClosed, logTrimmed } from './log-errors.ts';
import type { Logger } from './logger.ts';

/** The part of the kafkajs admin client a log needs. */
export interface LogAdmin {
  fetchOffsets(options: {
    groupId: string;
    topics: string[];
  }): Promise<{ partitions: { partition: number; offset: string }[] }[]>;
  deleteTopicRecords(options: {
    topic: string;
    partitions: { partition: number; offset: string }[];
  }): Promise<void>;
  disconnect(): Promise<void>;
}

/** What a log needs of its Kafka client. Made by the one file that imports kafkajs. */
export interface KafkaDoors {
  admin: LogAdmin;
  openSession(signal: AbortSignal): Promise<ProduceSession>;
  openMember(groupId: string, topic: string): GroupMember;
  /** The signal ends its retries. */
  openCluster(signal: AbortSignal): ClusterDoor;
}

export interface KafkaLogOptions {
  name: string;
  /** Before every topic and group on the cluster, so that several houses share one. */
  prefix: string;
  logger: Logger;
}

const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const CLOSE_GRACE_MS = 5_000;
const ATTEMPTS = 4;
const FIRST_BACKOFF_MS = 100;
const ALL_PARTITIONS: readonly number[] = Array.from({ length: PARTITIONS }, (_, index) => index);

/** An `EventLog` on a Kafka cluster. `stored` and `durable` both mean: acknowledged by every replica in step. */
export class KafkaEventLog implements EventLog {
  readonly name: string;
  readonly #doors: KafkaDoors;
  readonly #options: KafkaLogOptions;
  readonly #appender: KafkaAppender;
  readonly #over = new AbortController();
  readonly #subscriptions = new Set<Subscription>();
  /** For questions and reads; each subscription has its own. */
  readonly #door: ClusterDoor;
  #closed = false;

  constructor(doors: KafkaDoors, options: KafkaLogOptions) {
    this.name = options.name;
    this.#doors = doors;
    this.#options = options;
    this.#door = doors.openCluster(this.#over.signal);
    this.#appender = new KafkaAppender({
      name: options.name,
      openSession: (signal) => doors.openSession(signal),
      topicOnCluster: (topic) => this.#onCluster(topic),
      logger: options.logger,
      maxQueuedBytes: MAX_QUEUED_BYTES,
    });
  }

  append(entries: readonly LogEntry[]): Appended {
    return this.#appender.append(entries);
  }

  async read(from: Position, maxEntries: number): Promise<readonly StoredEntry[]> {
    const range = (await this.ranges(from.topic)).find((one) => one.partition === from.partition);
    if (range === undefined || from.offset >= range.end) return [];
    if (from.offset < range.start) throw logTrimmed(this.name, from, range.start);
    const reader = { door: this.#door, topicOnCluster: this.#onCluster(from.topic) };
    return this.#asking('read', () => readDirectly(reader, from, { end: range.end, maxEntries }));
  }

  subscribe(options: SubscribeOptions): Subscription {
    if (this.#closed) return closedSubscription(this.name);
    const { topic, group } = options;
    const subscription = subscribeOnKafka(
      {
        log: this.name,
        logger: this.#options.logger,
        ranges: () => this.ranges(topic),
        committed: async () => (group === undefined ? new Map() : this.committed(group, topic)),
        start: (delivery) =>
          group === undefined
            ? this.#followAlone(topic, delivery)
            : this.#followInGroup(group, topic, delivery),
      },
      options,
    );
    this.#subscriptions.add(subscription);
    const gone = (): void => void this.#subscriptions.delete(subscription);
    subscription.ended.then(gone, gone);
    return subscription;
  }

  async committed(group: string, topic: TopicName): Promise<ReadonlyMap<number, number>> {
    const groupId = this.#options.prefix + group;
    const topics = [this.#onCluster(topic)];
    const answer = await this.#asking('committed', () =>
      this.#doors.admin.fetchOffsets({ groupId, topics }),
    );
    const offsets = new Map<number, number>();
    for (const { partition, offset } of answer.flatMap(({ partitions }) => partitions)) {
      if (Number(offset) >= 0) offsets.set(partition, Number(offset));
    }
    return offsets;
  }

  async ranges(topic: TopicName): Promise<readonly OffsetRange[]> {
    return this.#asking('ranges', () =>
      rangesDirectly(this.#door, this.#onCluster(topic), ALL_PARTITIONS),
    );
  }

  /** Nothing to do: the brokers compact, in their own time. */
  async compact(_topic: TopicName): Promise<void> {
    if (this.#closed) throw logClosed(this.name);
  }

  async trim(before: Position): Promise<void> {
    if (isCompacted(before.topic)) {
      throw new ReckonerError(
        'REQUEST_INVALID',
        `The topic ${before.topic} is compacted and Kafka trims no such topic. Write a tombstone for what must go.`,
      );
    }
    const range = (await this.ranges(before.topic)).find(
      ({ partition }) => partition === before.partition,
    );
    const offset = Math.min(before.offset, range?.end ?? 0);
    if (range === undefined || offset <= range.start) return;
    await this.#asking('trim', () =>
      this.#doors.admin.deleteTopicRecords({
        topic: this.#onCluster(before.topic),
        partitions: [{ partition: before.partition, offset: String(offset) }],
      }),
    );
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#closed = true;
    this.#over.abort();
    await this.#appender.close(CLOSE_GRACE_MS);
    await this.#door.disconnect();
    await this.#doors.admin.disconnect();
  }

  #onCluster(topic: TopicName): string {
    return this.#options.prefix + topic;
  }

  /** Asks the cluster, again after a lost connection or a leader that moved. */
  async #asking<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer> {
    let backoffMs = FIRST_BACKOFF_MS;
    for (let attempt = 1; ; attempt++) {
      if (this.#closed) throw logClosed(this.name);
      try {
        return await ask();
      } catch (error) {
        if (attempt === ATTEMPTS) throw unreachable(this.name, what, error);
        await sleep(backoffMs);
        backoffMs *= 3;
        // Leaders may have moved. When this fails too, the next attempt says why.
        await this.#door.refreshMetadata().catch(() => undefined);
      }
    }
  }

  async #followAlone(topic: TopicName, delivery: KafkaDelivery): Promise<() => Promise<void>> {
    const over = new AbortController();
    const door = this.#doors.openCluster(over.signal);
    delivery.assign(ALL_PARTITIONS, 'kept');
    const following = followDirectly(
      {
        door,
        topic,
        topicOnCluster: this.#onCluster(topic),
        partitions: ALL_PARTITIONS,
        ranges: () => this.ranges(topic),
        logger: this.#options.logger,
      },
      delivery,
    ).catch((error: unknown) => delivery.fail(error));
    return async () => {
      over.abort();
      await following;
      await door.disconnect();
    };
  }

  async #followInGroup(
    group: string,
    topic: TopicName,
    delivery: KafkaDelivery,
  ): Promise<() => Promise<void>> {
    const onCluster = this.#onCluster(topic);
    const member = this.#doors.openMember(this.#options.prefix + group, onCluster);
    const onOutOfRange = async (partition: number): Promise<void> => {
      const ranges = await this.ranges(topic);
      delivery.failOutOfRange(
        partition,
        ranges.find((range) => range.partition === partition),
      );
    };
    const running = member.run({
      onJoin: (partitions) => delivery.assign(partitions, 'unknown'),
      onBatch: gatherBatches(delivery),
      onOutOfRange: (partition) => {
        onOutOfRange(partition).catch((error: unknown) => delivery.fail(error));
      },
      onCrash: (error) => delivery.fail(unreachable(this.name, `group ${group}`, error)),
    });
    running.catch((error: unknown) => delivery.fail(error));
    return () => member.stop();
  }
}

const unreachable = (log: string, what: string, cause: unknown): ReckonerError =>
  new ReckonerError(
    'LOG_UNREACHABLE',
    `Kafka did not serve ${what} of the log ${log} (${cause instanceof Error ? cause.name : 'unknown'}). Check that the brokers are up and this client may reach them.`,
    { cause, retryable: true },
  );

const closedSubscription = (log: string): Subscription => {
  const ended = Promise.reject(logClosed(log));
  ended.catch(() => undefined);
  return {
    caughtUp: new Promise(() => undefined),
    ended,
    lag: () => null,
    close: async () => undefined,
  };
};
