import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted, PARTITIONS, partitionOf, TOPICS } from '../../schemas/topics.ts';
import type { LogEntry, Position, StoredEntry } from './event-log.ts';

/** What is known of one partition. */
export interface Head {
  /** Oldest offset that may be read; only `trim` moves it. */
  start: number;
  /** The next offset to be written. Never goes back, also when the newest entries are gone. */
  end: number;
  /** The highest offset of a tombstone that `compact` removed, or -1. A reader behind it may have missed a deletion. */
  swept: number;
}

/** One step of a write. Steps are applied in order, in one transaction. */
export type LogChange = { put: StoredEntry } | { remove: Position };

const LOCAL = new Set<TopicName>(
  Object.values(TOPICS)
    .filter((topic) => topic.local)
    .map((topic) => topic.name),
);

export const NEW_HEAD: Head = { start: 0, end: 0, swept: -1 };

/**
 * What the writer of a log keeps in memory: where each partition ends and, on compacted topics, where the newest entry
 * of each key lies. Changed only after the change is stored.
 */
export class LogState {
  readonly #heads = new Map<TopicName, Head[]>();
  readonly #newest = new Map<TopicName, Map<string, number>>();

  heads(topic: TopicName): readonly Head[] {
    return this.#headsOf(topic);
  }

  head(topic: TopicName, partition: number): Head {
    return this.#headsOf(topic)[partition] ?? NEW_HEAD;
  }

  setHead(topic: TopicName, partition: number, head: Head): void {
    this.#headsOf(topic)[partition] = head;
  }

  newest(topic: TopicName, key: string): number | undefined {
    return this.#newest.get(topic)?.get(key);
  }

  setNewest(topic: TopicName, key: string, offset: number): void {
    const keys = this.#newest.get(topic) ?? new Map<string, number>();
    keys.set(key, offset);
    this.#newest.set(topic, keys);
  }

  /** Forgets a key, unless a newer entry than the removed one has come since. */
  forget(topic: TopicName, key: string, offset: number): void {
    const keys = this.#newest.get(topic);
    if (keys?.get(key) === offset) keys.delete(key);
  }

  #headsOf(topic: TopicName): Head[] {
    let heads = this.#heads.get(topic);
    if (!heads) {
      heads = Array.from({ length: PARTITIONS }, () => NEW_HEAD);
      this.#heads.set(topic, heads);
    }
    return heads;
  }
}

/**
 * Several appends on their way into one transaction. Offsets are given in call order; nothing is taken over into the state
 * before `applied`, so a failed transaction leaves neither holes nor lost offsets.
 *
 * Compacted topics: the earlier entry of a key goes in the same transaction. A tombstone stays as an entry until `compact`,
 * so that who follows the topic live learns of the deletion; at most one entry per key is kept either way. On local
 * topics nobody follows, and a tombstone leaves nothing behind but its offset.
 */
export class AppendPlan {
  readonly changes: LogChange[] = [];
  readonly #state: LogState;
  readonly #ends = new Map<TopicName, Map<number, number>>();
  readonly #newest = new Map<TopicName, Map<string, number | null>>();

  constructor(state: LogState) {
    this.#state = state;
  }

  add(entries: readonly LogEntry[]): readonly Position[] {
    return entries.map((entry) => this.#addOne(entry));
  }

  /** The partitions this plan makes longer, with their heads after it. */
  heads(): { topic: TopicName; partition: number; head: Head }[] {
    const all: { topic: TopicName; partition: number; head: Head }[] = [];
    for (const [topic, ends] of this.#ends) {
      for (const [partition, end] of ends) {
        all.push({ topic, partition, head: { ...this.#state.head(topic, partition), end } });
      }
    }
    return all;
  }

  /** All heads of every topic this plan touches, as they are after it. */
  headsByTopic(): { topic: TopicName; heads: readonly Head[] }[] {
    const byTopic = new Map<TopicName, Head[]>();
    for (const { topic, partition, head } of this.heads()) {
      const heads = byTopic.get(topic) ?? [...this.#state.heads(topic)];
      heads[partition] = head;
      byTopic.set(topic, heads);
    }
    return [...byTopic].map(([topic, heads]) => ({ topic, heads }));
  }

  /** Takes the plan over into the state; to be called once it is stored. */
  applied(): void {
    for (const { topic, partition, head } of this.heads()) {
      this.#state.setHead(topic, partition, head);
    }
    for (const [topic, keys] of this.#newest) {
      for (const [key, offset] of keys) {
        if (offset !== null) this.#state.setNewest(topic, key, offset);
        else this.#state.forget(topic, key, this.#state.newest(topic, key) ?? -1);
      }
    }
  }

  #addOne({ topic, key, value }: LogEntry): Position {
    const partition = partitionOf(key);
    const offset = this.#takeOffset(topic, partition);
    const position = { topic, partition, offset };
    const leavesNothing = value === null && LOCAL.has(topic);
    if (isCompacted(topic)) {
      const earlier = this.#newestOf(topic, key);
      if (earlier !== undefined)
        this.changes.push({ remove: { topic, partition, offset: earlier } });
      this.#setNewest(topic, key, leavesNothing ? null : offset);
    }
    if (!leavesNothing) this.changes.push({ put: { ...position, key, value } });
    return position;
  }

  #takeOffset(topic: TopicName, partition: number): number {
    const ends = this.#ends.get(topic) ?? new Map<number, number>();
    this.#ends.set(topic, ends);
    const offset = ends.get(partition) ?? this.#state.head(topic, partition).end;
    ends.set(partition, offset + 1);
    return offset;
  }

  #newestOf(topic: TopicName, key: string): number | undefined {
    const planned = this.#newest.get(topic)?.get(key);
    return planned === undefined ? this.#state.newest(topic, key) : (planned ?? undefined);
  }

  #setNewest(topic: TopicName, key: string, offset: number | null): void {
    const keys = this.#newest.get(topic) ?? new Map<string, number | null>();
    keys.set(key, offset);
    this.#newest.set(topic, keys);
  }
}
