import type { TopicName } from '../../schemas/topics.ts';
import type { ReckonerError } from './errors.ts';
import type { Position } from './event-log.ts';

export interface ProduceMessage {
  key: string;
  value: Buffer | null;
  partition: number;
}

/** One `append`, until every entry of it has its position. */
export interface Call {
  positions: Position[];
  left: number;
  settled: boolean;
  resolve: (positions: readonly Position[]) => void;
  reject: (error: ReckonerError) => void;
}

export interface Waiting {
  call: Call;
  index: number;
  topic: TopicName;
  partition: number;
  message: ProduceMessage;
  bytes: number;
}

/** Brokers accept batches of 1 MiB per partition unless told otherwise; record framing takes the rest. */
export const MAX_PARTITION_BYTES = 900_000;
const MAX_BATCH_BYTES = 4_000_000;
/** kafkajs copies its list of a partition for every message of it: a request's cost grows with the square of this. */
const MAX_BATCH_ENTRIES = 2_000;
export const RECORD_OVERHEAD_BYTES = 64;
export const groupKey = (topic: string, partition: number): string => `${topic}/${partition}`;

/** The longest head of the queue that fits one request: in order, so order per partition is kept. */
export const takeBatch = (queue: Waiting[]): Waiting[] => {
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

export interface Group {
  topic: TopicName;
  partition: number;
  waiting: Waiting[];
}

export const groupByPartition = (batch: readonly Waiting[]): Map<string, Group> => {
  const groups = new Map<string, Group>();
  for (const one of batch) {
    const { topic, partition } = one;
    const key = groupKey(topic, partition);
    const group = groups.get(key) ?? { topic, partition, waiting: [] };
    group.waiting.push(one);
    groups.set(key, group);
  }
  return groups;
};
