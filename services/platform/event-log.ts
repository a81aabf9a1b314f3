import type { TopicName } from '../../schemas/topics.ts';

/** What a writer hands over. A null value is a tombstone: on a compacted topic it removes its key. */
export interface LogEntry {
  topic: TopicName;
  /** Decides the partition (`partitionOf`) and, on compacted topics, what is replaced. */
  key: string;
  value: Uint8Array | null;
}

/** Where an entry lies. Offsets grow by one per partition and are never used again; compaction leaves holes. */
export interface Position {
  topic: TopicName;
  partition: number;
  offset: number;
}

export interface StoredEntry extends Position {
  key: string;
  value: Uint8Array | null;
}

/**
 * The stages of one append. `stored`: with the operating system or the broker, survives kill -9 of this process.
 * `durable`: flushed, survives loss of power. Each rejects with LogAppendError; after a rejection the entry may or may not be
 * there, and a repeat with the same identity is safe. Both are always handled: awaiting only one never
 * leaves an unhandled rejection.
 */
export interface Appended {
  stored: Promise<readonly Position[]>;
  durable: Promise<void>;
}

/** Half-open range of offsets that can be read: `start` is the oldest kept, `end` the next to be written. */
export interface OffsetRange {
  partition: number;
  start: number;
  end: number;
}

/** Some entries of one topic: per partition in offset order and without repetition. Never empty. */
export interface LogBatch {
  log: string;
  topic: TopicName;
  entries: readonly StoredEntry[];
  /** Per partition in this batch, the offset to go on from. */
  next: ReadonlyMap<number, number>;
}

export interface SubscribeOptions {
  topic: TopicName;
  /** Resume from the group's committed offsets and commit after each handled batch. Without: from the start, nothing kept. */
  group?: string;
  maxEntries?: number;
  /** Called with one batch at a time. Resolving commits it; rejecting stops the subscription, uncommitted. */
  onBatch: (batch: LogBatch) => Promise<void>;
}

export interface Subscription {
  /** Resolves once everything that was in the topic when the subscription began has been handled. */
  readonly caughtUp: Promise<void>;
  /** Resolves on `close`; rejects when the handler rejected or the log broke. Owners must watch it and stop the process. */
  readonly ended: Promise<void>;
  /** Entries written but not yet handled, or null while it cannot be known. Never a guess of zero. */
  lag(): number | null;
  /** Stops after the batch in hand and commits it. */
  close(): Promise<void>;
}

/**
 * One named log: an LMDB environment, a Kafka cluster, or memory. An environment has one writing process; a log opened for
 * reading refuses `append`, `compact` and `trim`. Contract: test/contract/event-log.contract.ts, run on every adapter.
 */
export interface EventLog {
  readonly name: string;
  /**
   * Adds entries, in order. One call is atomic on LMDB and memory (all entries or none); on Kafka per topic and partition.
   * Bounded: rejects with LOG_FULL when more than the configured bytes wait to be written.
   */
  append(entries: readonly LogEntry[]): Appended;
  /** Reads up to `maxEntries` from one partition; fewer or none at the end. Offsets below `start` reject with LOG_TRIMMED. */
  read(from: Position, maxEntries: number): Promise<readonly StoredEntry[]>;
  subscribe(options: SubscribeOptions): Subscription;
  /** Offsets the group has committed; partitions it never committed are missing. */
  committed(group: string, topic: TopicName): Promise<ReadonlyMap<number, number>>;
  ranges(topic: TopicName): Promise<readonly OffsetRange[]>;
  /** Makes a compacted topic hold at most the newest entry per key and no tombstones, where the adapter does it itself. */
  compact(topic: TopicName): Promise<void>;
  /** Forgets entries before the offset. */
  trim(before: Position): Promise<void>;
  close(): Promise<void>;
}

/** Where a reader keeps how far it has come in somebody else's log: its own environment. */
export interface OffsetStore {
  loadOffsets(group: string, log: string, topic: TopicName): Promise<ReadonlyMap<number, number>>;
  saveOffsets(
    owner: { group: string; log: string; topic: TopicName },
    next: ReadonlyMap<number, number>,
  ): Promise<void>;
}
