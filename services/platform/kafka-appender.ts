import type { TopicName } from '../../schemas/topics.ts';
import { partitionOf } from '../../schemas/topics.ts';
import type { ReckonerError } from './errors.ts';
import type { Appended, LogEntry, Position } from './event-log.ts';
import type { Call, Group, ProduceMessage, Waiting } from './kafka-produce-batch.ts';
import {
  groupByPartition,
  groupKey,
  MAX_PARTITION_BYTES,
  RECORD_OVERHEAD_BYTES,
  takeBatch,
} from './kafka-produce-batch.ts';
import { logAppendFailed, logClosed, logFull } from './log-errors.ts';
import type { Logger } from './logger.ts';

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
  /** Name of the log, for messages. */
  name: string;
  /**
   * Resolves only when the producer has its producer id: kafkajs sends without idempotence, and without an error, otherwise.
   * The signal ends every attempt of this session.
   */
  openSession: (signal: AbortSignal) => Promise<ProduceSession>;
  topicOnCluster: (topic: TopicName) => string;
  logger: Logger;
  maxQueuedBytes: number;
}

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

const rejectCalls = (batch: readonly Waiting[], error: ReckonerError): void => {
  for (const { call } of batch) {
    if (call.settled) continue;
    call.settled = true;
    call.reject(error);
  }
};

/**
 * The queue in front of one producer. Exactly one request is in flight: kafkajs takes its sequence numbers back when an answer is
 * lost, and a second request then reuses them for other entries, which the broker acknowledges without storing (seen on
 * Kafka 3.9.1 and 4.3.0 at the first lost answer). For the same reason a producer whose request failed for good is thrown
 * away before anything else is sent.
 */
export class KafkaAppender {
  readonly #options: AppenderOptions;
  readonly #queue: Waiting[] = [];
  readonly #abandon = new AbortController();
  #queuedBytes = 0;
  #session: ProduceSession | null = null;
  #draining: Promise<void> | null = null;
  #closing = false;
  #wake: () => void = () => undefined;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  append(entries: readonly LogEntry[]): Appended {
    const sizes = entries.map(
      ({ key, value }) => Buffer.byteLength(key) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES,
    );
    const refusal = this.#refusalBefore(sizes);
    const stored = new Promise<readonly Position[]>((resolve, reject) => {
      if (refusal) reject(refusal);
      else if (entries.length === 0) resolve([]);
      else {
        const positions: Position[] = new Array(entries.length);
        const call: Call = { positions, left: entries.length, settled: false, resolve, reject };
        this.#enqueue(call, entries, sizes);
      }
    });
    const durable = stored.then(() => undefined);
    stored.catch(() => undefined);
    durable.catch(() => undefined);
    return { stored, durable };
  }

  /** Sends what waits, for at most `graceMs`; the rest rejects with LOG_CLOSED. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    const timer = setTimeout(() => {
      this.#abandon.abort();
      this.#wake();
    }, graceMs);
    await this.#draining;
    clearTimeout(timer);
    await this.#dispose();
  }

  #refusalBefore(sizes: readonly number[]): ReckonerError | null {
    const { name, maxQueuedBytes } = this.#options;
    if (this.#closing) return logClosed(name);
    const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 0);
    if (largest > MAX_PARTITION_BYTES) {
      const what = `an entry of ${largest} bytes is larger than the ${MAX_PARTITION_BYTES} bytes Kafka takes; nothing of the call was appended.`;
      return logAppendFailed(name, what);
    }
    return this.#queuedBytes + total > maxQueuedBytes
      ? logFull(name, this.#queuedBytes, maxQueuedBytes)
      : null;
  }

  #enqueue(call: Call, entries: readonly LogEntry[], sizes: readonly number[]): void {
    for (const [index, { topic, key, value }] of entries.entries()) {
      const partition = partitionOf(key);
      const bytes = sizes[index] ?? 0;
      // Copied: the caller may use its buffer again before the broker has answered.
      const message = { key, value: value === null ? null : Buffer.from(value), partition };
      this.#queuedBytes += bytes;
      this.#queue.push({ call, index, topic, partition, message, bytes });
    }
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // One turn later: a burst of appends becomes one request.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#send(takeBatch(this.#queue));
    this.#draining = null;
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    let rest = batch;
    let backoffMs = FIRST_BACKOFF_MS;
    while (rest.length > 0) {
      if (this.#abandon.signal.aborted) {
        this.#release(rest);
        rejectCalls(rest, logClosed(this.#options.name));
        return;
      }
      try {
        rest = await this.#sendOnce(rest);
      } catch (error) {
        await this.#dispose();
        if (this.#abandon.signal.aborted) continue;
        const refusal = refusalOf(error);
        if (refusal !== null) return this.#refuse(rest, refusal);
        const reason = error instanceof Error ? error.name : 'unknown';
        this.#options.logger.warn({ reason, bytes: this.#queuedBytes }, 'Kafka away, entries wait');
        await this.#pause(backoffMs);
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      }
    }
  }

  /** Sends one request; returns what the broker did not answer for. */
  async #sendOnce(batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    this.#session ??= await this.#options.openSession(this.#abandon.signal);
    const groups = groupByPartition(batch);
    const byTopic = new Map<string, ProduceMessage[]>();
    for (const { topic, waiting } of groups.values()) {
      const onCluster = this.#options.topicOnCluster(topic);
      const messages = byTopic.get(onCluster) ?? [];
      for (const { message } of waiting) messages.push(message);
      byTopic.set(onCluster, messages);
    }
    const acks = await this.#session.send(
      [...byTopic].map(([topic, messages]) => ({ topic, messages })),
    );
    const unnamed = this.#settle(groups, acks);
    // kafkajs reports success when a partition's leader moved to a broker that had already answered: the partition was
    // never sent there. Only an answer that names the partition is an ack.
    if (unnamed.length > 0) await this.#dispose();
    return unnamed;
  }

  #settle(groups: Map<string, Group>, acks: readonly ProduceAck[]): Waiting[] {
    const acked = new Map(acks.map((ack) => [groupKey(ack.topicName, ack.partition), ack]));
    const unnamed: Waiting[] = [];
    for (const { topic, partition, waiting } of groups.values()) {
      const ack = acked.get(groupKey(this.#options.topicOnCluster(topic), partition));
      if (ack?.baseOffset === undefined) {
        unnamed.push(...waiting);
        continue;
      }
      const base = Number(ack.baseOffset);
      this.#release(waiting);
      for (const [at, { call, index }] of waiting.entries()) {
        call.positions[index] = { topic, partition, offset: base + at };
        call.left -= 1;
        if (call.left > 0 || call.settled) continue;
        call.settled = true;
        call.resolve(call.positions);
      }
    }
    return unnamed;
  }

  async #refuse(batch: readonly Waiting[], type: string): Promise<void> {
    const calls = new Set(batch.map(({ call }) => call));
    if (calls.size > 1) {
      // One call's entry must not take its neighbours down: each is sent alone.
      for (const call of calls) await this.#send(batch.filter((waiting) => waiting.call === call));
      return;
    }
    this.#release(batch);
    const what = `Kafka refused with ${type}; look at the topic's settings and this client's rights.`;
    rejectCalls(batch, logAppendFailed(this.#options.name, what));
  }

  #release(batch: readonly Waiting[]): void {
    for (const { bytes } of batch) this.#queuedBytes -= bytes;
  }

  async #dispose(): Promise<void> {
    const old = this.#session;
    this.#session = null;
    await old?.close().catch(() => undefined);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
