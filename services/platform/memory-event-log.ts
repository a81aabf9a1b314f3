import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted } from '../../schemas/topics.ts';
import type {
  Appended,
  EventLog,
  LogEntry,
  OffsetRange,
  OffsetStore,
  Position,
  StoredEntry,
  SubscribeOptions,
  Subscription,
} from './event-log.ts';
import { closedSubscription, logClosed, rejectedAppend } from './log-errors.ts';
import { AppendPlan, type Head, LogState } from './log-state.ts';
import {
  LogSubscription,
  type LogView,
  type ReadBounds,
  type ReadResult,
  readChecked,
} from './log-subscription.ts';
import { Wakes } from './log-wakes.ts';

/** What stays when a log of memory is closed: the stand-in for its disk. */
export class MemoryDisk {
  readonly state = new LogState();
  readonly entries = new Map<string, StoredEntry>();
  readonly offsets = new Map<string, Map<number, number>>();
}

const placeOf = (at: Position): string => `${at.topic}/${at.partition}/${at.offset}`;
const ownerOf = (group: string, log: string, topic: TopicName): string =>
  JSON.stringify([group, log, topic]);

class MemoryEventLog implements EventLog, OffsetStore, LogView {
  readonly name: string;
  readonly #disk: MemoryDisk;
  readonly #wakes = new Wakes();
  readonly #subscriptions = new Set<Subscription>();
  #closed = false;

  constructor(name: string, disk: MemoryDisk) {
    this.name = name;
    this.#disk = disk;
  }

  append(entries: readonly LogEntry[]): Appended {
    if (this.#closed) return rejectedAppend(() => logClosed(this.name));
    const plan = new AppendPlan(this.#disk.state);
    const positions = plan.add(entries);
    for (const change of plan.changes) {
      if ('remove' in change) this.#disk.entries.delete(placeOf(change.remove));
      else {
        const value = change.put.value === null ? null : new Uint8Array(change.put.value);
        this.#disk.entries.set(placeOf(change.put), { ...change.put, value });
      }
    }
    plan.applied();
    this.#wakes.wakeAll();
    return { stored: Promise.resolve(positions), durable: Promise.resolve() };
  }

  async read(from: Position, maxEntries: number): Promise<readonly StoredEntry[]> {
    this.#checkOpen();
    const head = this.#disk.state.head(from.topic, from.partition);
    return readChecked(this, from, head, { maxEntries, maxBytes: Infinity }).entries;
  }

  subscribe(options: SubscribeOptions): Subscription {
    if (this.#closed) return closedSubscription(this.name);
    const subscription = new LogSubscription(this, this, options);
    this.#subscriptions.add(subscription);
    const gone = () => void this.#subscriptions.delete(subscription);
    subscription.ended.then(gone, gone);
    return subscription;
  }

  async committed(group: string, topic: TopicName): Promise<ReadonlyMap<number, number>> {
    return this.loadOffsets(group, this.name, topic);
  }

  async ranges(topic: TopicName): Promise<readonly OffsetRange[]> {
    this.#checkOpen();
    return this.heads(topic).map(({ start, end }, partition) => ({ partition, start, end }));
  }

  async compact(topic: TopicName): Promise<void> {
    this.#checkOpen();
    if (!isCompacted(topic)) return;
    const { state, entries } = this.#disk;
    for (const [place, entry] of entries) {
      if (entry.topic !== topic || entry.value !== null) continue;
      entries.delete(place);
      state.forget(topic, entry.key, entry.offset);
      const head = state.head(topic, entry.partition);
      const swept = Math.max(head.swept, entry.offset);
      state.setHead(topic, entry.partition, { ...head, swept });
    }
  }

  async trim(before: Position): Promise<void> {
    this.#checkOpen();
    const { state, entries } = this.#disk;
    const head = state.head(before.topic, before.partition);
    const start = Math.min(Math.max(head.start, before.offset), head.end);
    for (let offset = head.start; offset < start; offset += 1) {
      const place = placeOf({ ...before, offset });
      const key = entries.get(place)?.key;
      if (key !== undefined) state.forget(before.topic, key, offset);
      entries.delete(place);
    }
    state.setHead(before.topic, before.partition, { ...head, start });
  }

  async loadOffsets(
    group: string,
    log: string,
    topic: TopicName,
  ): Promise<ReadonlyMap<number, number>> {
    this.#checkOpen();
    return new Map(this.#disk.offsets.get(ownerOf(group, log, topic)));
  }

  async saveOffsets(
    owner: { group: string; log: string; topic: TopicName },
    next: ReadonlyMap<number, number>,
  ): Promise<void> {
    this.#checkOpen();
    const key = ownerOf(owner.group, owner.log, owner.topic);
    const before = this.#disk.offsets.get(key) ?? [];
    this.#disk.offsets.set(key, new Map([...before, ...next]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#closed = true;
  }

  heads(topic: TopicName): readonly Head[] {
    return this.#disk.state.heads(topic);
  }

  entriesFrom(from: Position, end: number, bounds: ReadBounds): ReadResult {
    const entries: StoredEntry[] = [];
    let bytes = 0;
    for (let offset = from.offset; offset < end; offset += 1) {
      const entry = this.#disk.entries.get(placeOf({ ...from, offset }));
      if (!entry) continue;
      if (entries.length >= bounds.maxEntries || (bytes >= bounds.maxBytes && bytes > 0)) {
        return { entries, bytes, next: offset };
      }
      const value = entry.value === null ? null : new Uint8Array(entry.value);
      entries.push({ ...entry, value });
      bytes += value?.byteLength ?? 0;
    }
    return { entries, bytes, next: Math.max(end, from.offset) };
  }

  onWake(listener: () => void): () => void {
    return this.#wakes.add(listener);
  }

  #checkOpen(): void {
    if (this.#closed) throw logClosed(this.name);
  }
}

/**
 * A log in memory, for tests and simulations: the whole contract, nothing kept when the process ends.
 * @param disk hand the same one to a second log to play a restart.
 */
export const createMemoryEventLog = (
  name: string,
  disk: MemoryDisk = new MemoryDisk(),
): EventLog & OffsetStore => new MemoryEventLog(name, disk);
