import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted, TOPICS } from '../../schemas/topics.ts';
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
import { decodeAcknowledgement, TAKEN_OVER } from './log-acknowledgement.ts';
import { AppendQueue } from './log-append-queue.ts';
import type { LogEnvironment, OffsetOwner } from './log-environment.ts';
import { closedSubscription, logClosed, rejectedAppend } from './log-errors.ts';
import { type LogOnDisk, type LogRoom, roomOf } from './log-room.ts';
import { type Head, type LogChange, LogState } from './log-state.ts';
import {
  LogSubscription,
  type LogView,
  type ReadBounds,
  type ReadResult,
  readChecked,
} from './log-subscription.ts';
import { Wakes } from './log-wakes.ts';

/** Entries removed in one transaction while trimming; appends go between. */
const TRIM_STEP_ENTRIES = 1000;

/** What the writer holds besides its environment, given back when it closes. */
interface Held {
  wakeAll(): void;
  close(): Promise<void>;
  release(): void;
}

/** Reads what an environment holds: where each partition ends and where the newest entry of each key lies. */
const loadState = (environment: LogEnvironment): LogState => {
  const state = new LogState();
  environment.refresh();
  for (const { name, compacted } of Object.values(TOPICS)) {
    for (const [partition, head] of environment.heads(name).entries()) {
      state.setHead(name, partition, head);
    }
    if (!compacted) continue;
    for (const entry of environment.entriesOf(name)) {
      const { start } = state.head(name, entry.partition);
      if (entry.offset >= start) state.setNewest(name, entry.key, entry.offset);
    }
  }
  return state;
};

/** The one writer of an environment. */
export class LogWriter implements EventLog, OffsetStore, LogOnDisk, LogView {
  readonly name: string;
  readonly #directory: string;
  readonly #environment: LogEnvironment;
  readonly #state: LogState;
  readonly #queue: AppendQueue;
  readonly #wakes = new Wakes();
  readonly #subscriptions = new Set<Subscription>();
  #held: Held | null = null;
  #closing: Promise<void> | null = null;
  #closed = false;

  constructor(
    environment: LogEnvironment,
    options: { name: string; directory: string; bytesPendingMax: number; flushTimeoutMs: number },
  ) {
    this.name = options.name;
    this.#directory = options.directory;
    this.#environment = environment;
    this.#state = loadState(environment);
    this.#queue = new AppendQueue(environment, this.#state, {
      ...options,
      onStored: () => this.#wakeAll(),
    });
  }

  /** Writes and flushes once, so that a full or failing disk shows at the start. */
  async probe(): Promise<void> {
    await this.#queue.exclusive(async () => {
      const topic = TOPICS.usageEvents.name;
      const heads = [{ topic, heads: this.#state.heads(topic) }];
      const written = this.#environment.write({ changes: [], heads });
      await written.stored;
      await this.#queue.flushed(written.durable);
    });
  }

  attach(held: Held): void {
    this.#held = held;
  }

  append(entries: readonly LogEntry[]): Appended {
    if (this.#closed) return rejectedAppend(() => logClosed(this.name));
    return this.#queue.append(entries);
  }

  async read(from: Position, maxEntries: number): Promise<readonly StoredEntry[]> {
    this.#checkOpen();
    const head = this.heads(from.topic)[from.partition];
    if (head === undefined) return [];
    return readChecked(this, from, head, { maxEntries, maxBytes: Infinity }).entries;
  }

  subscribe(options: SubscribeOptions): Subscription {
    if (this.#closing !== null) return closedSubscription(this.name);
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
    await this.#queue.exclusive(async () => {
      this.#environment.refresh();
      const heads = [...this.#state.heads(topic)];
      const swept: StoredEntry[] = [];
      for (const entry of this.#environment.entriesOf(topic)) {
        const head = heads[entry.partition];
        if (entry.value !== null || head === undefined) continue;
        swept.push(entry);
        heads[entry.partition] = { ...head, swept: Math.max(head.swept, entry.offset) };
      }
      if (swept.length > 0) await this.#store(topic, heads, swept);
    });
  }

  async trim(before: Position): Promise<void> {
    this.#checkOpen();
    const { topic, partition } = before;
    // The start moves first: a crash in between leaves entries nobody can ask for, and the next trim removes them.
    const start = await this.#queue.exclusive(async () => {
      const heads = [...this.#state.heads(topic)];
      const head = this.#state.head(topic, partition);
      const start = Math.min(Math.max(head.start, before.offset), head.end);
      heads[partition] = { ...head, start };
      await this.#store(topic, heads, []);
      return start;
    });
    for (let removed = TRIM_STEP_ENTRIES; removed === TRIM_STEP_ENTRIES; ) {
      removed = await this.#queue.exclusive(async () => {
        this.#environment.refresh();
        const from = { topic, partition, offset: 0 };
        const bounds = { maxEntries: TRIM_STEP_ENTRIES, maxBytes: Infinity };
        const { entries } = this.#environment.entriesFrom(from, start, bounds);
        if (entries.length > 0) await this.#store(topic, this.#state.heads(topic), entries);
        return entries.length;
      });
    }
  }

  async loadOffsets(
    group: string,
    log: string,
    topic: TopicName,
  ): Promise<ReadonlyMap<number, number>> {
    this.#checkOpen();
    this.#environment.refresh();
    return this.#environment.offsetsOf({ group, log, topic });
  }

  /**
   * Resolves when stored. Losing the newest offsets with the power only replays. Alone like every other write, so that a failure that
   * is reported concerns the one write that is under way.
   */
  async saveOffsets(owner: OffsetOwner, next: ReadonlyMap<number, number>): Promise<void> {
    this.#checkOpen();
    await this.#queue.exclusive(async () => {
      this.#environment.refresh();
      await this.#environment.setOffsets(owner, next).stored;
    });
  }

  async room(): Promise<LogRoom> {
    this.#checkOpen();
    return roomOf(this.#directory, this.#environment.pages());
  }

  /**
   * What a reader says it has taken over. Kept like a group's offsets, so that it is known at the next start; never taken back, and
   * never believed beyond what is here.
   */
  async heard(line: string): Promise<void> {
    const told = decodeAcknowledgement(line);
    if (told === null || this.#closing !== null) return;
    const held = await this.committed(TAKEN_OVER, told.topic);
    const moved = [...told.offsets].filter(([partition, offset]) => {
      const { end } = this.#state.head(told.topic, partition);
      return offset > (held.get(partition) ?? 0) && offset <= end;
    });
    if (moved.length === 0) return;
    const owner = { group: TAKEN_OVER, log: this.name, topic: told.topic };
    await this.saveOffsets(owner, new Map(moved));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  heads(topic: TopicName): readonly Head[] {
    this.#environment.refresh();
    return this.#environment.heads(topic);
  }

  entriesFrom(from: Position, end: number, bounds: ReadBounds): ReadResult {
    return this.#environment.entriesFrom(from, end, bounds);
  }

  onWake(listener: () => void): () => void {
    return this.#wakes.add(listener);
  }

  /** Handlers may still append while their last batch ends; then nothing new is taken and what waits is flushed. */
  async #close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#closed = true;
    await this.#queue.drained();
    await this.#held?.close();
    // Closing flushes. After a flush that failed, one that succeeds would vouch for pages the kernel may have dropped.
    if (!this.#queue.isBroken) await this.#environment.close();
    this.#held?.release();
  }

  async #store(
    topic: TopicName,
    heads: readonly Head[],
    removed: readonly StoredEntry[],
  ): Promise<void> {
    const changes: LogChange[] = removed.map((entry) => ({ remove: entry }));
    await this.#environment.write({ changes, heads: [{ topic, heads }] }).stored;
    for (const [partition, head] of heads.entries()) this.#state.setHead(topic, partition, head);
    for (const entry of removed) this.#state.forget(topic, entry.key, entry.offset);
    this.#wakeAll();
  }

  #wakeAll(): void {
    this.#wakes.wakeAll();
    this.#held?.wakeAll();
  }

  #checkOpen(): void {
    if (this.#closed) throw logClosed(this.name);
  }
}
