import { realpathSync } from 'node:fs';
import { type Key, open, type RootDatabase } from 'lmdb';
import type { TopicName } from '../../schemas/topics.ts';
import { PARTITIONS } from '../../schemas/topics.ts';
import type { EventLog, OffsetStore, Position, StoredEntry } from './event-log.ts';
import type { Acknowledging } from './log-acknowledgement.ts';
import {
  decodeEntry,
  decodeHeads,
  decodeOffsets,
  decodeSerial,
  encodeEntry,
  encodeHeads,
  encodeOffsets,
  encodeSerial,
  entryKey,
  headsKey,
  offsetsKey,
  SERIAL_KEY,
} from './log-codec.ts';
import { directoryUnusable, lockDirectory } from './log-directory-lock.ts';
import type { LogEnvironment, OffsetOwner, Write, Written } from './log-environment.ts';
import { checkLogFile } from './log-file-check.ts';
import { LogReader } from './log-reader.ts';
import { type LmdbStats, type LogOnDisk, type PagesInBytes, pagesInBytes } from './log-room.ts';
import type { Head } from './log-state.ts';
import type { ReadBounds, ReadResult } from './log-subscription.ts';
import { serveWakes } from './log-wake-socket.ts';
import { LogWriter } from './log-writer.ts';

const BYTES_PENDING_MAX = 64 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 5000;
const REASON_TIMEOUT_MS = 100;

/** lmdb's reports about a transaction. `VISIBLE`: readers see it, the flush is still under way. All others are failures. */
const FLUSHED = 0;
const VISIBLE = 1;
const CALLING_BACK = 2;
const REPORTS = new Set([FLUSHED, VISIBLE, CALLING_BACK]);
type StartWriting = (address: number, report: (status: number) => unknown) => unknown;

/**
 * lmdb rejects with an error that only points to a second promise with the reason; nobody else would handle that one. After some
 * failures that one is never settled, so it is not waited for long.
 */
const reasonOf = async (error: unknown): Promise<never> => {
  if (error instanceof Error && 'commitError' in error) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, REASON_TIMEOUT_MS);
    });
    await Promise.race([error.commitError, late]).finally(() => clearTimeout(timer));
  }
  throw error;
};

const handled = <T>(promise: Promise<T>): Promise<T> => {
  promise.catch(() => undefined);
  return promise;
};

/** One LMDB environment. Everything lies in its root database, so that a reader never meets a half-made one. */
class LmdbEnvironment implements LogEnvironment {
  readonly #root: RootDatabase<Buffer, Key>;
  /** Writes that are not stored yet: whether they are by now, and what to do when they failed. */
  readonly #looks = new Map<() => void, (error: Error) => void>();
  #serial: number;

  constructor(directory: string, readOnly: boolean) {
    checkLogFile(directory);
    this.#root = open<Buffer, Key>({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      readOnly,
      // Off, because lmdb keeps a promise of its own for each such batch, and a failed commit rejects it with nobody listening.
      eventTurnBatching: false,
      ...(readOnly ? {} : { overlappingSync: true }),
    });
    this.#serial = decodeSerial(this.#root.get(SERIAL_KEY));
    if (!readOnly) this.#listenForCommits();
  }

  refresh(): void {
    this.#root.resetReadTxn();
  }

  heads(topic: TopicName): readonly Head[] {
    return decodeHeads(this.#root.get(headsKey(topic)));
  }

  entriesFrom(from: Position, end: number, bounds: ReadBounds): ReadResult {
    const entries: StoredEntry[] = [];
    let bytes = 0;
    const { topic, partition } = from;
    const range = { start: entryKey(from), end: entryKey({ ...from, offset: end }) };
    if (from.offset >= end) return { entries, bytes, next: from.offset };
    for (const { key, value } of this.#root.getRange({ ...range, limit: bounds.maxEntries })) {
      const offset = (key as number[])[3] as number;
      entries.push(decodeEntry({ topic, partition, offset }, value));
      bytes += value.byteLength;
      if (bytes >= bounds.maxBytes) break;
    }
    const last = entries.at(-1);
    const isCut = bytes >= bounds.maxBytes || entries.length >= bounds.maxEntries;
    return { entries, bytes, next: last && isCut ? last.offset + 1 : end };
  }

  *entriesOf(topic: TopicName): Iterable<StoredEntry> {
    const range = { start: ['entry', topic, 0], end: ['entry', topic, PARTITIONS] };
    for (const { key, value } of this.#root.getRange(range)) {
      const [, , partition, offset] = key as [string, string, number, number];
      yield decodeEntry({ topic, partition, offset }, value);
    }
  }

  offsetsOf(owner: OffsetOwner): ReadonlyMap<number, number> {
    return decodeOffsets(this.#root.get(offsetsKey(owner)));
  }

  pages(): PagesInBytes {
    this.refresh();
    return pagesInBytes(this.#root.getStats() as LmdbStats);
  }

  setOffsets(owner: OffsetOwner, next: ReadonlyMap<number, number>): Written {
    const key = offsetsKey(owner);
    const bytes = encodeOffsets(new Map([...this.offsetsOf(owner), ...next]));
    const committed = this.#root.put(key, bytes);
    return this.#written(committed, () => this.#root.get(key)?.equals(bytes) === true);
  }

  write({ changes, heads }: Write): Written {
    this.#serial += 1;
    const bytes = encodeSerial(this.#serial);
    const committed = this.#root.batch(() => {
      for (const change of changes) {
        if ('remove' in change) void this.#root.remove(entryKey(change.remove));
        else {
          const { key, value } = change.put;
          void this.#root.put(entryKey(change.put), encodeEntry(key, value));
        }
      }
      for (const head of heads) void this.#root.put(headsKey(head.topic), encodeHeads(head.heads));
      void this.#root.put(SERIAL_KEY, bytes);
    });
    return this.#written(committed, () => this.#root.get(SERIAL_KEY)?.equals(bytes) === true);
  }

  /** Bounded, because after a failed write lmdb waits for its flush for ever. */
  async close(): Promise<void> {
    const closed = handled(this.#root.close());
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([closed, late]);
    clearTimeout(timer);
  }

  /**
   * lmdb answers a write only when it is flushed. It is stored before that: as soon as it can be read back it is with the
   * operating system, and killing this process no longer takes it away.
   */
  #written(committed: Promise<boolean>, isVisible: () => boolean): Written {
    const { promise: failed, reject: fail } = Promise.withResolvers<never>();
    const durable = handled(
      Promise.race([committed.then(() => undefined, reasonOf), handled(failed)]),
    );
    const stored = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!isVisible()) return;
        this.#looks.delete(look);
        resolve();
      };
      this.#looks.set(look, fail);
      durable.then(resolve, (error) => {
        this.refresh();
        look();
        reject(error);
      });
      durable.catch(() => undefined).finally(() => this.#looks.delete(look));
    });
    return { stored: handled(stored), durable };
  }

  /** What has not become visible by the time lmdb reports a failure was not written; lmdb itself does not always say so. */
  #whenReported(status: number): void {
    if (this.#looks.size === 0 || (status !== VISIBLE && REPORTS.has(status))) return;
    this.refresh();
    for (const [look, fail] of [...this.#looks]) {
      look();
      if (status !== VISIBLE && this.#looks.has(look))
        fail(new Error(`lmdb could not write (error ${status})`));
    }
  }

  /**
   * lmdb tells its own code when a transaction has become visible, and nobody else. Listening in only says when to look; without it
   * `stored` is as late as `durable`, and still right.
   */
  #listenForCommits(): void {
    const { env } = this.#root as unknown as { env?: { startWriting?: StartWriting } };
    const startWriting = env?.startWriting;
    if (env === undefined || startWriting === undefined) return;
    const listening: StartWriting = (address, report) =>
      startWriting.call(env, address, (status) => {
        const answer = report(status);
        this.#whenReported(status);
        return answer;
      });
    Object.defineProperty(env, 'startWriting', { value: listening });
  }
}

const isSameDirectory = (a: string, b: string): boolean => {
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
};

/**
 * lmdb keeps one environment per file and process, and the first to open it decides whether it can be written. So a reader
 * in the same process lets go while the writer opens.
 */
const readersHere = new Map<LogReader, string>();
const letReadersGo = (directory: string): Promise<(() => void)[]> =>
  Promise.all(
    [...readersHere]
      .filter(([, read]) => isSameDirectory(read, directory))
      .map(([reader]) => reader.letGo()),
  );

interface LmdbEventLogOptions {
  directory: string;
  name: string;
  /** Appends beyond this many bytes not yet flushed are refused with LOG_FULL. */
  bytesPendingMax?: number;
  /** A flush that takes longer has failed: the log then refuses to go on. */
  flushTimeoutMs?: number;
}

/**
 * Opens a directory as its one writer; creates it (0700) if need be.
 * @throws ReckonerError LOG_LOCKED when another process writes it, DATA_DIR_UNUSABLE when it cannot be written.
 */
export const openLmdbEventLog = async (
  options: LmdbEventLogOptions,
): Promise<EventLog & OffsetStore & LogOnDisk> => {
  const { directory, name, bytesPendingMax = BYTES_PENDING_MAX, flushTimeoutMs = 30_000 } = options;
  const lock = lockDirectory(directory);
  const resumeReaders = await letReadersGo(directory);
  let environment: LmdbEnvironment | undefined;
  try {
    environment = new LmdbEnvironment(directory, false);
    const log = new LogWriter(environment, {
      name,
      directory,
      bytesPendingMax,
      flushTimeoutMs,
    });
    await log.probe();
    // An acknowledgement that could not be kept is told again.
    const wakes = await serveWakes(
      directory,
      (line) => void log.heard(line).catch(() => undefined),
    );
    lock.announce();
    log.attach({ wakeAll: wakes.wakeAll, close: wakes.close, release: lock.release });
    return log;
  } catch (error) {
    await environment?.close();
    lock.release();
    throw directoryUnusable(directory, error);
  } finally {
    for (const resume of resumeReaders) resume();
  }
};

/**
 * Opens another process's log for reading. Its writer need not exist yet: until it does, subscriptions stay empty. Groups'
 * committed offsets are kept in `offsets`, the reader's own log.
 */
export const openLmdbEventLogReader = async (options: {
  directory: string;
  name: string;
  offsets: OffsetStore;
}): Promise<EventLog & Acknowledging> => {
  const reader = new LogReader(options, {
    open: () => new LmdbEnvironment(options.directory, true),
    closed: () => void readersHere.delete(reader),
  });
  readersHere.set(reader, options.directory);
  return reader;
};
