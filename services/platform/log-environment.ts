import type { TopicName } from '../../schemas/topics.ts';
import type { Position, StoredEntry } from './event-log.ts';
import type { PagesInBytes } from './log-room.ts';
import type { Head, LogChange } from './log-state.ts';
import type { ReadBounds, ReadResult } from './log-subscription.ts';

/** What one transaction changes. All of it or nothing is stored. */
export interface Write {
  changes: readonly LogChange[];
  heads: readonly { topic: TopicName; heads: readonly Head[] }[];
}

/** `stored`: committed, survives kill -9. `durable`: flushed. Neither is bounded in time here. */
export interface Written {
  stored: Promise<void>;
  durable: Promise<void>;
}

/** Whose committed offsets. */
export interface OffsetOwner {
  group: string;
  log: string;
  topic: TopicName;
}

/** The store under a log: ordered, transactional, readable by other processes while one writes. */
export interface LogEnvironment {
  /** Moves to the newest snapshot. Reads until the end of the turn see this one. */
  refresh(): void;
  /** One head per partition, also of a topic never written. */
  heads(topic: TopicName): readonly Head[];
  entriesFrom(from: Position, end: number, bounds: ReadBounds): ReadResult;
  /** Every entry of a topic, partition by partition. */
  entriesOf(topic: TopicName): Iterable<StoredEntry>;
  offsetsOf(owner: OffsetOwner): ReadonlyMap<number, number>;
  pages(): PagesInBytes;
  setOffsets(owner: OffsetOwner, next: ReadonlyMap<number, number>): Written;
  write(write: Write): Written;
  close(): Promise<void>;
}
