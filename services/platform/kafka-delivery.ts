import { isCompacted } from '../../schemas/topics.ts';
import type { LogBatch, OffsetRange, StoredEntry, SubscribeOptions } from './event-log.ts';
import { logGap, logTrimmed } from './log-errors.ts';

/** One record as kafkajs decodes it. */
export interface KafkaRecord {
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
}

/** What one fetch brought of one partition. */
export interface Fetched {
  partition: number;
  /** The offset that was asked for. */
  from: number;
  records: readonly KafkaRecord[];
  /** The offset to go on from when all records are handled. */
  next: number;
  /** The next offset to be written, as the broker knew it with this fetch. */
  end: number;
}

export type Commit = (next: ReadonlyMap<number, number>) => Promise<void>;

export interface DeliveryOptions {
  log: string;
  subscribe: SubscribeOptions;
  /** Where each partition begins: committed, or the oldest kept. */
  starts: ReadonlyMap<number, number>;
  /** The partitions as they were when the subscription began. */
  ranges: readonly OffsetRange[];
}

const DEFAULT_MAX_ENTRIES = 1_000;

export const toStored = (
  topic: StoredEntry['topic'],
  partition: number,
  record: KafkaRecord,
): StoredEntry => ({
  topic,
  partition,
  offset: Number(record.offset),
  key: record.key?.toString() ?? '',
  value: record.value,
});

/**
 * The rules of delivery that kafkajs does not keep by itself: one batch at a time, no entry left out, nothing committed that
 * was not handled. Readers feed it with what they fetched; it answers whether they may go on from there.
 */
export class KafkaDelivery {
  readonly caughtUp: Promise<void>;
  readonly failed: Promise<never>;
  readonly #options: DeliveryOptions;
  /** Next offset to hand over; a partition is missing from a rejoin until its first fetch. */
  readonly #expected: Map<number, number>;
  /** Next offset not yet handled, as far as known. */
  readonly #handled: Map<number, number>;
  readonly #ends: Map<number, number>;
  readonly #targets: ReadonlyMap<number, number>;
  #assigned: ReadonlySet<number>;
  #generation = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #busy = false;
  #movedMs = performance.now();
  #reportCaughtUp: () => void = () => undefined;
  #reportFailed: (error: unknown) => void = () => undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#expected = new Map(options.starts);
    this.#handled = new Map(options.starts);
    this.#ends = new Map(options.ranges.map(({ partition, end }) => [partition, end]));
    this.#targets = new Map(this.#ends);
    this.#assigned = new Set();
    this.caughtUp = new Promise((resolve) => {
      this.#reportCaughtUp = resolve;
    });
    this.failed = new Promise((_resolve, reject) => {
      this.#reportFailed = reject;
    });
    this.failed.catch(() => undefined);
    this.#checkStarts();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Milliseconds since an entry was handled, or 0 while one is in hand: for the watchdog. */
  idleMs(): number {
    return this.#busy ? 0 : performance.now() - this.#movedMs;
  }

  /** The partitions this reader has. Positions are asked anew where another reader may have moved them. */
  assign(partitions: readonly number[], positions: 'kept' | 'unknown'): void {
    this.#generation += 1;
    this.#assigned = new Set(partitions);
    this.#movedMs = performance.now();
    if (positions === 'unknown') this.#expected.clear();
    this.#checkCaughtUp();
  }

  /** Where to fetch next. */
  expected(partition: number): number | undefined {
    return this.#expected.get(partition);
  }

  /** Takes over what is known of the partitions: their ends, and what other members of the group have committed. */
  observe(ranges: readonly OffsetRange[], committed: ReadonlyMap<number, number>): void {
    for (const { partition, end } of ranges) this.#ends.set(partition, end);
    for (const [partition, offset] of committed) {
      const known = this.#handled.get(partition) ?? 0;
      this.#handled.set(partition, Math.max(known, offset));
    }
    this.#checkCaughtUp();
  }

  /** Offsets between what is handled and the newest end known. */
  behind(): number | null {
    if (this.#assigned.size === 0) return this.#generation === 0 ? null : 0;
    let behind = 0;
    for (const partition of this.#assigned) {
      const end = this.#ends.get(partition);
      const handled = this.#handled.get(partition);
      if (end === undefined || handled === undefined) return null;
      behind += Math.max(0, end - handled);
    }
    return behind;
  }

  /**
   * Hands over what was fetched, in turns of `maxEntries`, and commits after each.
   * @returns whether all of it was handled; otherwise the reader must not go beyond it.
   * @throws what `commit` throws; the entries then come again.
   */
  deliver(fetched: readonly Fetched[], commit: Commit): Promise<boolean> {
    const mine = this.#turn.then(() => this.#deliver(fetched, commit));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** The subscription is over: `failed` rejects and nothing is handed over any more. */
  fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#reportFailed(error);
  }

  /** Lets the batch in hand end and be committed; begins no other. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#turn;
  }

  /** The log does not hold the offset that comes next: never answered by jumping. */
  failOutOfRange(partition: number, range: OffsetRange | undefined): void {
    const place = this.#place(partition, this.#expected.get(partition) ?? 0);
    const start = range?.start ?? 0;
    this.fail(
      range && place.offset > range.end
        ? logGap(this.#options.log, { ...place, offset: range.end })
        : logTrimmed(this.#options.log, place, start),
    );
  }

  #place(partition: number, offset: number) {
    return { topic: this.#options.subscribe.topic, partition, offset };
  }

  #checkStarts(): void {
    for (const range of this.#options.ranges) {
      const start = this.#expected.get(range.partition) ?? range.start;
      if (start >= range.start && start <= range.end) continue;
      this.failOutOfRange(range.partition, range);
      return;
    }
  }

  /** The records not handed over yet, or null when the log left some out. */
  #unseen(fetched: Fetched): readonly KafkaRecord[] | null {
    const { partition, from } = fetched;
    const expected = this.#expected.get(partition) ?? from;
    const records = fetched.records.filter((record) => Number(record.offset) >= expected);
    const jumped = from > expected;
    let next = expected;
    const holes = isCompacted(this.#options.subscribe.topic);
    for (const record of jumped ? [] : records) {
      if (!holes && Number(record.offset) !== next) break;
      next = Number(record.offset) + 1;
    }
    const last = records.at(-1);
    if (!jumped && (last === undefined || next === Number(last.offset) + 1)) return records;
    this.fail(logGap(this.#options.log, this.#place(partition, next)));
    return null;
  }

  async #deliver(fetched: readonly Fetched[], commit: Commit): Promise<boolean> {
    const waiting: { fetched: Fetched; record: KafkaRecord }[] = [];
    for (const one of fetched) {
      if (this.#stopped) return false;
      if (!this.#assigned.has(one.partition)) continue;
      const records = this.#unseen(one);
      if (records === null) return false;
      this.#ends.set(one.partition, Math.max(one.end, this.#ends.get(one.partition) ?? 0));
      if (records.length === 0) this.#advance(one.partition, one.next);
      for (const record of records) waiting.push({ fetched: one, record });
    }
    const { maxEntries = DEFAULT_MAX_ENTRIES } = this.#options.subscribe;
    for (let at = 0; at < waiting.length; at += maxEntries) {
      if (this.#stopped) return false;
      if (!(await this.#hand(waiting.slice(at, at + maxEntries), commit))) return false;
    }
    this.#checkCaughtUp();
    return true;
  }

  async #hand(
    part: readonly { fetched: Fetched; record: KafkaRecord }[],
    commit: Commit,
  ): Promise<boolean> {
    const { topic, onBatch } = this.#options.subscribe;
    const generation = this.#generation;
    const next = new Map<number, number>();
    const entries = part.map(({ fetched, record }) => {
      const entry = toStored(topic, fetched.partition, record);
      const isLast = record === fetched.records.at(-1);
      next.set(fetched.partition, isLast ? fetched.next : entry.offset + 1);
      return entry;
    });
    const batch: LogBatch = { log: this.#options.log, topic, entries, next };
    this.#busy = true;
    try {
      await onBatch(batch);
    } catch (error) {
      this.fail(error);
      return false;
    } finally {
      this.#busy = false;
      this.#movedMs = performance.now();
    }
    // The group was dealt anew while the handler ran: these partitions may be another reader's by now, who reads them again.
    if (generation !== this.#generation) return false;
    await commit(this.#toCommit(next));
    for (const [partition, offset] of next) this.#advance(partition, offset);
    this.#checkCaughtUp();
    return true;
  }

  /** Every partition of this reader, so that one missing among a group's offsets was never begun. */
  #toCommit(next: ReadonlyMap<number, number>): Map<number, number> {
    const all = new Map<number, number>();
    for (const partition of this.#assigned) {
      const offset = next.get(partition) ?? this.#expected.get(partition) ?? 0;
      if (offset > 0) all.set(partition, offset);
    }
    return all;
  }

  #advance(partition: number, next: number): void {
    this.#expected.set(partition, Math.max(next, this.#expected.get(partition) ?? 0));
    this.#handled.set(partition, Math.max(next, this.#handled.get(partition) ?? 0));
  }

  #checkCaughtUp(): void {
    if (this.#generation === 0) return;
    for (const partition of this.#assigned) {
      if ((this.#handled.get(partition) ?? 0) < (this.#targets.get(partition) ?? 0)) return;
    }
    this.#reportCaughtUp();
  }
}
