import type { TopicName } from '../../schemas/topics.ts';
import type { OffsetRange, Position, StoredEntry } from './event-log.ts';
import type { Fetched, KafkaDelivery, KafkaRecord } from './kafka-delivery.ts';
import { toStored } from './kafka-delivery.ts';
import type { Logger } from './logger.ts';

interface FetchedPartition {
  partition: number;
  highWatermark: string;
  messages: (KafkaRecord & { isControlRecord?: boolean })[];
}

/** The part of kafkajs' cluster object that reads without a group. */
export interface ClusterDoor {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  removeBroker(options: { host: string; port: number }): void;
  fetchTopicsOffset(
    topics: { topic: string; partitions: { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<{ partitions: { partition: number; offset: string }[] }[]>;
  findLeaderForPartitions(topic: string, partitions: number[]): { [leader: string]: number[] };
  findBroker(node: { nodeId: string }): Promise<{
    fetch(request: {
      isolationLevel: number;
      maxWaitTime: number;
      minBytes: number;
      maxBytes: number;
      topics: {
        topic: string;
        partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
      }[];
    }): Promise<{ responses: { partitions: FetchedPartition[] }[] }>;
  }>;
}

export interface DirectReaderOptions {
  door: ClusterDoor;
  topic: TopicName;
  topicOnCluster: string;
  partitions: readonly number[];
  ranges: () => Promise<readonly OffsetRange[]>;
  logger: Logger;
}

const READ_UNCOMMITTED = 0;
/** How long a broker may hold a request that finds nothing. New records are answered at once, so this is how long closing takes. */
const MAX_WAIT_MS = 250;
const MAX_PARTITION_BYTES = 1_048_576;
const MAX_BYTES = 8_388_608;
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 2_000;
const MAX_FRUITLESS_FETCHES = 10;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const fetchFrom = async (
  reader: { door: ClusterDoor; topicOnCluster: string },
  nodeId: string,
  positions: ReadonlyMap<number, number>,
): Promise<Fetched[]> => {
  const broker = await reader.door.findBroker({ nodeId });
  const partitions = [...positions].map(([partition, offset]) => ({
    partition,
    fetchOffset: String(offset),
    maxBytes: MAX_PARTITION_BYTES,
  }));
  const { responses } = await broker.fetch({
    isolationLevel: READ_UNCOMMITTED,
    maxWaitTime: MAX_WAIT_MS,
    minBytes: 1,
    maxBytes: MAX_BYTES,
    topics: [{ topic: reader.topicOnCluster, partitions }],
  });
  return responses
    .flatMap((response) => response.partitions)
    .map(({ partition, highWatermark, messages }) => {
      const from = positions.get(partition) ?? 0;
      // A broker answers with whole batches: the first may begin before the offset that was asked for.
      const records = messages.filter(
        (message) => !message.isControlRecord && Number(message.offset) >= from,
      );
      const last = messages.at(-1);
      const next = last ? Math.max(from, Number(last.offset) + 1) : from;
      return { partition, from, records, next, end: Number(highWatermark) };
    });
};

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown');

/** Makes the next request go to where the partitions are now. Fails quietly: the next request tells. */
const recover = async (options: DirectReaderOptions, error: unknown): Promise<void> => {
  const { host, port } = error as { host?: string; port?: number };
  if (nameOf(error) === 'KafkaJSConnectionClosedError' && host && port) {
    options.door.removeBroker({ host, port });
  }
  try {
    await options.door.connect();
    await options.door.refreshMetadata();
  } catch (again) {
    options.logger.debug({ reason: nameOf(again) }, 'Kafka is still away');
  }
};

/**
 * Follows all partitions of a topic for one reader, without a group: nothing to join, no session to lose, nothing committed. One
 * request per leader is in flight.
 */
export const followDirectly = async (
  options: DirectReaderOptions,
  delivery: KafkaDelivery,
): Promise<void> => {
  const { door, topicOnCluster, partitions } = options;
  let backoffMs = FIRST_BACKOFF_MS;
  const pump = async (nodeId: string, mine: number[], round: { live: boolean }): Promise<void> => {
    while (!delivery.stopped && round.live) {
      const positions = new Map(mine.map((p) => [p, delivery.expected(p) ?? 0]));
      const fetched = await fetchFrom(options, nodeId, positions);
      backoffMs = FIRST_BACKOFF_MS;
      await delivery.deliver(fetched, async () => undefined);
    }
  };
  while (!delivery.stopped) {
    try {
      await door.connect();
      await door.addTargetTopic(topicOnCluster);
      const leaders = Object.entries(door.findLeaderForPartitions(topicOnCluster, [...partitions]));
      const round = { live: true };
      const ends = leaders.map(([nodeId, mine]) =>
        pump(nodeId, mine, round).finally(() => {
          round.live = false;
        }),
      );
      const broken = (await Promise.allSettled(ends)).find((end) => end.status === 'rejected');
      if (broken) throw broken.reason;
      if (leaders.length === 0) await door.refreshMetadata();
    } catch (error) {
      if (delivery.stopped) break;
      if (nameOf(error) === 'KafkaJSOffsetOutOfRange') {
        const { partition } = error as { partition?: number };
        const range = (await options.ranges()).find((one) => one.partition === partition);
        delivery.failOutOfRange(partition ?? -1, range);
        break;
      }
      options.logger.warn({ topic: options.topic, reason: nameOf(error) }, 'Kafka read failed');
      await pause(backoffMs);
      backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      await recover(options, error);
    }
  }
};

/** The oldest and the next offset of every partition. */
export const rangesDirectly = async (
  door: ClusterDoor,
  topic: string,
  partitions: readonly number[],
): Promise<OffsetRange[]> => {
  await door.connect();
  await door.addTargetTopic(topic);
  const asked = { topic, partitions: partitions.map((partition) => ({ partition })) };
  const [ends, starts] = await Promise.all([
    door.fetchTopicsOffset([{ ...asked, fromBeginning: false }]),
    door.fetchTopicsOffset([{ ...asked, fromBeginning: true }]),
  ]);
  const oldest = new Map(
    starts.flatMap((one) => one.partitions.map(({ partition, offset }) => [partition, offset])),
  );
  const ranges = ends
    .flatMap((one) => one.partitions)
    .map(({ partition, offset }) => {
      const end = Number(offset);
      return { partition, start: Number(oldest.get(partition) ?? Number.NaN), end };
    });
  if (ranges.length !== partitions.length || ranges.some(({ start }) => Number.isNaN(start))) {
    throw new Error(`some partitions of ${topic} have no leader`);
  }
  return ranges.sort((a, b) => a.partition - b.partition);
};

/** Reads one partition up to its end, or `maxEntries`. The caller has checked that the range holds the offset. */
export const readDirectly = async (
  options: Pick<DirectReaderOptions, 'door' | 'topicOnCluster'>,
  from: Position,
  bounds: { end: number; maxEntries: number },
): Promise<StoredEntry[]> => {
  const { door, topicOnCluster } = options;
  await door.connect();
  await door.addTargetTopic(topicOnCluster);
  const entries: StoredEntry[] = [];
  let offset = from.offset;
  let fruitless = 0;
  while (offset < bounds.end && entries.length < bounds.maxEntries) {
    const leaders = door.findLeaderForPartitions(topicOnCluster, [from.partition]);
    const nodeId = Object.keys(leaders)[0];
    if (nodeId === undefined) throw new Error(`no leader for ${topicOnCluster}/${from.partition}`);
    const [fetched] = await fetchFrom(options, nodeId, new Map([[from.partition, offset]]));
    for (const record of fetched?.records ?? []) {
      const wanted = Number(record.offset) < bounds.end && entries.length < bounds.maxEntries;
      if (wanted) entries.push(toStored(from.topic, from.partition, record));
    }
    const next = fetched?.next ?? offset;
    // Compaction may have taken the tail of what was asked for: nothing is left to wait for.
    if (next === offset && ++fruitless >= MAX_FRUITLESS_FETCHES) break;
    offset = next;
  }
  return entries;
};
