import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted } from '../../schemas/topics.ts';
import type {
  LogBatch,
  OffsetStore,
  Position,
  StoredEntry,
  SubscribeOptions,
  Subscription,
} from './event-log.ts';
import { logGap, logTrimmed } from './log-errors.ts';
import type { Head } from './log-state.ts';

const MAX_ENTRIES = 1000;
/** A batch holds at most about this many bytes of values, whatever `maxEntries` says; a single larger entry still comes. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** How much one look may take. */
export interface ReadBounds {
  maxEntries: number;
  maxBytes: number;
}

/** What one look found: entries, how many bytes they are, and the offset to go on from (beyond holes). */
export interface ReadResult {
  entries: StoredEntry[];
  bytes: number;
  next: number;
}

/** What a subscription needs of a log. Calls made without giving up the turn see one and the same snapshot. */
export interface LogView {
  readonly name: string;
  /** One head per partition; empty while the log has never been written; null while it cannot be looked at. */
  heads(topic: TopicName): readonly Head[] | null;
  /** Entries from the offset on, before `end`; leaves holes out. */
  entriesFrom(from: Position, end: number, bounds: ReadBounds): ReadResult;
  /** Calls the listener whenever there may be something new; returns how to stop. */
  onWake(listener: () => void): () => void;
}

/** Reads one partition for `EventLog.read` and for subscriptions, refusing what was trimmed or lost. */
export const readChecked = (
  view: LogView,
  from: Position,
  head: Head,
  bounds: ReadBounds,
): ReadResult => {
  if (from.offset < head.start) throw logTrimmed(view.name, from, head.start);
  const read = view.entriesFrom(from, head.end, bounds);
  if (!isCompacted(from.topic)) {
    let expected = from.offset;
    for (const entry of read.entries) {
      if (entry.offset !== expected) throw logGap(view.name, { ...from, offset: expected });
      expected += 1;
    }
    if (read.next !== expected && from.offset < head.end) {
      throw logGap(view.name, { ...from, offset: expected });
    }
  }
  return read;
};

interface Cursor {
  /** The next offset to hand over. */
  offset: number;
  /** Whether the owner holds state of earlier entries, so that a deletion it does not see would be missed. */
  holdsState: boolean;
  sweptSeen: number;
}

/** The delivery loop of one subscription, the same for every log that is read by looking at it. */
export class LogSubscription implements Subscription {
  readonly caughtUp: Promise<void>;
  readonly ended: Promise<void>;
  readonly #view: LogView;
  readonly #offsets: OffsetStore;
  readonly #options: SubscribeOptions;
  readonly #cursors = new Map<number, Cursor>();
  #committed: ReadonlyMap<number, number> = new Map();
  #targets: readonly number[] | null = null;
  #turn = 0;
  #closing = false;
  #woken = true;
  #wake: () => void = () => undefined;
  #reportCaughtUp: () => void = () => undefined;

  constructor(view: LogView, offsets: OffsetStore, options: SubscribeOptions) {
    this.#view = view;
    this.#offsets = offsets;
    this.#options = options;
    this.caughtUp = new Promise((resolve) => {
      this.#reportCaughtUp = resolve;
    });
    const stopListening = view.onWake(() => this.#wakeUp());
    this.ended = this.#run().finally(stopListening);
  }

  lag(): number | null {
    const heads = this.#view.heads(this.#options.topic);
    if (heads === null || heads.length === 0 || this.#targets === null) return null;
    let lag = 0;
    for (const [partition, head] of heads.entries()) {
      lag += Math.max(0, head.end - (this.#cursors.get(partition)?.offset ?? head.start));
    }
    return lag;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#wakeUp();
    await this.ended.catch(() => undefined);
  }

  #wakeUp(): void {
    this.#woken = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    const { group, topic, onBatch } = this.#options;
    this.#noteTargets();
    if (group !== undefined) {
      this.#committed = await this.#offsets.loadOffsets(group, this.#view.name, topic);
    }
    while (!this.#closing) {
      this.#woken = false;
      const batch = this.#nextBatch();
      if (batch === null) {
        await this.#untilWoken();
        continue;
      }
      await onBatch(batch);
      await this.#handled(batch);
    }
  }

  async #untilWoken(): Promise<void> {
    if (this.#woken) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** What "everything that was there at the beginning" means for `caughtUp`. */
  #noteTargets(): void {
    this.#targets ??= this.#view.heads(this.#options.topic)?.map((head) => head.end) ?? null;
  }

  /** Every cursor is committed, not only those of the batch: a partition missing among a group's offsets then means 0. */
  async #handled(batch: LogBatch): Promise<void> {
    for (const [partition, next] of batch.next) {
      const cursor = this.#cursors.get(partition);
      if (cursor) cursor.offset = next;
    }
    const { group, topic } = this.#options;
    if (group !== undefined) {
      const moved = [...this.#cursors]
        .filter(([, cursor]) => cursor.offset > 0)
        .map(([partition, cursor]): [number, number] => [partition, cursor.offset]);
      await this.#offsets.saveOffsets({ group, log: this.#view.name, topic }, new Map(moved));
    }
    this.#checkCaughtUp();
  }

  #nextBatch(): LogBatch | null {
    const { topic, maxEntries = MAX_ENTRIES } = this.#options;
    const heads = this.#view.heads(topic);
    if (heads === null) return null;
    this.#noteTargets();
    const waiting = this.#waitingPartitions(heads);
    const entries: StoredEntry[] = [];
    const next = new Map<number, number>();
    let bytes = 0;
    for (const [index, { partition, head, cursor }] of waiting.entries()) {
      const room = maxEntries - entries.length;
      if (room <= 0 || bytes >= MAX_BATCH_BYTES) break;
      const share = Math.ceil(room / (waiting.length - index));
      const from = { topic, partition, offset: cursor.offset };
      const bounds = { maxEntries: share, maxBytes: MAX_BATCH_BYTES - bytes };
      const read = readChecked(this.#view, from, head, bounds);
      bytes += read.bytes;
      if (read.entries.length === 0) {
        cursor.offset = read.next;
        continue;
      }
      if (!cursor.holdsState) cursor.sweptSeen = head.swept;
      cursor.holdsState = true;
      for (const entry of read.entries) entries.push(entry);
      next.set(partition, read.next);
    }
    this.#turn += 1;
    if (entries.length > 0) return { log: this.#view.name, topic, entries, next };
    this.#checkCaughtUp();
    return null;
  }

  /** Partitions with something to hand over, beginning with another one each time so that none starves. */
  #waitingPartitions(heads: readonly Head[]): { partition: number; head: Head; cursor: Cursor }[] {
    const { topic } = this.#options;
    const waiting: { partition: number; head: Head; cursor: Cursor }[] = [];
    for (let step = 0; step < heads.length; step += 1) {
      const partition = (this.#turn + step) % heads.length;
      const head = heads[partition];
      if (head === undefined) continue;
      const cursor = this.#cursorOf(partition, head);
      const place = { topic, partition, offset: cursor.offset };
      if (cursor.offset < head.start) throw logTrimmed(this.#view.name, place, head.start);
      if (cursor.offset > head.end) throw logGap(this.#view.name, { ...place, offset: head.end });
      if (cursor.holdsState && cursor.offset <= head.swept && cursor.sweptSeen !== head.swept) {
        throw logTrimmed(this.#view.name, place, head.swept + 1);
      }
      if (cursor.offset < head.end) waiting.push({ partition, head, cursor });
    }
    return waiting;
  }

  #cursorOf(partition: number, head: Head): Cursor {
    let cursor = this.#cursors.get(partition);
    if (cursor === undefined) {
      const committed = this.#committed.get(partition) ?? (this.#committed.size > 0 ? 0 : null);
      cursor = {
        offset: committed ?? head.start,
        holdsState: committed !== null && committed > 0,
        sweptSeen: -1,
      };
      this.#cursors.set(partition, cursor);
    }
    return cursor;
  }

  #checkCaughtUp(): void {
    if (this.#targets === null) return;
    for (const [partition, target] of this.#targets.entries()) {
      if ((this.#cursors.get(partition)?.offset ?? 0) < target) return;
    }
    this.#reportCaughtUp();
  }
}
