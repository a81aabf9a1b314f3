import type { Appended, LogEntry, Position } from './event-log.ts';
import { MAX_KEY_BYTES } from './log-codec.ts';
import type { LogEnvironment } from './log-environment.ts';
import { logAppendFailed, logBroken, logFull, rejectedAppend } from './log-errors.ts';
import { AppendPlan, type LogState } from './log-state.ts';

interface Waiting {
  entries: readonly LogEntry[];
  bytes: number;
  stored: PromiseWithResolvers<readonly Position[]>;
  durable: PromiseWithResolvers<void>;
}

/** What keeping one entry costs besides its value, roughly; counted so that many small entries are bounded too. */
const ENTRY_OVERHEAD_BYTES = 64;
/**
 * Appends on their way: everything that waits goes into the next transaction, one transaction at a time. So a failed one
 * leaves no hole before the next, and the slower the disk, the larger the groups.
 */
export class AppendQueue {
  readonly #environment: LogEnvironment;
  readonly #state: LogState;
  readonly #options: {
    name: string;
    bytesPendingMax: number;
    flushTimeoutMs: number;
    onStored: () => void;
  };
  #waiting: Waiting[] = [];
  #isDraining = false;
  #bytesPending = 0;
  #broken: Error | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    environment: LogEnvironment,
    state: LogState,
    options: {
      name: string;
      bytesPendingMax: number;
      flushTimeoutMs: number;
      onStored: () => void;
    },
  ) {
    this.#environment = environment;
    this.#state = state;
    this.#options = options;
  }

  append(entries: readonly LogEntry[]): Appended {
    const refusal = this.#refusalOf(entries);
    if (refusal) return rejectedAppend(() => refusal);
    const bytes = bytesOf(entries);
    const waiting: Waiting = {
      // The caller may use its memory again before this is written.
      entries: entries.map((entry) => ({
        ...entry,
        value: entry.value === null ? null : Buffer.from(entry.value),
      })),
      bytes,
      stored: Promise.withResolvers(),
      durable: Promise.withResolvers(),
    };
    for (const { promise } of [waiting.stored, waiting.durable]) {
      (promise as Promise<unknown>).catch(() => undefined);
    }
    this.#bytesPending += bytes;
    this.#waiting.push(waiting);
    if (!this.#isDraining) {
      this.#isDraining = true;
      // Not at once: what is appended in the same turn goes along.
      queueMicrotask(() => void this.#drain());
    }
    return { stored: waiting.stored.promise, durable: waiting.durable.promise };
  }

  /** Runs the work while no transaction of another one is under way; everything that moves a head comes through here. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /**
   * Bounds a flush in time. After a flush that failed, a later one may succeed without having written the same pages, so
   * nothing can be called durable any more and the log refuses to go on.
   */
  flushed(durable: Promise<void>): Promise<void> {
    const { name, flushTimeoutMs } = this.#options;
    return new Promise<void>((resolve, reject) => {
      const fail = (cause?: unknown): void => {
        this.#broken = logBroken(name, cause);
        reject(this.#broken);
      };
      const timer = setTimeout(fail, flushTimeoutMs);
      durable.then(resolve, fail).finally(() => clearTimeout(timer));
    });
  }

  /** After a failed flush: nothing is to be flushed again in this process, not even on closing. */
  get isBroken(): boolean {
    return this.#broken !== null;
  }

  /** Resolves when nothing waits and nothing is being flushed, also when that ended in a failure. */
  async drained(): Promise<void> {
    while (this.#bytesPending > 0 || this.#isDraining) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#last;
  }

  #refusalOf(entries: readonly LogEntry[]): Error | null {
    const { name, bytesPendingMax } = this.#options;
    if (this.#broken) return this.#broken;
    const tooLong = entries.some((entry) => Buffer.byteLength(entry.key) > MAX_KEY_BYTES);
    if (tooLong) return logAppendFailed(name, `a key has more than ${MAX_KEY_BYTES} bytes.`);
    const isFull = this.#bytesPending + bytesOf(entries) > bytesPendingMax;
    return isFull ? logFull(name, this.#bytesPending, bytesPendingMax) : null;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.exclusive(() => this.#writeGroup(this.#waiting.splice(0)));
    }
    this.#isDraining = false;
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const plan = new AppendPlan(this.#state);
    const positions = group.map((waiting) => plan.add(waiting.entries));
    try {
      if (this.#broken) throw this.#broken;
      const heads = plan.headsByTopic();
      const written = this.#environment.write({ changes: plan.changes, heads });
      await this.#answered(written.stored);
      this.#settleFlushed(group, written.durable);
    } catch (error) {
      const failure = this.#broken ?? logAppendFailed(this.#options.name, reasonOf(error), error);
      for (const waiting of group) {
        this.#bytesPending -= waiting.bytes;
        waiting.stored.reject(failure);
        waiting.durable.reject(failure);
      }
      return;
    }
    plan.applied();
    for (const [index, waiting] of group.entries()) waiting.stored.resolve(positions[index] ?? []);
    this.#options.onStored();
  }

  /**
   * Bounds a transaction in time: lmdb has been seen to fail one (EIO on a full file) without telling whoever waits for it. Whether it is
   * there is not known then, so its offsets cannot be given again and the log refuses to go on.
   */
  #answered(stored: Promise<void>): Promise<void> {
    const { name, flushTimeoutMs } = this.#options;
    return new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#broken ??= logBroken(name);
        reject(this.#broken);
      }, flushTimeoutMs);
      stored.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  #settleFlushed(group: readonly Waiting[], durable: Promise<void>): void {
    const settle = (act: (waiting: Waiting) => void): void => {
      for (const waiting of group) {
        this.#bytesPending -= waiting.bytes;
        act(waiting);
      }
    };
    this.flushed(durable).then(
      () => settle((waiting) => waiting.durable.resolve()),
      (error) => settle((waiting) => waiting.durable.reject(error)),
    );
  }
}

const bytesOf = (entries: readonly LogEntry[]): number =>
  entries.reduce(
    (sum, entry) => sum + (entry.value?.byteLength ?? 0) + entry.key.length + ENTRY_OVERHEAD_BYTES,
    0,
  );

const reasonOf = (error: unknown): string =>
  `${error instanceof Error ? error.message : String(error)}. Check the disk; the append may be repeated.`;
