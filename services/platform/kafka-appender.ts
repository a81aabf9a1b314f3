import type { TopicName } from '../../schemas/topics.ts';
import { partitionOf } from '../../schemas/topics.ts';
import { ReckonerError } from './errors.ts';
import type { Appended, LogEntry, Position } from './event-log.ts';
import type { Logger } from './logger.ts';

export interface ProduceMessage {
  key: string;
  value: Buffer | null;
  partition: number;
}

export interface ProduceAck {
  topicName: string;
  partition: number;
  baseOffset?: string;
}

/** One connected, idempotent producer. `send` is never called again after it rejected. */
export interface ProduceSession {
  send(batch: { topic: string; messages: ProduceMessage[] }[]): Promise<readonly ProduceAck[]>;
  close(): Promise<void>;
}

export interface AppenderOptions {
  /** Resolves only when the producer has its producer id: kafkajs sends without idempotence, and without an error, otherwise. */
  openSession: () => Promise<ProduceSession>;
  topicOnCluster: (topic: TopicName) => string;
  logger: Logger;
  maxQueuedBytes: number;
}

export interface Appender {
  append(entries: readonly LogEntry[]): Appended;
  /** Sends what waits, for at most `graceMs`; the rest rejects with LOG_CLOSED. */
  close(graceMs: number): Promise<void>;
}

/** One `append`, until every entry of it has its position. */
interface Call {
  positions: Position[];
  left: number;
  settled: boolean;
  resolve: (positions: readonly Position[]) => void;
  reject: (error: ReckonerError) => void;
}

interface Waiting {
  call: Call;
  index: number;
  topic: TopicName;
  partition: number;
  message: ProduceMessage;
  bytes: number;
}

/** Brokers accept batches of 1 MiB per partition unless told otherwise; record framing takes the rest. */
const MAX_PARTITION_BYTES = 900_000;
const MAX_BATCH_BYTES = 4_000_000;
const MAX_BATCH_ENTRIES = 5_000;
const RECORD_OVERHEAD_BYTES = 64;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2_000;

/** Answers that no repetition changes. All else is repeated, on a new producer. */
const REFUSALS = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TOPIC_EXCEPTION',
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
]);

const refusalOf = (error: unknown): string | null => {
  let at = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    const type = (at as { type?: unknown }).type;
    if (typeof type === 'string' && REFUSALS.has(type)) return type;
    if (at instanceof TypeError) return at.name;
    at = at.cause;
  }
  return null;
};

const closedError = (): ReckonerError =>
  new ReckonerError(
    'LOG_CLOSED',
    'The Kafka log was closed before the broker acknowledged the entries. They may or may not be stored; append them again.',
  );

const groupKey = (topic: string, partition: number): string => `${topic}/${partition}`;

/** The longest head of the queue that fits one request: in order, so order per partition is kept. */
const takeBatch = (queue: Waiting[]): Waiting[] => {
  const perPartition = new Map<string, number>();
  let bytes = 0;
  let count = 0;
  for (const waiting of queue) {
    const key = groupKey(waiting.topic, waiting.partition);
    const inPartition = (perPartition.get(key) ?? 0) + waiting.bytes;
    bytes += waiting.bytes;
    const full = inPartition > MAX_PARTITION_BYTES || bytes > MAX_BATCH_BYTES;
    if (count > 0 && (full || count >= MAX_BATCH_ENTRIES)) break;
    perPartition.set(key, inPartition);
    count++;
  }
  return queue.splice(0, count);
};

const groupByPartition = (batch: readonly Waiting[]): Map<string, Waiting[]> => {
  const groups = new Map<string, Waiting[]>();
  for (const waiting of batch) {
    const key = groupKey(waiting.topic, waiting.partition);
    const group = groups.get(key);
    if (group) group.push(waiting);
    else groups.set(key, [waiting]);
  }
  return groups;
};

/**
 * The queue in front of one producer. Exactly one request is in flight: kafkajs takes its sequence numbers back when an answer is
 * lost, and a second request then reuses them for other entries, which the broker acknowledges without storing (seen on
 * Kafka 3.9.1 and 4.3.0 at the first lost answer). For the same reason a producer whose request failed for good is thrown
 * away before anything else is sent.
 */
export const createAppender = (options: AppenderOptions): Appender => {
  const queue: Waiting[] = [];
  let queuedBytes = 0;
  let session: ProduceSession | null = null;
  let draining: Promise<void> | null = null;
  let closing = false;
  let abandoned = false;
  let wake: (() => void) | null = null;

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const dispose = async (): Promise<void> => {
    const old = session;
    session = null;
    await old?.close().catch(() => {});
  };

  const release = (batch: readonly Waiting[]): void => {
    for (const waiting of batch) queuedBytes -= waiting.bytes;
  };

  const rejectCalls = (batch: readonly Waiting[], error: ReckonerError): void => {
    for (const { call } of batch) {
      if (call.settled) continue;
      call.settled = true;
      call.reject(error);
    }
  };

  /** Gives positions to the groups the broker named; returns the entries it did not name. */
  const settle = (groups: Map<string, Waiting[]>, acks: readonly ProduceAck[]): Waiting[] => {
    for (const ack of acks) {
      for (const [key, group] of groups) {
        const head = group[0];
        if (!head || head.partition !== ack.partition || ack.baseOffset === undefined) continue;
        if (options.topicOnCluster(head.topic) !== ack.topicName) continue;
        const base = Number(ack.baseOffset);
        group.forEach(({ call, index, topic, partition }, at) => {
          call.positions[index] = { topic, partition, offset: base + at };
          call.left--;
          if (call.left > 0 || call.settled) return;
          call.settled = true;
          call.resolve(call.positions);
        });
        release(group);
        groups.delete(key);
      }
    }
    return [...groups.values()].flat();
  };

  const sendOnce = async (batch: readonly Waiting[]): Promise<Waiting[]> => {
    session ??= await options.openSession();
    const groups = groupByPartition(batch);
    const byTopic = new Map<string, ProduceMessage[]>();
    for (const group of groups.values()) {
      const topic = options.topicOnCluster(group[0]?.topic as TopicName);
      const messages = byTopic.get(topic) ?? [];
      for (const waiting of group) messages.push(waiting.message);
      byTopic.set(topic, messages);
    }
    const acks = await session.send(
      [...byTopic].map(([topic, messages]) => ({ topic, messages })),
    );
    const unnamed = settle(groups, acks);
    // kafkajs reports success when a partition's leader moved to a broker that had already answered: the partition was
    // never sent there. Only an answer that names the partition is an ack.
    if (unnamed.length > 0) await dispose();
    return unnamed;
  };

  const refuse = async (batch: readonly Waiting[], type: string): Promise<void> => {
    const calls = new Set(batch.map(({ call }) => call));
    if (calls.size > 1) {
      // One call's entry must not take its neighbours down: each is sent alone.
      for (const call of calls) await send(batch.filter((waiting) => waiting.call === call));
      return;
    }
    release(batch);
    rejectCalls(
      batch,
      new ReckonerError(
        'LOG_APPEND_FAILED',
        `Kafka refused the entries with ${type}. They were not taken; look at the topic's settings and this client's rights.`,
      ),
    );
  };

  const send = async (batch: readonly Waiting[]): Promise<void> => {
    let rest: readonly Waiting[] = batch;
    let backoffMs = FIRST_BACKOFF_MS;
    while (rest.length > 0) {
      if (abandoned) {
        release(rest);
        return rejectCalls(rest, closedError());
      }
      try {
        rest = await sendOnce(rest);
      } catch (error) {
        await dispose();
        const refusal = refusalOf(error);
        if (refusal !== null && !abandoned) return refuse(rest, refusal);
        if (abandoned) continue;
        const reason = error instanceof Error ? error.name : 'unknown';
        options.logger.warn({ reason, waiting: queue.length }, 'Kafka is away; entries wait');
        await pause(backoffMs);
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      }
    }
  };

  const drain = async (): Promise<void> => {
    // One turn later: a burst of appends becomes one request.
    await Promise.resolve();
    while (queue.length > 0) await send(takeBatch(queue));
    draining = null;
  };

  const refusalBefore = (sizes: readonly number[]): ReckonerError | null => {
    if (closing) return closedError();
    const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 0);
    if (largest > MAX_PARTITION_BYTES) {
      return new ReckonerError(
        'LOG_APPEND_FAILED',
        `An entry of ${largest} bytes is larger than the ${MAX_PARTITION_BYTES} bytes Kafka takes. Nothing of the call was appended.`,
      );
    }
    if (queuedBytes + total <= options.maxQueuedBytes) return null;
    return new ReckonerError(
      'LOG_FULL',
      `${queuedBytes} bytes wait for Kafka and ${options.maxQueuedBytes} may. Nothing of the call was appended; append again when the broker answers.`,
      { retryable: true },
    );
  };

  const append = (entries: readonly LogEntry[]): Appended => {
    const sizes = entries.map(
      ({ key, value }) => Buffer.byteLength(key) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES,
    );
    const refusal = refusalBefore(sizes);
    const stored = new Promise<readonly Position[]>((resolve, reject) => {
      if (refusal) return reject(refusal);
      if (entries.length === 0) return resolve([]);
      const positions: Position[] = new Array(entries.length);
      const call: Call = { positions, left: entries.length, settled: false, resolve, reject };
      entries.forEach(({ topic, key, value }, index) => {
        const partition = partitionOf(key);
        const bytes = sizes[index] ?? 0;
        const message = { key, value: value === null ? null : Buffer.from(value), partition };
        queuedBytes += bytes;
        queue.push({ call, index, topic, partition, message, bytes });
      });
      draining ??= drain();
    });
    const durable = stored.then(() => undefined);
    stored.catch(() => {});
    durable.catch(() => {});
    return { stored, durable };
  };

  const close = async (graceMs: number): Promise<void> => {
    closing = true;
    if (draining) {
      const timer = setTimeout(() => {
        abandoned = true;
        rejectCalls(queue, closedError());
        wake?.();
      }, graceMs);
      await draining;
      clearTimeout(timer);
    }
    await dispose();
  };

  return { append, close };
};
