import { connect } from 'node:net';
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import kafkajs from 'kafkajs';
import { ReckonerError } from './errors.ts';
import type { EventLog } from './event-log.ts';
import type { ProduceSession } from './kafka-appender.ts';
import type { KafkaLogEntry } from './kafka-client-noise.ts';
import { createKafkaLogSink, silenceKafkaTimerWarning } from './kafka-client-noise.ts';
import type { ClusterDoor } from './kafka-direct-reader.ts';
import type { GroupMember, MemberBatch } from './kafka-group-reader.ts';
import { KafkaEventLog } from './kafka-log.ts';
import { ensureTopics } from './kafka-topics.ts';
import type { Logger } from './logger.ts';

export interface KafkaLogConfig {
  name: string;
  /** `host:port` of some brokers; the others are learned from them. */
  brokers: string[];
  prefix: string;
  clientId: string;
  logger: Logger;
}

/** One log's clients share the sink, so that an outage is told once and not by each of them. */
interface ClientConfig extends KafkaLogConfig {
  sink: (entry: KafkaLogEntry) => void;
}

const CONNECTION_TIMEOUT_MS = 3_000;
/** A broker that has not answered by then is asked again. */
const REQUEST_TIMEOUT_MS = 15_000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;
/** Makes about half a minute at the most a second apart; whoever needs longer tries again itself. */
const RETRIES = 30;
/** At the opening a cluster that is away is told soon. */
const OPENING_RETRIES = 8;
/** A reader that was killed blocks its partitions for so long; one in a long handler beats meanwhile. */
const SESSION_TIMEOUT_MS = 10_000;
const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_INTERVAL_MS = 2_000;
/** How long a broker may hold a request that finds nothing; new records are answered at once. */
const MAX_WAIT_MS = 250;
const MAX_BYTES = 8_388_608;
const ALL_REPLICAS = -1;
const PRODUCE_TIMEOUT_MS = 10_000;

/** Ends a loop of kafkajs that would go on by itself: it retries anything that does not say it must not. */
class StopKafkajs extends Error {
  readonly retriable = false;
}

/** Where kafkajs logs from inside its retry loops. Elsewhere it logs from socket listeners: a throw there ends the process. */
const RETRY_LOOPS = new Set(['BrokerPool', 'Producer']);

/**
 * A kafkajs client. kafkajs has no way to be told to give up, but it says what it is about to do before it does it: so its
 * retries end when the signal is aborted, and `beforeLog` may throw StopKafkajs at what it must not do.
 */
const createClient = (
  config: ClientConfig,
  retries: number,
  signal: AbortSignal,
  beforeLog: (entry: KafkaLogEntry) => void = () => undefined,
): Kafka =>
  new kafkajs.Kafka({
    clientId: config.clientId,
    brokers: config.brokers,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { retries, initialRetryTime: FIRST_RETRY_MS, maxRetryTime: MAX_RETRY_MS },
    logLevel: kafkajs.logLevel.WARN,
    logCreator: () => (entry) => {
      if (signal.aborted && RETRY_LOOPS.has(entry.namespace)) throw new StopKafkajs('closed');
      beforeLog(entry);
      config.sink(entry);
    },
    socketFactory: ({ host, port, onConnect }) =>
      connect({ host, port, noDelay: true, keepAlive: true }, onConnect),
  });

const openSession = async (config: ClientConfig, signal: AbortSignal): Promise<ProduceSession> => {
  const over = new AbortController();
  const client = createClient(config, RETRIES, over.signal);
  const producer = client.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    retry: {
      retries: Number.MAX_SAFE_INTEGER,
      initialRetryTime: FIRST_RETRY_MS,
      maxRetryTime: MAX_RETRY_MS,
    },
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition ?? 0,
  });
  const close = async (): Promise<void> => {
    over.abort();
    await producer.disconnect();
  };
  const onAbort = (): void => void close().catch(() => undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  const forget = (): void => signal.removeEventListener('abort', onAbort);
  try {
    await producer.connect();
  } catch (error) {
    forget();
    await close().catch(() => undefined);
    throw error;
  }
  return {
    send: (topicMessages) =>
      producer.sendBatch({ acks: ALL_REPLICAS, timeout: PRODUCE_TIMEOUT_MS, topicMessages }),
    close: () => {
      forget();
      return close();
    },
  };
};

const toMemberBatch = ({
  batch,
  heartbeat,
  resolveOffset,
  commitOffsetsIfNecessary,
}: EachBatchPayload): MemberBatch => {
  const last = batch.messages.at(-1)?.offset ?? batch.lastOffset();
  // Not in its types: the offset that was asked for, which tells a hole before the first record.
  const { fetchedOffset } = batch as { fetchedOffset?: string };
  return {
    partition: batch.partition,
    from: Number(fetchedOffset ?? batch.firstOffset() ?? 0),
    records: batch.messages,
    next: Number(batch.lastOffset()) + 1,
    end: Number(batch.highWatermark),
    heartbeat,
    resolve: () => resolveOffset(last),
    commit: (next) => {
      const partitions = [...next].map(([partition, offset]) => ({
        partition,
        offset: String(offset),
      }));
      return commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions }] });
    },
  };
};

const OUT_OF_RANGE = 'Offset out of range, resetting to default offset';

const openMember = (config: ClientConfig, groupId: string, topic: string): GroupMember => {
  let outOfRange: (partition: number) => void = () => undefined;
  const over = new AbortController();
  const client = createClient(config, RETRIES, over.signal, ({ log }) => {
    if (log.message !== OUT_OF_RANGE) return;
    // Said just before it commits "the oldest" in place of the group's offset and jumps there. It must do neither.
    outOfRange(Number(log['partition']));
    throw new StopKafkajs('the offset is out of range');
  });
  const consumer: Consumer = client.consumer({
    groupId,
    allowAutoTopicCreation: false,
    sessionTimeout: SESSION_TIMEOUT_MS,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    heartbeatInterval: HEARTBEAT_INTERVAL_MS,
    minBytes: 1,
    maxWaitTimeInMs: MAX_WAIT_MS,
    maxBytes: MAX_BYTES,
    retry: { retries: RETRIES, initialRetryTime: FIRST_RETRY_MS, maxRetryTime: MAX_RETRY_MS },
  });
  return {
    run: async ({ onJoin, onBatch, onOutOfRange, onCrash }) => {
      outOfRange = onOutOfRange;
      consumer.on('consumer.group_join', ({ payload }) => {
        onJoin(payload.memberAssignment[topic] ?? []);
      });
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart && !(payload.error.cause instanceof StopKafkajs)) {
          onCrash(payload.error);
        }
      });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 12,
        eachBatch: (payload) => onBatch(toMemberBatch(payload)),
      });
    },
    stop: () => {
      over.abort();
      return consumer.disconnect();
    },
  };
};

/** kafkajs gives its cluster object to partition assigners only; a consumer that never runs is the public way to one. */
const openCluster = (config: ClientConfig, signal: AbortSignal): ClusterDoor => {
  const doors: ClusterDoor[] = [];
  createClient(config, RETRIES, signal).consumer({
    groupId: 'none',
    allowAutoTopicCreation: false,
    partitionAssigners: [
      ({ cluster }) => {
        doors.push(cluster);
        return {
          name: 'none',
          version: 0,
          assign: async () => [],
          protocol: () => ({ name: 'none', metadata: Buffer.alloc(0) }),
        };
      },
    ],
  });
  const [door] = doors;
  if (door === undefined) throw new TypeError('kafkajs no longer hands its cluster to assigners');
  return door;
};

/**
 * Opens an event log on a Kafka cluster and creates the topics it lacks.
 * @throws LOG_UNREACHABLE when no broker answers within some seconds; CONFIG_INVALID when a topic has other partitions.
 */
export const openKafkaEventLog = async (options: KafkaLogConfig): Promise<EventLog> => {
  silenceKafkaTimerWarning();
  const config: ClientConfig = { ...options, sink: createKafkaLogSink(options.logger) };
  const over = new AbortController();
  const admin = createClient(config, OPENING_RETRIES, over.signal).admin();
  try {
    await admin.connect();
    await ensureTopics(admin, config.prefix);
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    if (error instanceof ReckonerError) throw error;
    throw new ReckonerError(
      'LOG_UNREACHABLE',
      `No Kafka broker of ${config.brokers.join(', ')} served this client (${error instanceof Error ? error.name : 'unknown'}). Check the addresses and that the brokers are up.`,
      { cause: error, retryable: true },
    );
  }
  return new KafkaEventLog(
    {
      admin: {
        fetchOffsets: (asked) => admin.fetchOffsets(asked),
        deleteTopicRecords: (asked) => admin.deleteTopicRecords(asked),
        disconnect: () => {
          over.abort();
          return admin.disconnect();
        },
      },
      openSession: (signal) => openSession(config, signal),
      openMember: (groupId, topic) => openMember(config, groupId, topic),
      openCluster: (signal) => openCluster(config, signal),
    },
    config,
  );
};
