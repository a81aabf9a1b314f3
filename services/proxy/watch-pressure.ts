import type { VirtualKey } from '../../schemas/control-record.ts';
import { decodeEnvelope } from '../../schemas/envelope.ts';
import { PARTITIONS, TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import type { EventLog, OffsetRange } from '../platform/event-log.ts';
import { TAKEN_OVER } from '../platform/log-acknowledgement.ts';
import type { LogOnDisk } from '../platform/log-room.ts';
import type { Logger } from '../platform/logger.ts';
import type { Refusal } from './core/answers.ts';
import type { LogMark } from './core/log-marks.ts';
import { dueForTrim, markEnds, markTaken, oldestAgeMs } from './core/log-marks.ts';
import type { PressureCause, PressureFacts, PressureMarks } from './core/pressure.ts';
import { goesOn, pressureCauses } from './core/pressure.ts';

export interface PressureOptions {
  /** This process's own log. */
  log: EventLog;
  room: LogOnDisk['room'];
  /** The group whose offsets say what need not be kept here: the readers' acknowledgements, or the shipper. */
  takenOverBy: string;
  marks: PressureMarks;
  journalHealthy: () => boolean;
  clock: Clock;
  logger: Logger;
  intervalMs?: number;
}

/** What the proxy knows of its log's pressure; asking costs nothing, since it is measured on an interval. */
export interface PressureWatch {
  /** Why a call of this key may not be made, or null. Without a key: why none may. */
  refusalFor(key: VirtualKey | null): Refusal | null;
  /** Calls go on although they cannot be recorded. */
  readonly failsOpen: boolean;
  /** Newest measurement; null when it failed or is old. */
  facts(): PressureFacts | null;
  causes(): ReadonlySet<PressureCause>;
  /** Measures now. */
  measure(): Promise<void>;
  close(): Promise<void>;
}

export const UNDER_PRESSURE: Refusal = {
  status: 503,
  code: 'cannot_meter',
  message:
    "The proxy's log cannot take another call right now, so the call could not be metered and was not made. Try again shortly.",
  retryAfterS: 5,
};

const TOPIC = TOPICS.usageEvents.name;
const INTERVAL_MS = 1_000;
/** A measurement older than this says nothing: the disk hangs, or this process did. */
const STALE_MS = 30_000;
/**
 * How long an event is kept after it was taken over. Readers' offsets are stored, not flushed: after a loss of power they ask
 * again for the newest. Under pressure less must do.
 */
const RETENTION_MS = 900_000;
const RETENTION_UNDER_PRESSURE_MS = 60_000;

const atOf = (ranges: readonly OffsetRange[], of: (range: OffsetRange) => number): number[] => {
  const offsets = new Array<number>(PARTITIONS).fill(0);
  for (const range of ranges) offsets[range.partition] = of(range);
  return offsets;
};

/** How far the log goes and how far it has been taken over. */
const extentOf = async (log: EventLog, group: string) => {
  const ranges = await log.ranges(TOPIC);
  const committed = await log.committed(group, TOPIC);
  return {
    ends: atOf(ranges, ({ end }) => end),
    taken: atOf(ranges, ({ partition, start }) => Math.max(start, committed.get(partition) ?? 0)),
  };
};
type Extent = Awaited<ReturnType<typeof extentOf>>;

/** Age by the wall clock of what an earlier run left: nothing else survives a restart. Zero where nothing waits. */
const ageAtStartMs = async (log: EventLog, extent: Extent, nowMs: number): Promise<number> => {
  let age = 0;
  for (const [partition, offset] of extent.taken.entries()) {
    if (offset >= (extent.ends[partition] ?? 0)) continue;
    const [oldest] = await log.read({ topic: TOPIC, partition, offset }, 1);
    const decoded = decodeEnvelope('usageEvent', oldest?.value ?? new Uint8Array());
    if (decoded.ok) age = Math.max(age, nowMs - Date.parse(decoded.value.data.closed_at));
  }
  return age;
};

/** Follows how long entries have waited, and forgets what was taken over long enough ago. */
const createLogFollower = ({ log, takenOverBy, clock }: PressureOptions) => {
  let ends: readonly LogMark[] | null = null;
  let taken: readonly LogMark[] = [];
  const trim = async (offsets: readonly number[]): Promise<void> => {
    for (const { partition, start } of await log.ranges(TOPIC)) {
      const offset = offsets[partition] ?? 0;
      if (offset > start) await log.trim({ topic: TOPIC, partition, offset });
    }
  };
  return {
    oldestAgeMs: async (): Promise<number> => {
      const extent = await extentOf(log, takenOverBy);
      const atMs = clock.monotonicMs();
      const firstMs = ends === null ? await ageAtStartMs(log, extent, clock.nowMs()) : 0;
      ends = markEnds(ends ?? [], { atMs: atMs - firstMs, offsets: extent.ends }, extent.taken);
      taken = markTaken(taken, { atMs, offsets: extent.taken }, RETENTION_UNDER_PRESSURE_MS);
      return oldestAgeMs(ends, atMs);
    },
    trim: async (retentionMs: number): Promise<void> => {
      const { offsets, rest } = dueForTrim(taken, clock.monotonicMs(), retentionMs);
      if (offsets === null) return;
      await trim(offsets);
      taken = rest;
    },
  };
};

/** Measures the local log on an interval, decides who goes on, and trims what the readers have taken over. */
export const watchPressure = (options: PressureOptions): PressureWatch => {
  const { marks, clock, logger, intervalMs = INTERVAL_MS } = options;
  const follower = createLogFollower(options);
  // In a cluster the shipper trims what Kafka has.
  const trims = options.takenOverBy === TAKEN_OVER;
  let facts: PressureFacts | null = null;
  let measuredMs = Number.NEGATIVE_INFINITY;
  let causes: ReadonlySet<PressureCause> = new Set();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const fresh = (): PressureFacts | null =>
    clock.monotonicMs() - measuredMs > STALE_MS ? null : facts;

  const take = (next: PressureFacts | null): void => {
    const before = causes;
    facts = next;
    measuredMs = clock.monotonicMs();
    causes = pressureCauses(before, next, marks);
    const names = [...causes];
    if (names.join() === [...before].join()) return;
    const about = { causes: names, mode: marks.mode, ...next };
    if (causes.size > 0) logger.error(about, 'the local log is under pressure');
    else logger.info(about, 'the local log is no longer under pressure');
  };

  const measure = async (): Promise<void> => {
    try {
      const { bytesKept, bytesFree } = await options.room();
      const ageMs = await follower.oldestAgeMs();
      take({ logBytes: bytesKept, oldestAgeMs: ageMs, freeBytes: bytesFree });
      if (trims) await follower.trim(causes.size > 0 ? RETENTION_UNDER_PRESSURE_MS : RETENTION_MS);
    } catch (error) {
      if (closed) return;
      logger.error({ error: (error as Error).name }, 'the local log could not be measured');
      take(null);
    }
  };

  const causesNow = (): ReadonlySet<PressureCause> => {
    const now = new Set(causes);
    if (fresh() === null) now.add('unmeasured');
    if (!options.journalHealthy()) now.add('journal');
    return now;
  };

  let running: Promise<void> = Promise.resolve();
  const schedule = (): void => {
    if (closed) return;
    timer = setTimeout(() => {
      running = measure().then(schedule);
    }, intervalMs);
    timer.unref();
  };
  schedule();

  return {
    refusalFor: (key) => {
      const calm = causes.size === 0 && options.journalHealthy() && fresh() !== null;
      return calm || goesOn(marks.mode, causesNow(), key) ? null : UNDER_PRESSURE;
    },
    failsOpen: marks.mode === 'fail_open',
    facts: fresh,
    causes: causesNow,
    measure,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await running;
    },
  };
};
